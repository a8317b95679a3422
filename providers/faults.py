"""Turns an endpoint's refusal into the error a person reads, the same for every wire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from providers.errors import (
    ContextOverflow,
    KeyRefused,
    ModelNotFound,
    ProviderError,
    RateLimited,
    RequestRejected,
    ServerFault,
    Stalled,
    Unreachable,
)
from providers.settings import NO_KEY_MODEL, key_source

STATUS_OF_KIND: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "insufficient_quota": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "timeout_error": 408,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "overloaded_error": 529,
}
"""The HTTP status that an error type stands for when it arrives inside a stream, under HTTP 200."""

DECISIVE_KINDS = frozenset({"insufficient_quota", "billing_error", "model_not_found", "invalid_api_key"})
"""Types that say more than their status: OpenAI's empty account is a 429 that waiting won't mend."""

OVERFLOW_KINDS = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded"}
)
OVERFLOW_STATUSES = frozenset({0, 200, 400, 413, 422, 500})
OVERFLOW_WORDS = re.compile(
    r"prompt is too long"  # Anthropic
    r"|exceed(?:s|ed)? (?:the )?(?:available |model'?s )?context"  # llama.cpp, Anthropic
    r"|maximum (?:context|prompt) length"  # OpenAI, vLLM, Mistral, xAI, Ollama
    r"|exceeds? the (?:maximum )?context (?:length|window)"
    r"|context[ _](?:length|window)[ _]exceeded"
    r"|exceeds the maximum number of tokens allowed"  # Gemini
    r"|input is too long for requested model",  # Bedrock
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Case:
    """What a status is taken for, and the line a person reads.

    The line may name the `provider`, where its `key` is, a `keyless` model, the `cause`, how long to `wait`.
    """

    error: type[ProviderError]
    line: str


_UNFINISHED = Case(ServerFault, "{provider} did not finish the request ({cause}). Send it again.")

CASES: Mapping[int, Case] = {
    401: Case(
        KeyRefused, "{provider} refused the key in {key} ({cause}). Check it, or run: agent -m {keyless}"
    ),
    402: Case(
        KeyRefused,
        "{provider} wants payment first ({cause}). "
        "Look at the account of the key in {key}, or run: agent -m {keyless}",
    ),
    403: Case(
        KeyRefused,
        "{provider} does not allow this to the key in {key} ({cause}). "
        "Check what the key may use, or choose another model: agent models",
    ),
    404: Case(
        ModelNotFound, "{provider} does not have that model ({cause}). See what it has with: agent models"
    ),
    408: _UNFINISHED,
    409: _UNFINISHED,
    425: _UNFINISHED,
    429: Case(RateLimited, "{provider} asks to slow down ({cause}). {wait} and send it again."),
    499: _UNFINISHED,
}
REJECTED = Case(
    RequestRejected,
    "{provider} will not take this request ({cause}). Change it, or go back a turn with: /undo",
)
"""Any other status below 500."""
FAILED = Case(ServerFault, "{provider} failed ({cause}). Nothing is lost; send it again in a moment.")
"""Any status from 500 on."""

LONGEST_CAUSE = 300
_KEY_SHAPED = re.compile(r"\b(?:sk|gsk|xai|rk|pk)[-_][A-Za-z0-9_\-]{12,}|\bAIza[A-Za-z0-9_\-]{20,}")


def http_fault(
    provider: str,
    status: int,
    message: str,
    *,
    kind: str = "",
    retry_after: float | None = None,
    secret: str | None = None,
) -> ProviderError:
    """The error for an HTTP error, or for one that came inside a stream (`status` 0 or 200 then).

    `kind` is the wire's error type or code; a number in it (OpenRouter's `"502"`) is taken as the status of
    an error inside a stream. `retry_after` is in seconds. `secret` is masked wherever the endpoint
    repeats it.
    """
    if 300 <= status < 400:
        return redirected(provider, status)
    in_stream = status < 400
    if is_overflow(status, message, kind):
        return context_overflow(provider, status=None if in_stream else status)
    status = _effective_status(status, kind)
    cause = f"{status}: {one_line(message, secret) or kind or 'no reason given'}"
    if in_stream and (status >= 500 or status == 429):
        cause += ", in the middle of its answer"
    case = CASES.get(status) or (FAILED if status >= 500 else REJECTED)
    line = case.line.format(
        provider=provider,
        key=key_source(provider),
        keyless=NO_KEY_MODEL,
        cause=cause,
        wait=f"Wait {retry_after:.0f} s" if retry_after else "Wait a moment",
    )
    return case.error(line, status=status, retry_after=retry_after if case.error.retryable else None)


def is_overflow(status: int, message: str, kind: str = "") -> bool:
    """Whether an error says that the conversation is longer than the model's context window."""
    if kind in OVERFLOW_KINDS:
        return True
    return status in OVERFLOW_STATUSES and OVERFLOW_WORDS.search(message) is not None


