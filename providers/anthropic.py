"""Anthropic's Messages API, and every endpoint that speaks it.

Quirk `x-api-key`: the endpoint reads the key from the header `X-Api-Key`; the SDK sends a bearer token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from providers import anthropic_diagnosis
from providers.anthropic_answer import Answer, anthropic_cache_tokens, complaint, decoded
from providers.anthropic_encoder import ENCODER, WIRE, encode
from providers.anthropic_thinking import NOTHING_LEFT_OUT, refused, thinking_fields
from providers.call import Call, StreamedCall
from providers.counts import count
from providers.departure import traced
from providers.endpoint import is_loopback, without_credentials
from providers.errors import (
    ConfigurationError,
    ModelNotFound,
    ProviderError,
    RequestRejected,
    ServerFault,
    StreamTruncated,
)
from providers.faults import http_fault, redirected, retry_after_seconds, stalled, unreachable
from providers.lines import json_object, sent_events
from providers.pricing import context_window
from providers.provider import ModelInfo
from providers.settings import ProviderSettings, key_of, required_key
from providers.silence import Patience, attentive, awaited, drain, patience_for
from providers.types import JSONObject, ModelRef, Origin, Request

if TYPE_CHECKING:
    from anthropic import APIStatusError, AsyncAnthropic, AsyncStream

__all__ = ["Anthropic", "anthropic_cache_tokens", "connect"]

ENDPOINT = "https://api.anthropic.com"
NO_KEY = "none"
"""Sent to an endpoint of a person's own that was given no key: the SDK insists on one."""

EVERY_SCHEME = ("http://", "https://", "all://")
CONNECT_SECONDS = 10.0
LIST_SECONDS = 30.0
"""How long the list of models may take."""


def connect(name: str, settings: ProviderSettings, environ: Mapping[str, str], home: Path) -> Anthropic:
    """The provider for `anthropic`, or for an endpoint that speaks its wire.

    Raises MissingKey, and ConfigurationError for an address that is none.
    """
    endpoint = settings.base_url or environ.get("ANTHROPIC_BASE_URL", "").strip() or ENDPOINT
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"The address of {name} is not a URL: {endpoint!r}. It begins with http:// or https://"
        )
    endpoint = without_credentials(name, endpoint).rstrip("/").removesuffix("/v1")  # the SDK adds it
    if endpoint == ENDPOINT:
        key = required_key(name, settings, environ)
    else:
        key = key_of(name, settings, environ) or NO_KEY
    headers = dict(settings.headers)
    if "x-api-key" in settings.quirks:
        headers["X-Api-Key"] = key
    return Anthropic(name, endpoint, key, headers, settings.stall_seconds)


