"""What the server answers when it can't do what was asked: OpenAI's error envelope, from any error of ours.

OpenAI's SDKs choose the exception by the HTTP status alone, and ask again by themselves after 408, 409, 429
and from 500 on, unless `x-should-retry` says no (`openai/_base_client.py`, 3.54). So each error here says
in `Retry-After` when asking again helps, or says that it doesn't: a run that failed has already been tried
anew as often as makes sense, and it may have cost money.
"""

from __future__ import annotations

import errno
import math
import sqlite3
from typing import Any

from agent.harmless import harmless
from checkpoint.types import CheckpointError
from checkpoint.writing import FULL
from providers.errors import (
    BudgetReached,
    ConfigurationError,
    ContextOverflow,
    KeyRefused,
    MissingKey,
    ModelNotFound,
    ProviderError,
    RateLimited,
    RequestRejected,
    Stalled,
    UnknownModel,
)
from sessions.bill import UnknownCost
from sessions.catalog import AmbiguousSession, NoSuchSession
from sessions.journal import JournalBusy, JournalError, JournalNewer
from sessions.turns import TurnUnderWay

INVALID = "invalid_request_error"
"""OpenAI's type for whatever the client can mend, wrong keys and unknown names included."""
UPSTREAM = "upstream_error"
"""The model's provider failed or refused: neither the client nor its key is at fault."""
SERVER = "server_error"
QUOTA = "insufficient_quota"

SDK_WAITS = 60
"""Seconds that OpenAI's SDKs wait for. Of a longer `Retry-After`, 1.x ask again within the second; 3.54 don't
ask from two minutes on, and until then keep a person waiting without a word."""
LONGEST_MESSAGE = 1000
"""Characters."""


