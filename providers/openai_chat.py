"""The provider for OpenAI's chat completions, and for every endpoint that speaks them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from providers import pricing
from providers.call import Call, StreamedCall
from providers.counts import count, section
from providers.endpoint import Endpoint, endpoint_of, is_loopback
from providers.errors import ModelNotFound, ProviderError, ServerFault, StreamTruncated
from providers.faults import http_fault, retry_after_seconds, unreachable
from providers.lines import DONE, event_data, json_object
from providers.openai_chunks import WIRE, ChatAccumulator
from providers.openai_faults import WireError
from providers.openai_messages import ENCODER
from providers.openai_request import (
    affinity_headers,
    optional_field,
    request_body,
    without_half_characters,
)
from providers.openai_usage import openai_cached_read_tokens
from providers.provider import ModelInfo
from providers.settings import ProviderSettings
from providers.types import JSONObject, ModelRef, Origin, Request

if TYPE_CHECKING:
    import openai

__all__ = ["ChatAccumulator", "OpenAIChat", "connect", "openai_cached_read_tokens"]

PLACEHOLDER_KEY = "none"
"""For an endpoint without keys: the SDK wants one."""

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 600.0
"""Without a byte for this long an endpoint counts as gone. A local server may read a prompt for minutes."""
DRAIN_SECONDS = 0.2
"""What the end of a finished answer's body is waited for, so that its connection can be used again."""

WINDOW_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length")
"""Where endpoints tell a model's context window in their list: vLLM · OpenRouter · Groq · Mistral."""


def connect(name: str, settings: ProviderSettings, environ: Mapping[str, str], home: Path) -> OpenAIChat:
    """The provider for one endpoint. Raises ConfigurationError, and MissingKey where a vendor wants one."""
    return OpenAIChat(endpoint_of(name, settings, environ))