class Anthropic:
    """A connection to one endpoint. It remembers what each model refused to be told, or asked."""

    encoder = ENCODER

    def __init__(
        self,
        name: str,
        endpoint: str,
        key: str,
        headers: Mapping[str, str],
        stall_seconds: float | None = None,
    ) -> None:
        self.name = name
        self._endpoint = endpoint
        self._key = key
        self._headers = headers
        self._stall_seconds = stall_seconds
        self._silent = partial(stalled, name)
        self._client: AsyncAnthropic | None = None
        self._opening = asyncio.Lock()
        self._left_out: dict[str, frozenset[str]] = {}

    def stream(self, request: Request) -> Call:
        origin = Origin(WIRE, self._endpoint, request.prefix.model.name)
        answer = Answer(self.name, origin)
        return StreamedCall(
            request, partial(self._exchange, request), answer, provisional=lambda: answer.provisional
        )

    async def prepare(self) -> None:
        await self._connected()

    async def context_window(self, model: str) -> int | None:
        return await asyncio.to_thread(context_window, ModelRef(WIRE, model))

    async def models(self) -> tuple[ModelInfo, ...]:
        client = await self._connected()
        try:
            with self._faults():
                offered = [model async for model in client.models.list(limit=1000, timeout=LIST_SECONDS)]
            return tuple(
                ModelInfo(str(model.id), count(model.max_input_tokens), str(model.display_name or ""))
                for model in offered
            )
        except AttributeError as error:  # the SDK takes whatever came for a list
            raise ModelNotFound(
                f"No list of models came from {self._endpoint}. Check the base_url of {self.name}."
            ) from error

    async def aclose(self) -> None:
        async with self._opening:
            client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self) -> AsyncAnthropic:
        """The SDK's client, made in a thread: importing the SDK takes a second or two."""
        async with self._opening:  # sub-agents call side by side, and one client alone is closed at the end
            if self._client is None:
                self._client = await asyncio.to_thread(self._make_client)
            return self._client

    def _make_client(self) -> AsyncAnthropic:
        import httpx2
        from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

        # A proxy named in the environment does not reach this machine's own servers.
        # The SDK mounts it whatever `trust_env` says, but for what is mounted already.
        here = is_loopback(self._endpoint)
        hooks = {"request": [traced]}
        proxies: dict[str, Any] = {"trust_env": False, "mounts": dict.fromkeys(EVERY_SCHEME)} if here else {}
        timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)  # silence is noticed by `awaited`
        return AsyncAnthropic(
            api_key=self._key,
            base_url=self._endpoint,
            max_retries=0,
            timeout=timeout,
            default_headers=self._headers,
            open_telemetry=False,
            # The key and the conversation are for this address alone.
            http_client=DefaultAsyncHttpxClient(follow_redirects=False, event_hooks=hooks, **proxies),
        )

    @asynccontextmanager
    async def _exchange(self, request: Request) -> AsyncGenerator[AsyncIterator[JSONObject]]:
        """Send a request; the raw events of the answer. Raises ProviderError, also while they are read."""
        client = await self._connected()
        with self._faults():
            stream = await self._send(client, request)
        try:
            patience = self._patience(request)
            await self._require_stream(stream, patience)
            async with aclosing(self._events(stream, patience)) as events:
                yield events
        finally:
            with suppress(ProviderError), self._faults(begun=True):
                await stream.close()

    async def _send(self, client: AsyncAnthropic, request: Request) -> AsyncStream[Any]:
        """The endpoint's answer. What it refuses to hear costs one more request, once a model."""
        from anthropic import APIStatusError, AsyncStream
        from anthropic.types import Message, RawMessageStreamEvent

        model, effort = request.prefix.model.name, request.prefix.parameters.effort
        while True:
            left_out = self._left_out.get(model, NOTHING_LEFT_OUT)
            content = encode(request, self._endpoint, left_out)
            try:
                async with awaited(self._patience(request, len(content)).first, self._silent):
                    return await client.post(
                        "/v1/messages",
                        content=content,
                        cast_to=Message,
                        stream=True,
                        stream_cls=AsyncStream[RawMessageStreamEvent],
                    )
            except APIStatusError as error:
                said, _ = complaint(_error_body(error))
                status, own = error.status_code, self._endpoint == ENDPOINT
                field = refused(thinking_fields(effort, left_out), status, said)
                if field is None and anthropic_diagnosis.refused(status, said, left_out, own=own):
                    field = anthropic_diagnosis.FIELD
                if field is None:
                    raise
                self._left_out[model] = left_out | {field}

    def _patience(self, request: Request, sending: int = 0) -> Patience:
        """Thinking needs no more of it: this wire pings while the model thinks."""
        return patience_for(
            self._stall_seconds, factor=request.patience, loads=is_loopback(self._endpoint), sending=sending
        )

    async def _require_stream(self, stream: AsyncStream[Any], patience: Patience) -> None:
        """Some servers answer a request for a stream with one JSON body, an error's under HTTP 200 even."""
        kind = stream.response.headers.get("content-type", "text/event-stream")
        if kind.startswith("text/event-stream"):
            return
        with self._faults(begun=True):
            async with awaited(patience.first, self._silent):
                body = decoded((await stream.response.aread()).decode("utf-8", "replace"))
        if "error" in body:
            raise self._fault(200, body, None)
        raise RequestRejected(
            f"{self.name} did not stream its answer, it sent {kind}. "
            f"Check that a server that speaks Anthropic's Messages API answers at {self._endpoint}"
        )

    async def _events(self, stream: AsyncStream[Any], patience: Patience) -> AsyncGenerator[JSONObject]:
        """The events as they came: the SDK would drop those of proxies that send no `event:` lines."""
        with self._faults(begun=True):
            body = stream.response.aiter_bytes()
            async for sent in sent_events(attentive(body, patience, self._silent)):
                event = json_object(sent.data) if sent.data.startswith("{") else {}
                kind = event.get("type", sent.name)
                yield {**event, "type": kind}
                if kind == "message_stop":
                    break
            await drain(body)

    @contextmanager
    def _faults(self, *, begun: bool = False) -> Generator[None]:
        """Let only ProviderError out. `begun`: the answer had begun, so that it broke off."""
        import anthropic
        import httpx2

        try:
            yield
        except anthropic.APIStatusError as error:
            raise self._status_fault(error) from error
        except anthropic.APIConnectionError as error:
            raise unreachable(self.name, self._endpoint, error.__cause__ or error) from error
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            if not begun:
                raise unreachable(self.name, self._endpoint, error) from error
            raise StreamTruncated(
                f"The connection to {self.name} broke in the middle of its answer "
                f"({str(error) or type(error).__name__}). Nothing of it was run; try again."
            ) from error
        except (anthropic.AnthropicError, httpx2.InvalidURL, ValueError, TypeError) as error:
            if begun:
                raise ServerFault(
                    f"{self.name} sent something that is not its wire ({error}). Try again."
                ) from error
            raise RequestRejected(
                f"The request to {self.name} could not be made ({error}). Check its address, key and headers."
            ) from error

    def _status_fault(self, error: APIStatusError) -> ProviderError:
        if error.status_code < 400:
            return redirected(self.name, error.status_code, error.response.headers.get("location", ""))
        wait = retry_after_seconds(error.response.headers, now=time.time())
        return self._fault(error.status_code, _error_body(error), wait)

    def _fault(self, status: int, body: JSONObject, retry_after: float | None) -> ProviderError:
        message, kind = complaint(body)
        return http_fault(self.name, status, message, kind=kind, retry_after=retry_after, secret=self._key)


def _error_body(error: APIStatusError) -> JSONObject:
    return error.body if isinstance(error.body, dict) else {"error": str(error.body or "")}