class ApiError(Exception):
    """An answer in OpenAI's error envelope. Whoever raises it means it to be read by the client.

    `status` is the HTTP status, `param` the field of the request that it is about, `retry_after` seconds.
    """

    def __init__(
        self,
        status: int,
        type: str,
        code: str | None,
        message: str,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.code = code
        self.message = _line(message)
        self.param = param
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """The envelope, ready for JSON."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error}

    def headers(self) -> dict[str, str]:
        """The headers that belong to this error, with lower-case names."""
        headers: dict[str, str] = {}
        if self.status == 401:
            headers["www-authenticate"] = 'Bearer realm="cachet"'
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        if self._retried_in_vain():
            headers["x-should-retry"] = "false"
        return headers

    def _retried_in_vain(self) -> bool:
        """Whether OpenAI's SDKs would ask again by themselves although it can't help, or not so soon."""
        by_themselves = self.status in (408, 409, 429) or self.status >= 500
        soon = self.retry_after is not None and 0 < self.retry_after <= SDK_WAITS
        return by_themselves and not soon


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """400: the request is wrong; `param` names the field."""
    return ApiError(400, INVALID, code, message, param)


def unsupported(message: str, param: str) -> ApiError:
    """400: OpenAI's API knows this field or value, this server does not."""
    return ApiError(400, INVALID, "unsupported_parameter", message, param)


def unauthorized(message: str = "") -> ApiError:
    """401. The same for a missing, a malformed, a foreign and a removed key."""
    wanted = (
        "Send a key of this server as: Authorization: Bearer sk-cachet-… (make one: agent serve keys add)"
    )
    return ApiError(401, INVALID, "invalid_api_key", message or wanted)


def key_removed() -> ApiError:
    """401 for work that was under way when its key was taken away."""
    return unauthorized("The key of this request was removed while it was at work. What was spent is booked.")


def forbidden(message: str, code: str | None = None) -> ApiError:
    """403: the request was understood, and is not allowed."""
    return ApiError(403, INVALID, code, message)


def not_found(message: str, param: str | None = None, code: str | None = "not_found") -> ApiError:
    """404. What another key owns is answered in the same words as what never was."""
    return ApiError(404, INVALID, code, message, param)


def conflict(message: str, retry_after: int | None = None, code: str | None = "conflict") -> ApiError:
    """409: something else holds what the request needs; `retry_after` seconds may help."""
    return ApiError(409, INVALID, code, message, retry_after=retry_after)


def too_slow() -> ApiError:
    """408: the request did not come in in time."""
    message = "The request took too long to come in. Send it anew, all of it at once."
    return ApiError(408, INVALID, "request_timeout", message)


def too_large(message: str) -> ApiError:
    """413: the body is larger than the server takes."""
    return ApiError(413, INVALID, "request_too_large", message)


def rate_limited(message: str, retry_after: int, code: str | None = "rate_limit_exceeded") -> ApiError:
    """429: the key asks too often or too much at once; again after `retry_after` seconds."""
    return ApiError(429, "rate_limit_error", code, message, retry_after=retry_after)


def budget_spent(message: str, retry_after: int | None = None) -> ApiError:
    """429: the key's budget is used up; `retry_after` seconds until it renews, None if it never does."""
    return ApiError(429, QUOTA, QUOTA, message, retry_after=retry_after)


def unavailable(message: str, retry_after: int | None = None, code: str | None = None) -> ApiError:
    """503: the server can't do it now, through no fault of the client."""
    return ApiError(503, SERVER, code, message, retry_after=retry_after)


def api_error(error: BaseException) -> ApiError:
    """What the client is told of any error.

    Paths on this machine, tracebacks, the server's keys and settings and the sessions of other keys are
    never in it: errors whose text may name such get a text of their own here.
    """
    match error:
        case ApiError():
            return error
        case ProviderError():
            return _of_provider(error)
        case ConfigurationError():
            return _of_configuration(error)
        case BudgetReached():
            return budget_spent(
                "The run stopped at its limit: what your key, or the server, lets one run spend. "
                "What was said by then is in the session; a request that goes on with it has its own limit."
            )
        case JournalBusy() | TurnUnderWay():
            message = "The session is at work on another turn. Wait for its end, or start another session."
            return conflict(message, retry_after=1, code="session_busy")
        case JournalNewer():
            message = "A newer version of Cachet wrote this session: it may be read, not continued here."
            return conflict(message, code="session_read_only")
        case OSError(errno=int(number)) if number in FULL:
            return _full()
        case sqlite3.Error(sqlite_errorcode=sqlite3.SQLITE_FULL):
            return _full()
        case JournalError() | CheckpointError():
            return _full() if _for_want_of_space(error) else _kept_in_vain(error)
        case _:
            return _unknown()


def _of_provider(error: ProviderError) -> ApiError:
    match error:
        case KeyRefused():
            message = (
                "The model's provider refused the server's own key; yours is right. Tell who runs the server."
            )
            return ApiError(502, UPSTREAM, "upstream_key_refused", message)
        case ModelNotFound():
            return not_found(str(error), "model", "model_not_found")
        case ContextOverflow():
            return bad_request(str(error), code="context_length_exceeded")
        case RequestRejected():
            return bad_request(str(error), code="upstream_rejected")
        case RateLimited():
            return rate_limited(str(error), _seconds(error.retry_after) or 1, "upstream_rate_limited")
        case Stalled():
            return ApiError(504, UPSTREAM, "upstream_silent", str(error))
        case _:
            wait = _seconds(error.retry_after)
            return ApiError(502, UPSTREAM, "upstream_failed", str(error), retry_after=wait)


def _seconds(wait: float | None) -> int | None:
    """Whole seconds, rounded up and at least one; None where the provider named no time to wait."""
    return max(1, math.ceil(wait)) if wait is not None and math.isfinite(wait) else None


def _of_configuration(error: ConfigurationError) -> ApiError:
    match error:
        case UnknownModel():
            return not_found(str(error), "model", "model_not_found")
        case MissingKey():
            message = "The server has no key for that model's provider. Ask for another: GET /v1/models"
            return unavailable(message, code="provider_not_set_up")
        case NoSuchSession() | AmbiguousSession():
            return not_found("There is no such session.", code="session_not_found")
        case UnknownCost():
            message = "Your key has a budget, and nobody knows what this model costs. Ask for another model."
            return bad_request(message, "model", "unknown_cost")
        case _:
            message = "The server's settings don't work for this request; its own output says why."
            return ApiError(500, SERVER, "server_misconfigured", message)


def _for_want_of_space(error: BaseException) -> bool:
    """Whether a full disk is what a journal's or a checkpoint's error was raised from."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in FULL


def _full() -> ApiError:
    message = (
        f"The server's disk is full ({errno.errorcode[errno.ENOSPC]}): the session was kept up to there."
    )
    return ApiError(507, SERVER, "disk_full", message)


def _kept_in_vain(error: JournalError | CheckpointError) -> ApiError:
    what = "session" if isinstance(error, JournalError) else "checkpoint"
    message = f"The server could not read or write the {what}; its own output says why."
    return ApiError(500, SERVER, f"{what}_failed", message)


def _unknown() -> ApiError:
    message = "The server failed on this request; its own output says why. What was spent is booked."
    return ApiError(500, SERVER, None, message)


def _line(message: str) -> str:
    """One line without control characters: it comes from a provider, or repeats what the client sent."""
    text = harmless(" ".join(message.split()))
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
