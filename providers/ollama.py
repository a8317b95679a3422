"""The provider for Ollama: the chat over its own NDJSON, models listed and pulled with its own package.

The package is kept away from the chat: it drops `prompt_eval_cached_count` and the ids of tool calls, and
rewrites tools' schemas.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from providers.call import Call, StreamedCall
from providers.call_ids import taken_ids
from providers.counts import count
from providers.departure import traced
from providers.effort import nearest
from providers.endpoint import is_loopback
from providers.errors import (
    ConfigurationError,
    ModelNotFound,
    ProviderError,
    RequestRejected,
    ServerFault,
    StreamTruncated,
    Unreachable,
)
from providers.faults import redirected, retry_after_seconds, stalled
from providers.lines import json_lines, json_object
from providers.listening import listens
from providers.ollama_chunks import (
    OllamaAccumulator,
    ollama_cached_read_tokens,
    ollama_fault,
    ollama_usage,
)
from providers.ollama_context import is_hosted, size_to_ask
from providers.ollama_host import host_url
from providers.ollama_messages import ENCODER, encode_messages, encode_tools
from providers.openai_faults import WireError
from providers.provider import ModelInfo
from providers.settings import ProviderSettings, key_of
from providers.silence import Patience, attentive, awaited, drain, patience_for
from providers.types import JSON, JSONObject, Origin, Parameters, Request

if TYPE_CHECKING:
    import httpx2
    import ollama

__all__ = ["OllamaProvider", "connect", "ollama_cached_read_tokens", "ollama_usage", "reachable"]

WIRE = "ollama"
KEY_VARIABLE = "OLLAMA_API_KEY"
KEEP_ALIVE = "30m"
"""How long the model, and with it its cache, stays loaded after a call. Ollama's own default is 5 minutes."""

LEVELS = ("low", "medium", "high", "max")
"""The efforts that `think` takes by name. A model that knows no levels is told only whether to think."""

CONNECT_SECONDS = 5.0
PATIENCE_SECONDS = 30.0


def connect(name: str, settings: ProviderSettings, environ: Mapping[str, str], home: Path) -> OllamaProvider:
    """The server at the configured address, else at `OLLAMA_HOST`. Raises ConfigurationError."""
    key = key_of(name, replace(settings, api_key=settings.api_key or environ.get(KEY_VARIABLE)), environ)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    url = host_url(settings.base_url or environ.get("OLLAMA_HOST", ""))
    return OllamaProvider(name, url, {**headers, **settings.headers}, settings, key)


async def reachable(environ: Mapping[str, str]) -> bool:
    """Whether something listens where Ollama would, asked with a bare socket for a moment."""
    try:
        return await listens(host_url(environ.get("OLLAMA_HOST", "")))
    except ConfigurationError:
        return False