def context_overflow(provider: str, *, status: int | None = None) -> ContextOverflow:
    """The error for a conversation that no longer fits the model's context window."""
    return ContextOverflow(
        f"The conversation no longer fits the context window of this {provider} model. Nothing was lost: "
        "/compact sums it up, /new starts afresh, /fork goes on from an earlier point.",
        status=status,
    )


def redirected(provider: str, status: int, location: str = "") -> RequestRejected:
    """The error for an endpoint that sends requests on to another address. They are not sent there: they hold
    the conversation, and headers with keys that an HTTP client takes along to any host."""
    where = one_line(_without_credentials(location), None) or "another address"
    return RequestRejected(
        f"{provider} sends requests on to {where} ({status}), which gets neither your key nor your "
        f"conversation. If it is the right address, set it as base_url in [providers.{provider}]",
        status=status,
    )


def unreachable(provider: str, endpoint: str, cause: BaseException | str) -> Unreachable:
    """The error for an endpoint that no connection could be made to, or that the connection was lost to."""
    said = one_line(str(cause), None) or type(cause).__name__
    return Unreachable(
        f"Cannot reach {provider} at {_without_credentials(endpoint)} ({said}). "
        f"Check the address and the network, or run: agent -m {NO_KEY_MODEL}"
    )


def stalled(provider: str, seconds: float, *, begun: bool = False) -> Stalled:
    """The error for an endpoint that sent no byte for `seconds`; `begun`: of an answer that had begun."""
    where = " in the middle of its answer" if begun else ""
    return Stalled(
        f"{provider} sent nothing for {seconds:g} s{where}, so the call was given up. Nothing of it was run; "
        f"send it again. If it is only slow, give it longer: stall_seconds in [providers.{provider}].",
        seconds=seconds,
        begun=begun,
    )


def retry_after_seconds(headers: Mapping[str, str], *, now: float) -> float | None:
    """How many seconds an answer's headers ask to wait, where they do. `now` is seconds since the epoch.

    Reads `retry-after-ms`, then `retry-after` as seconds or as an HTTP date (RFC 9110, section 10.2.3). The
    headers' names are looked up in lower case.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _seconds(value)
    return seconds if seconds is not None else _until(value, now)


def _effective_status(status: int, kind: str) -> int:
    if kind in DECISIVE_KINDS:
        return STATUS_OF_KIND[kind]
    if status >= 400:
        return status
    if kind.isdecimal() and 400 <= int(kind) < 600:
        return int(kind)
    return STATUS_OF_KIND.get(kind, 500)


def one_line(message: str, secret: str | None) -> str:
    """What the endpoint said, on one short line, without `secret` and anything that looks like a key."""
    text = message.strip()
    if text[:1] == "<":
        return "it answered with a web page"
    if secret:
        text = text.replace(secret, "…")
    text = _KEY_SHAPED.sub("…", " ".join(text.split())).rstrip(".")
    return text if len(text) <= LONGEST_CAUSE else text[: LONGEST_CAUSE - 1] + "…"


def _without_credentials(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value is not None else -1.0
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _until(value: str, now: float) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None