class OpenAIChat:
    """One endpoint. It remembers which optional request fields each model refused."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.name = endpoint.name
        self.encoder = ENCODER
        self._base_url = endpoint.base_url
        self._key = endpoint.key
        self._headers = endpoint.headers
        self._quirks = endpoint.quirks
        self._client: openai.AsyncOpenAI | None = None
        self._opening = asyncio.Lock()
        self._left_out: dict[str, frozenset[str]] = {}
        self._windows: dict[str, int] = {}

    def stream(self, request: Request) -> Call:
        taken = frozenset(call.id for message in request.messages for call in message.tool_calls)
        answer = ChatAccumulator(self._origin(request), provider=self.name, taken=taken)
        return StreamedCall(request, lambda: self._open(request, answer), answer)

    async def prepare(self) -> None:
        await self._ready()

    async def context_window(self, model: str) -> int | None:
        """From the price table, else from the endpoint: its list of models, or llama.cpp's `/props`."""
        if model not in self._windows:
            known = await asyncio.to_thread(pricing.context_window, ModelRef(self.name, model))
            window = known or await self._told_window(model)
            if window is None:
                return None
            self._windows[model] = window
        return self._windows[model]

    async def models(self) -> tuple[ModelInfo, ...]:
        import openai

        client = await self._ready()
        try:
            listed = [model async for model in client.models.list()]
        except openai.OpenAIError as error:
            raise self._fault(error) from error
        except ValueError as error:
            raise self._not_this_wire("models") from error
        return tuple(ModelInfo(model.id, _window(model.to_dict(warnings=False))) for model in listed)

    async def aclose(self) -> None:
        async with self._opening:
            client, self._client = self._client, None
        if client is not None:
            await client.close()

    # --- one call -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _open(
        self, request: Request, answer: ChatAccumulator
    ) -> AsyncIterator[AsyncIterator[JSONObject]]:
        async with AsyncExitStack() as stack:
            response = await self._send(request, stack)
            yield await stack.enter_async_context(aclosing(self._events(response, answer)))

    async def _send(
        self, request: Request, stack: AsyncExitStack
    ) -> openai.AsyncAPIResponse[openai.AsyncStream[Any]]:
        """The endpoint's answer, its body still to come. A refused optional field costs one more request."""
        import openai

        client = await self._ready()
        model, origin = request.prefix.model.name, self._origin(request)
        mended = False
        while True:
            body = request_body(request, origin, self._quirks, self._left_out.get(model, frozenset()))
            body = without_half_characters(body) if mended else body
            # As `extra_body` it goes out as it is: the SDK walks through every message that comes as an
            # argument, which takes a millisecond for each in a long conversation.
            sent = client.chat.completions.with_streaming_response.create(
                messages=(),
                model=model,
                stream=True,
                extra_body=body,
                extra_headers=affinity_headers(request, self._quirks),
            )
            try:
                return await stack.enter_async_context(sent)
            except openai.APIStatusError as error:
                field = optional_field(body, error.status_code, WireError.of(error.body))
                if field is None:
                    raise self._fault(error) from error
                self._left_out[model] = self._left_out.get(model, frozenset()) | {field}
            except UnicodeEncodeError:
                if mended:
                    raise
                mended = True
            except openai.OpenAIError as error:
                raise self._fault(error) from error

    async def _events(
        self, response: openai.AsyncAPIResponse[openai.AsyncStream[Any]], answer: ChatAccumulator
    ) -> AsyncGenerator[JSONObject]:
        """The answer's chunks as they came; the SDK's own iterator drops `error:` lines."""
        import httpx2

        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if kind == "text/html":
                raise self._not_this_wire("chat/completions")
            if kind.endswith("json"):
                yield json_object(await response.read())
                return
            chunks = response.iter_bytes()
            async for data in event_data(chunks):
                if data.startswith(DONE):
                    await _drain(chunks)
                    return
                if data:
                    yield json_object(data)
        except httpx2.HTTPError as error:
            if answer.stop_reason is None:
                raise StreamTruncated(
                    f"The connection to {self.name} broke off in the middle of its answer "
                    f"({str(error) or type(error).__name__}). Nothing of it was run; try again."
                ) from error
        except ValueError as error:
            raise ServerFault(f"{self.name} sent something that is not JSON ({error}). Try again.") from error

    # --- the endpoint ---------------------------------------------------------------------------------------

    async def _ready(self) -> openai.AsyncOpenAI:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._make_client)
            return self._client

    def _make_client(self) -> openai.AsyncOpenAI:
        """Imports the SDK, which takes most of a second."""
        import openai

        timeout = openai.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        client = openai.AsyncOpenAI(
            api_key=self._key or PLACEHOLDER_KEY,
            base_url=self._base_url,
            max_retries=0,  # the loop retries, and books every try
            timeout=timeout,
            default_headers=self._headers,
            http_client=openai.DefaultAsyncHttpx2Client(
                trust_env=not is_loopback(self._base_url),  # a proxy has no business on this machine
                verify=self._base_url.startswith("https:"),  # plain HTTP: spares loading certificates
            ),
        )
        if self.name != "openai":
            # The SDK reads these from OpenAI's own variables; they are no other endpoint's to see.
            client.organization = client.project = None
            client._custom_headers = dict(self._headers)
        _ = client.chat.completions.with_streaming_response  # imports what the first call needs
        return client

    def _origin(self, request: Request) -> Origin:
        return Origin(WIRE, self._base_url, request.prefix.model.name)

    async def _told_window(self, model: str) -> int | None:
        with suppress(ProviderError):
            listed = {info.name: info.context_window for info in await self.models()}
            return listed.get(model) or await self._served_window()
        return None

    async def _served_window(self) -> int | None:
        """The window a llama.cpp server was started with; other servers don't know the address."""
        import openai

        client = await self._ready()
        root = self._base_url.removesuffix("/v1")
        try:
            props = await client.get(f"{root}/props", cast_to=object)
        except (openai.OpenAIError, ValueError):
            return None
        settings = section(props, "default_generation_settings") if isinstance(props, dict) else {}
        return count(settings.get("n_ctx"))

    def _fault(self, error: openai.OpenAIError) -> ProviderError:
        import openai

        match error:
            case openai.APIStatusError():
                said = WireError.of(error.body)
                if error.status_code == 404 and "model" not in said.message.lower():
                    return self._not_this_wire("chat/completions", status=404)
                return http_fault(
                    self.name,
                    error.status_code,
                    said.message,
                    kind=said.kind,
                    retry_after=retry_after_seconds(error.response.headers, now=time.time()),
                    secret=self._key,
                )
            case openai.APIConnectionError():
                return unreachable(self.name, self._base_url, error.__cause__ or error)
            case _:
                return ServerFault(f"{self.name} failed ({error}). Nothing is lost; try again in a moment.")

    def _not_this_wire(self, path: str, *, status: int | None = None) -> ProviderError:
        hint = "" if urlsplit(self._base_url).path else f" Most end in /v1: try {self._base_url}/v1"
        return ModelNotFound(
            f"No OpenAI-compatible endpoint answers at {self._base_url}/{path}. "
            f"Check the base_url of {self.name}.{hint}",
            status=status,
        )


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in chunks:
                pass


def _window(model: JSONObject) -> int | None:
    told = (count(model.get(field)) for field in WINDOW_FIELDS)
    return next((window for window in told if window), None)