class OllamaProvider:
    """One Ollama server. It remembers what thinking each model refused."""

    def __init__(
        self,
        name: str,
        url: str,
        headers: Mapping[str, str],
        settings: ProviderSettings = ProviderSettings(),  # noqa: B008  a frozen value
        key: str | None = None,
    ) -> None:
        """`key` stands in the headers; it is masked where the server repeats it."""
        self.name = name
        self.encoder = ENCODER
        self._url = url
        self._headers = headers
        self._key = key
        self._stall_seconds = settings.stall_seconds
        self._context_window = settings.context_window
        self._keep_alive = settings.keep_alive
        self._silent = partial(stalled, name)
        self._client: httpx2.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._refused: dict[str, frozenset[JSON]] = {}
        """Values of `think` by model."""
        self._asked: dict[str, int] = {}
        """The context size that the last request for a model asked for, in tokens."""

    def stream(self, request: Request) -> Call:
        answer = OllamaAccumulator(
            self._origin(request), provider=self.name, taken=taken_ids(request), secret=self._key
        )
        return StreamedCall(request, lambda: self._open(request, answer), answer)

    async def prepare(self) -> None:
        await self._ready()

    async def context_window(self, model: str) -> int | None:
        """What fits: the size asked for, or that the model runs with; never more than it was made for."""
        with suppress(ProviderError):
            async with self._package(model) as package:
                shown = await package.show(model)
                running = [] if model in self._asked else (await package.ps()).models
            made = _made_for(shown)
            loaded = [each.context_length for each in running if each.model == model or each.name == model]
            sizes = [size for size in (made, self._asked.get(model), *loaded) if size]
            return min(sizes, default=None)
        return self._asked.get(model)

    async def settled(self, model: str, parameters: Parameters) -> Parameters:
        """With the context size to ask for in every call, and how long the model shall stay loaded."""
        size = self._context_window or await self._size_to_ask(model)
        if size:
            self._asked[model] = size
        return replace(parameters, context_window=size, keep_alive=self._keep_alive)

    async def _size_to_ask(self, model: str) -> int | None:
        if is_hosted(model):
            return None
        with suppress(ProviderError):
            async with self._package(model) as package:
                shown, running = await package.show(model), (await package.ps()).models
            loaded = [each.context_length or 0 for each in running if model in (each.model, each.name)]
            return size_to_ask(_made_for(shown), shown.parameters or "", loaded)
        return None

    async def models(self) -> tuple[ModelInfo, ...]:
        async with self._package() as package:
            listed = (await package.list()).models
        return tuple(ModelInfo(each.model, note=_size(each)) for each in listed if each.model)

    async def loaded(self) -> tuple[ModelInfo, ...]:
        """The models in memory, each with the context that it runs with. Raises ProviderError."""
        async with self._package() as package:
            running = (await package.ps()).models
        return tuple(ModelInfo(each.model, each.context_length) for each in running if each.model)

    async def pull(self, model: str, progress: Callable[[int, int], None]) -> None:
        """Fetch a model onto the server; `progress` is told bytes done and in all. Raises ProviderError."""
        done: dict[str, tuple[int, int]] = {}
        async with self._package(model, patience=None) as package:
            async for step in await package.pull(model, stream=True):
                if step.digest and step.total:
                    done[step.digest] = (step.completed or 0, step.total)
                    parts, wholes = zip(*done.values(), strict=True)
                    progress(sum(parts), sum(wholes))

    async def aclose(self) -> None:
        async with self._opening:
            client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # --- one call -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _open(
        self, request: Request, answer: OllamaAccumulator
    ) -> AsyncIterator[AsyncIterator[JSONObject]]:
        async with AsyncExitStack() as stack:
            # Wherever the server runs, it may have to load the model before its first byte.
            patience = patience_for(self._stall_seconds, factor=request.patience, loads=True)
            response = await self._send(request, stack, patience)
            yield await stack.enter_async_context(aclosing(self._events(response, answer, patience)))

    async def _send(self, request: Request, stack: AsyncExitStack, patience: Patience) -> httpx2.Response:
        """The server's answer, its body still to come. A refused `think` costs one more request, once."""
        import httpx2

        client, model = await self._ready(), request.prefix.model.name
        while True:
            think = self._think(request)
            body = json.dumps(self._body(request, think), ensure_ascii=False, separators=(",", ":"))
            # A lone surrogate is not UTF-8, and no session should be stuck on one.
            content, headers = body.encode("utf-8", "replace"), {"content-type": "application/json"}
            sent = client.stream("POST", "/api/chat", content=content, headers=headers)
            try:
                async with awaited(patience.first, self._silent):
                    response = await stack.enter_async_context(sent)
                    if response.status_code < 300:
                        return response
                    if response.is_redirect:
                        location = response.headers.get("location", "")
                        raise redirected(self.name, response.status_code, location)
                    said = _said(await response.aread())
            except httpx2.HTTPError as error:
                raise self._unreachable(error) from error
            if response.status_code != 400 or think is None or "think" not in said:
                wait = retry_after_seconds(response.headers, now=time.time())
                raise self._fault(response.status_code, said, model, retry_after=wait)
            self._refused[model] = self._refused.get(model, frozenset()) | {think}

    def _body(self, request: Request, think: JSON) -> dict[str, JSON]:
        prefix, parameters = request.prefix, request.prefix.parameters
        options: dict[str, JSON] = {"num_predict": request.output_limit}
        if parameters.context_window:
            options["num_ctx"] = parameters.context_window
            self._asked[prefix.model.name] = parameters.context_window
        body: dict[str, JSON] = {
            "model": prefix.model.name,
            "messages": encode_messages(prefix, request.messages, self._origin(request)),
            "stream": True,
            "keep_alive": KEEP_ALIVE if parameters.keep_alive is None else int(parameters.keep_alive),
            # Say that a conversation is too long, rather than silently forget its beginning.
            "truncate": False,
            "shift": False,
            "options": options,
        }
        if prefix.tools:
            body["tools"] = encode_tools(prefix.tools)
        if think is not None:
            body["think"] = think
        return body

    def _think(self, request: Request) -> str | bool | None:
        """What to say of thinking: the effort by name, else just that it is wanted, else nothing."""
        effort = request.prefix.parameters.effort
        if not effort:
            return None
        wishes: tuple[str | bool, ...] = (False,) if effort == "none" else (nearest(effort, LEVELS), True)
        refused = self._refused.get(request.prefix.model.name, frozenset())
        return next((wish for wish in wishes if wish not in refused), None)

    async def _events(
        self, response: httpx2.Response, answer: OllamaAccumulator, patience: Patience
    ) -> AsyncGenerator[JSONObject]:
        import httpx2

        try:
            body = response.aiter_bytes()
            async for line in json_lines(attentive(body, patience, self._silent)):
                yield line
                if answer.stop_reason is not None:
                    await drain(body)
                    return
        except httpx2.HTTPError as error:
            if answer.stop_reason is None:
                raise StreamTruncated(
                    f"The connection to {self.name} broke off in the middle of its answer "
                    f"({str(error) or type(error).__name__}). Nothing of it was run; try again."
                ) from error
        except ValueError as error:
            raise ServerFault(
                f"{self.name} sent something that is not JSON ({error}). Is it Ollama at {self._url}?"
            ) from error

    # --- the server -----------------------------------------------------------------------------------------

    async def _ready(self) -> httpx2.AsyncClient:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._make_client)
            return self._client

    def _make_client(self) -> httpx2.AsyncClient:
        import httpx2

        return httpx2.AsyncClient(
            base_url=self._url,
            headers=self._headers,
            event_hooks={"request": [traced]},
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),  # silence is noticed by `awaited`
            trust_env=not is_loopback(self._url),  # a proxy has no business on this machine
            verify=self._url.startswith("https:"),  # plain HTTP: spares loading the system's certificates
        )

    @asynccontextmanager
    async def _package(
        self, model: str = "", *, patience: float | None = PATIENCE_SECONDS
    ) -> AsyncIterator[ollama.AsyncClient]:
        """Ollama's own client, whose errors become those a person reads. `patience` is in seconds."""
        httpx, ollama = await asyncio.to_thread(_import_package)
        client = ollama.AsyncClient(
            self._url,
            headers=dict(self._headers),
            timeout=patience,
            follow_redirects=False,
            trust_env=not is_loopback(self._url),
        )
        try:
            yield client
        except ollama.ResponseError as error:
            raise self._fault(error.status_code, str(error.error), model) from error
        except (httpx.HTTPError, ConnectionError) as error:
            raise self._unreachable(error) from error
        except (ValueError, TypeError) as error:
            raise ServerFault(f"What answers at {self._url} is not Ollama. Check OLLAMA_HOST.") from error
        finally:
            await client.close()

    def _fault(
        self, status: int, said: str, model: str, *, retry_after: float | None = None
    ) -> ProviderError:
        if "pull model manifest" in said:
            return ModelNotFound(
                f"Ollama cannot fetch {model} ({said}). Look its name up at https://ollama.com/search",
                status=404,
            )
        if status == 404 and "model" in said:
            return ModelNotFound(
                f"Ollama does not have {model} ({said}). Fetch it with: ollama pull {model}", status=404
            )
        if status == 404:
            return ModelNotFound(f"What answers at {self._url} is not Ollama. Check OLLAMA_HOST.", status=404)
        if "does not support tools" in said:
            return RequestRejected(
                f"{model} cannot use tools, which an agent works with. Choose another model: agent models",
                status=status,
            )
        return ollama_fault(self.name, max(status, 0), said, retry_after=retry_after, secret=self._key)

    def _unreachable(self, cause: BaseException) -> Unreachable:
        return Unreachable(
            f"Cannot reach Ollama at {self._url} ({str(cause) or type(cause).__name__}). "
            "Start it with: ollama serve. Or set OLLAMA_HOST to where it runs."
        )

    def _origin(self, request: Request) -> Origin:
        return Origin(WIRE, self._url, request.prefix.model.name)


def _import_package() -> tuple[Any, Any]:
    import httpx
    import ollama

    return httpx, ollama


def _made_for(shown: ollama.ShowResponse) -> int | None:
    """The context that a model was made for, in tokens."""
    facts = (shown.modelinfo or {}).items()
    return next((count(size) for key, size in facts if key.endswith(".context_length")), None)


def _size(model: ollama.ListResponse.Model) -> str:
    details = model.details
    known = (details.parameter_size, details.quantization_level) if details else ()
    return " ".join(part for part in known if part)


def _said(body: bytes) -> str:
    try:
        return WireError.of(json_object(body)).message
    except ValueError:
        return body[:200].decode(errors="replace")
