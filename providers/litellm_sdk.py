"""Every provider that LiteLLM's library knows, through that library: `litellm-sdk/PROVIDER/MODEL`.

Keys and addresses are found as the library finds them, by each provider's own variables, unless
`[providers.litellm-sdk]` sets them.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from providers.call import Call, StreamedCall
from providers.call_ids import taken_ids
from providers.counts import count
from providers.departure import sent
from providers.endpoint import without_credentials
from providers.errors import ConfigurationError, ModelNotFound, ProviderError, ServerFault, StreamTruncated
from providers.faults import http_fault, retry_after_seconds, stalled, unreachable
from providers.litellm_request import ENCODER, NOTHING_LEFT_OUT, WIRE, request_arguments
from providers.litellm_usage import litellm_usage
from providers.openai_chunks import ChatAccumulator
from providers.provider import ModelInfo
from providers.settings import ProviderSettings, key_of
from providers.silence import LONGEST, Patience, attentive, awaited, patience_for
from providers.threads import aside
from providers.types import JSONObject, Origin, Request, Usage

__all__ = ["LitellmSDK", "connect", "litellm_usage"]

ANYWHERE = "litellm"
"""The endpoint of an origin where the library chooses it."""
SDK_MISSING = "LiteLLM's library is not installed. Run: pip install 'cachet-agent[litellm]'"
WANTED = "It is written litellm-sdk/PROVIDER/MODEL, as in litellm-sdk/bedrock/MODEL"

_PREFIX = re.compile(r"^(?:litellm\.)?\w+(?:Error|Exception)\s*(?::|-)\s*|^litellm\.Timeout:\s*")
"""What the library puts before a provider's own words, several times over."""
_CONNECTION = re.compile(r"Connection error|Cannot connect|Connect call failed|Connection refused", re.I)
_BROKEN = re.compile(r"ended before a finish_reason|payload is not completed|Connection|disconnected", re.I)


def connect(name: str, settings: ProviderSettings, environ: Mapping[str, str], home: Path) -> LitellmSDK:
    """The library, with the key and address of `settings` where it has some. Raises ConfigurationError."""
    if find_spec("litellm") is None:
        raise ConfigurationError(SDK_MISSING)
    without_credentials(name, settings.base_url or "")
    return LitellmSDK(name, settings, key_of(name, settings, environ))


class LitellmAnswer(ChatAccumulator):
    """An answer in OpenAI's chunks, whose usage may have another provider's shape."""

    @property
    def usage(self) -> Usage:
        return litellm_usage(self.raw_usage)


