"""An endpoint that speaks one of OpenAI's wires: a request's way there, and its answer's way back.

A wire says what is posted where and how the answer is folded (`Wire`); everything else is here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from providers import pricing
from providers.call import Accumulator, Call, StreamedCall
from providers.counts import count, section
from providers.effort import Effort
from providers.endpoint import Endpoint, is_loopback
from providers.errors import ProviderError, ServerFault, Stalled, StreamTruncated
from providers.faults import stalled, unreachable
from providers.lines import DONE, event_data, json_object
from providers.openai_client import make_client, not_this_wire, openai_fault
from providers.openai_faults import PRELUDE, WireError, refusal
from providers.openai_request import affinity_headers
from providers.openai_tail import TAIL_SECONDS, drain, until_ended
from providers.provider import ModelInfo
from providers.silence import Patience, attentive, awaited, patience_for
from providers.types import JSON, JSONObject, ModelRef, Origin, Request

if TYPE_CHECKING:
    import httpx2
    import openai

LIST_SECONDS = 30.0
"""How long an endpoint may take to list its models."""
WINDOW_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length")
"""Where endpoints tell a model's context window in their list: vLLM · OpenRouter · Groq · Mistral."""

Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wire:
    """What differs between the wires."""

    name: str
    encoder: str
    path: str
    """What is posted to, below the endpoint's address."""
    body: Callable[[Request, Origin, frozenset[str], frozenset[str]], Body]
    """The request for the model at an origin, by the endpoint's quirks, without the fields it refused."""
    refused: Callable[[Mapping[str, JSON], int, WireError], str | None]
    """The optional field of a body that an endpoint's refusal is about, if it is about one."""
    answer: Callable[[Request, Origin, str], Accumulator]
    """One call's accumulator, for the model at an origin and the provider of this name."""
    closes: bool
    """Whether the event that says how the answer ended is its last; else usage may follow, then `[DONE]`."""
    tells_early: bool = False
    """Whether its usage may come before the answer's end, not yet with all of its output."""
    thinks: bool = False
    """Whether models that are reached over it think unless told not to."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request's body, and the answer to it."""

    body: Body
    response: httpx2.Response