class LitellmSDK:
    """The library. It remembers what each model refused of a request."""

    encoder = ENCODER

    def __init__(self, name: str, settings: ProviderSettings, key: str | None) -> None:
        self.name = name
        self._base_url = (settings.base_url or "").rstrip("/")
        self._key = key
        self._headers = dict(settings.headers)
        self._stall_seconds = settings.stall_seconds
        self._left_out: dict[str, frozenset[str]] = {}

    def stream(self, request: Request) -> Call:
        answer = LitellmAnswer(self._origin(request), provider=self.name, taken=taken_ids(request))
        return StreamedCall(
            request,
            partial(self._exchange, request, answer),
            answer,
            provisional=lambda: answer.stop_reason is None,  # Anthropic tells of the prompt at the start
        )

    async def prepare(self) -> None:
        await aside(_library, _forget)

    async def context_window(self, model: str) -> int | None:
        """As the library's own table knows it."""
        return await aside(partial(_window, model), _forget)

    async def models(self) -> tuple[ModelInfo, ...]:
        """The models of the providers whose keys are in the environment, from the library's table."""
        return await aside(_offered, _forget)

    async def aclose(self) -> None:
        if "litellm" not in sys.modules:
            return
        litellm = _library()
        await litellm.close_litellm_async_clients()
        litellm.in_memory_llm_clients_cache.flush_cache()  # it would hand out the closed ones

    # --- one call ------------------------------------------------------------------------------------------

    def _origin(self, request: Request) -> Origin:
        return Origin(WIRE, self._base_url or ANYWHERE, request.prefix.model.name)

    @asynccontextmanager
    async def _exchange(
        self, request: Request, answer: LitellmAnswer
    ) -> AsyncGenerator[AsyncIterator[JSONObject]]:
        """Send a request; the chunks of the answer. Raises ProviderError, also while they are read."""
        await aside(_library, _forget)  # its import is no silence
        patience = patience_for(
            self._stall_seconds,
            factor=request.patience,
            loads=True,  # it may stand before a model on this machine, and doesn't tell
            unseen_thinking=True,
        )
        async with awaited(patience.first, self._silent):
            stream = await self._send(request)
        async with aclosing(stream), aclosing(self._chunks(stream, answer, patience)) as chunks:
            yield chunks

    async def _send(self, request: Request) -> Any:
        """The library's stream. A refused effort costs one more request, once for each model."""
        litellm = _library()
        model = request.prefix.model.name
        while True:
            left_out = self._left_out.get(model, NOTHING_LEFT_OUT)
            arguments = request_arguments(request, self._origin(request), left_out)
            sent()  # from here on nobody can tell
            try:
                return await litellm.acompletion(**arguments, **self._where(), timeout=LONGEST)
            except Exception as error:  # the library lets its providers' own errors through
                if not _refuses_effort(arguments, error):
                    raise self._fault(error, begun=False) from error
                self._left_out[model] = left_out | {"reasoning_effort"}

    def _where(self) -> dict[str, Any]:
        own = {"api_base": self._base_url, "api_key": self._key, "extra_headers": self._headers}
        return {name: value for name, value in own.items() if value}

    async def _chunks(
        self, stream: Any, answer: LitellmAnswer, patience: Patience
    ) -> AsyncGenerator[JSONObject]:
        try:
            async for chunk in attentive(aiter(stream), patience, self._silent):
                value = chunk.model_dump(exclude_none=True)
                if "usage" in value and not _told(stream):
                    del value["usage"]
                yield value
        except ProviderError:
            if answer.stop_reason is None:
                raise
        except Exception as error:  # as in `_send`
            for told in _told(stream):
                yield {"usage": told}
            if answer.stop_reason is None:
                raise self._fault(error, begun=True) from error

    def _silent(self, seconds: float, *, begun: bool = False) -> ProviderError:
        return stalled(self.name, seconds, begun=begun)

    def _fault(self, error: Exception, *, begun: bool) -> ProviderError:
        import openai  # whose error tree the library's own hangs on

        litellm = _library()
        message = _said(error)
        where = self._base_url or ANYWHERE
        match error:
            case litellm.ContextWindowExceededError():
                return http_fault(self.name, 400, message, kind="context_length_exceeded")
            case openai.APIStatusError() if begun:
                return self._broken(error, message)
            case openai.APIStatusError() if "LLM Provider NOT provided" in message:
                return ModelNotFound(f"{self.name} does not know whose model that is. {WANTED}", status=404)
            case openai.APIStatusError() if _CONNECTION.search(message):
                return unreachable(self.name, where, message)
            case openai.APIStatusError():
                headers = {name.lower(): value for name, value in error.response.headers.items()}
                wait = retry_after_seconds(headers, now=time.time())
                return http_fault(self.name, error.status_code, message, retry_after=wait, secret=self._key)
            case openai.APITimeoutError():
                return ServerFault(f"{self.name} did not answer in time ({message}). Send it again.")
            case openai.APIConnectionError():
                return unreachable(self.name, where, message)
            case _:
                return ServerFault(f"{self.name} failed ({message}). Nothing is lost; try again in a moment.")

    def _broken(self, error: Any, message: str) -> ProviderError:
        """The error for one in the middle of an answer: a lost connection has the status 500 there."""
        if _BROKEN.search(message):
            return StreamTruncated(
                f"The connection to {self.name} broke off in the middle of its answer ({message}). "
                "Nothing of it was run; try again."
            )
        return http_fault(self.name, 200, message, kind=str(error.status_code), secret=self._key)


def _library() -> Any:
    """LiteLLM, imported with all that it would fetch or print by itself switched off. Takes seconds, once."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    return litellm


def _forget(_: object) -> None:
    """What a call that was left would have returned."""


def _window(model: str) -> int | None:
    litellm = _library()
    with suppress(Exception):  # it raises a bare one for a model that it doesn't know
        return count(litellm.get_model_info(model).get("max_input_tokens"))
    return None


def _offered() -> tuple[ModelInfo, ...]:
    names = sorted(set(_library().get_valid_models()))
    return tuple(ModelInfo(name, _window(name)) for name in names)


def _told(stream: Any) -> list[JSONObject]:
    """The usage that the provider told so far. Where it tells none, the library makes one up at the end."""
    return [
        usage.model_dump(exclude_none=True)
        for chunk in stream.chunks
        if (usage := getattr(chunk, "usage", None)) is not None
    ]


def _said(error: Exception) -> str:
    """A provider's words without the names that the library put before them."""
    text = " ".join(str(error).partition("Original exception:")[0].split())
    while (found := _PREFIX.match(text)) is not None:
        text = text[found.end() :]
    return text.rstrip(". ")


def _refuses_effort(arguments: Mapping[str, Any], error: Exception) -> bool:
    words = str(error).lower()
    refused = getattr(error, "status_code", 0) in (400, 422)
    return (
        refused
        and "reasoning_effort" in arguments
        and any(word in words for word in ("reasoning", "effort", "thinking"))
    )