class OpenAIProvider:
    """One endpoint on one wire. It remembers which optional request fields each model refused."""

    def __init__(self, wire: Wire, endpoint: Endpoint) -> None:
        self.name = endpoint.name
        self.encoder = wire.encoder
        self._wire = wire
        self._endpoint = endpoint
        self._base_url = endpoint.base_url
        self._silent = partial(stalled, endpoint.name)
        self._client: openai.AsyncOpenAI | None = None
        self._opening = asyncio.Lock()
        self._left_out: dict[str, frozenset[str]] = {}
        self._windows: dict[str, int] = {}

    def stream(self, request: Request) -> Call:
        answer = self._wire.answer(request, self._origin(request), self.name)
        return StreamedCall(
            request,
            lambda: self._open(request, answer),
            answer,
            provisional=lambda: self._wire.tells_early and answer.stop_reason is None,
        )

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
            listed = [model async for model in client.models.list(timeout=LIST_SECONDS)]
            return tuple(ModelInfo(str(model.id), _window(model.to_dict(warnings=False))) for model in listed)
        except openai.OpenAIError as error:
            raise openai_fault(self._endpoint, self._wire.path, error) from error
        except (ValueError, AttributeError, TypeError) as error:  # the SDK takes whatever came for a list
            raise not_this_wire(self._endpoint, "models") from error

    async def aclose(self) -> None:
        async with self._opening:
            client, self._client = self._client, None
        if client is not None:
            await client.close()

    # --- one call -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _open(self, request: Request, answer: Accumulator) -> AsyncIterator[AsyncIterator[JSONObject]]:
        sent = await self._send(request)
        try:
            async with aclosing(self._answered(request, answer, sent)) as events:
                yield events
        finally:
            await sent.response.aclose()

    async def _answered(
        self, request: Request, answer: Accumulator, sent: _Sent
    ) -> AsyncGenerator[JSONObject]:
        """The answer's events. An optional field may be refused by one, too, before there is any output."""
        while True:
            begun = False
            try:
                async with aclosing(self._events(sent.response, answer, self._patience(request))) as events:
                    async for event in events:
                        said = None if begun else refusal(event)
                        if said is not None and self._declined(request, sent.body, *said):
                            break
                        begun = begun or event.get("type") not in PRELUDE
                        yield event
                    else:
                        return
            finally:
                await sent.response.aclose()
            sent = await self._send(request)

    async def _send(self, request: Request) -> _Sent:
        """What was sent, and the answer, its body still to come. A refused optional field costs one more."""
        import httpx2
        import openai

        client = await self._ready()
        model, origin, quirks = request.prefix.model.name, self._origin(request), self._endpoint.quirks
        while True:
            body = self._wire.body(request, origin, quirks, self._left_out.get(model, frozenset()))
            content = _utf8(body)
            try:
                async with awaited(self._patience(request, len(content)).first, self._silent):
                    return _Sent(body, await self._post(client, content, affinity_headers(request, quirks)))
            except openai.APIStatusError as error:
                if not self._declined(request, body, error.status_code, WireError.of(error.body)):
                    raise openai_fault(self._endpoint, self._wire.path, error) from error
            except openai.OpenAIError as error:
                raise openai_fault(self._endpoint, self._wire.path, error) from error
            except httpx2.HTTPError as error:  # the SDK reads a refusal's body unguarded
                raise unreachable(self.name, self._base_url, error) from error

    def _declined(self, request: Request, body: Body, status: int, said: WireError) -> bool:
        """Whether a refusal is about an optional field, which this model is then not sent again."""
        field = self._wire.refused(body, status, said)
        if field is None:
            return False
        model = request.prefix.model.name
        self._left_out[model] = self._left_out.get(model, frozenset()) | {field}
        return True

    async def _post(
        self, client: openai.AsyncOpenAI, content: bytes, headers: Mapping[str, str]
    ) -> httpx2.Response:
        """As bytes of our own, a request is the same ones whatever the SDK's version; and it need not walk
        through every message, which takes it a millisecond for each in a long conversation."""
        import httpx2
        import openai

        response = await client.post(
            f"/{self._wire.path}",
            content=content,
            cast_to=httpx2.Response,
            options={"headers": headers},
            stream=True,
            stream_cls=openai.AsyncStream[Any],
        )
        return cast("httpx2.Response", response)

    async def _events(
        self, response: httpx2.Response, answer: Accumulator, patience: Patience
    ) -> AsyncGenerator[JSONObject]:
        """The answer's events as they came; the SDK's own iterator drops `error:` lines."""
        import httpx2

        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if kind == "text/html":
                raise not_this_wire(self._endpoint, self._wire.path)
            body = attentive(response.aiter_bytes(), patience, self._silent)
            chunks = until_ended(body, answer, min(patience.between, TAIL_SECONDS))
            if kind.endswith("json"):
                yield json_object(b"".join([chunk async for chunk in chunks]))
                return
            async for data in event_data(chunks):
                done = data.startswith(DONE)
                if data and not done:
                    yield json_object(data)
                if done or (self._wire.closes and answer.stop_reason is not None):
                    await drain(chunks)
                    return
        except Stalled:
            if answer.stop_reason is None:  # else only the usage is missing, or the body's end
                raise
        except httpx2.HTTPError as error:
            if answer.stop_reason is None:
                raise StreamTruncated(
                    f"The connection to {self.name} broke off in the middle of its answer "
                    f"({str(error) or type(error).__name__}). Nothing of it was run; try again."
                ) from error
        except ValueError as error:
            raise ServerFault(f"{self.name} sent something that is not JSON ({error}). Try again.") from error

    def _patience(self, request: Request, sending: int = 0) -> Patience:
        """Neither wire need show what a model thinks. One that was asked to think gets time for it, and so do
        those of the Responses API, which think unless told not to. Any other endpoint of this kind is taken
        for one that answers soon; if it proves slow, it gets its time from the next attempt on.
        """
        effort = request.prefix.parameters.effort
        thinks = effort != Effort.NONE if self._wire.thinks else effort not in (None, Effort.NONE)
        return patience_for(
            self._endpoint.stall_seconds,
            factor=request.patience,
            loads=is_loopback(self._base_url),
            unseen_thinking=thinks,
            sending=sending,
        )

    def _origin(self, request: Request) -> Origin:
        return Origin(self._wire.name, self._base_url, request.prefix.model.name)

    # --- the endpoint ---------------------------------------------------------------------------------------

    async def _ready(self) -> openai.AsyncOpenAI:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(make_client, self._endpoint)
            return self._client

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
            props = await client.get(f"{root}/props", cast_to=object, options={"timeout": LIST_SECONDS})
        except (openai.OpenAIError, ValueError):
            return None
        settings = section(props, "default_generation_settings") if isinstance(props, dict) else {}
        return count(settings.get("n_ctx"))


def _utf8(body: Body) -> bytes:
    """The body's JSON, each lone surrogate as `?`: it is not UTF-8, and no session should be stuck on one."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _window(model: JSONObject) -> int | None:
    told = (count(model.get(field)) for field in WINDOW_FIELDS)
    return next((window for window in told if window), None)
