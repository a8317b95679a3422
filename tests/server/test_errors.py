"""Every error of ours in OpenAI's envelope, and which exception of the official SDK it becomes."""

from __future__ import annotations

import errno
import inspect
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import openai
import pytest
from starlette.types import Receive, Scope, Send

import providers.errors
import server.errors
from checkpoint.types import CheckpointError, CheckpointUnwritable
from providers.errors import (
    BudgetReached,
    CachetError,
    ConfigurationError,
    ContextOverflow,
    KeyRefused,
    MissingKey,
    ModelNotFound,
    RateLimited,
    RequestRejected,
    ServerFault,
    Stalled,
    StreamTruncated,
    UnknownModel,
    Unreachable,
)
from server.errors import (
    ApiError,
    api_error,
    bad_request,
    budget_spent,
    conflict,
    forbidden,
    not_found,
    rate_limited,
    too_large,
    unauthorized,
    unavailable,
    unsupported,
)
from server.guard import Guard
from sessions.bill import UnknownCost
from sessions.catalog import AmbiguousSession, NoSuchSession
from sessions.journal import Journal, JournalBusy, JournalError, JournalNewer, JournalUnwritable
from sessions.turns import TurnUnderWay
from tests.support.asgi import Served, served

SECRET = "/home/ada/.cachet/sessions/shop-1/secret.jsonl sk-live-0123456789abcdef"
"""What no client may read: a path and a key of the server's."""


def full(error: Exception) -> Exception:
    """The error as it is raised when the disk is full."""
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device", "/home/ada/x")
    return error


ERRORS: list[tuple[BaseException, int, str, str | None, type[openai.APIStatusError]]] = [
    (bad_request("m", "input"), 400, "invalid_request_error", None, openai.BadRequestError),
    (
        unsupported("m", "tools"),
        400,
        "invalid_request_error",
        "unsupported_parameter",
        openai.BadRequestError,
    ),
    (unauthorized(), 401, "invalid_request_error", "invalid_api_key", openai.AuthenticationError),
    (forbidden("m"), 403, "invalid_request_error", None, openai.PermissionDeniedError),
    (not_found("m"), 404, "invalid_request_error", "not_found", openai.NotFoundError),
    (conflict("m", 1), 409, "invalid_request_error", "conflict", openai.ConflictError),
    (too_large("m"), 413, "invalid_request_error", "request_too_large", openai.APIStatusError),
    (rate_limited("m", 2), 429, "rate_limit_error", "rate_limit_exceeded", openai.RateLimitError),
    (budget_spent("m"), 429, "insufficient_quota", "insufficient_quota", openai.RateLimitError),
    (unavailable("m"), 503, "server_error", None, openai.InternalServerError),
    (UnknownModel("m"), 404, "invalid_request_error", "model_not_found", openai.NotFoundError),
    (MissingKey(SECRET), 503, "server_error", "provider_not_set_up", openai.InternalServerError),
    (UnknownCost("m"), 400, "invalid_request_error", "unknown_cost", openai.BadRequestError),
    (NoSuchSession(SECRET), 404, "invalid_request_error", "session_not_found", openai.NotFoundError),
    (AmbiguousSession(SECRET), 404, "invalid_request_error", "session_not_found", openai.NotFoundError),
    (ConfigurationError(SECRET), 500, "server_error", "server_misconfigured", openai.InternalServerError),
    (BudgetReached("m"), 429, "insufficient_quota", "insufficient_quota", openai.RateLimitError),
    (
        KeyRefused(SECRET, status=401),
        502,
        "upstream_error",
        "upstream_key_refused",
        openai.InternalServerError,
    ),
    (ModelNotFound("m", status=404), 404, "invalid_request_error", "model_not_found", openai.NotFoundError),
    (
        RequestRejected("m", status=400),
        400,
        "invalid_request_error",
        "upstream_rejected",
        openai.BadRequestError,
    ),
    (ContextOverflow("m"), 400, "invalid_request_error", "context_length_exceeded", openai.BadRequestError),
    (RateLimited("m", status=429), 429, "rate_limit_error", "upstream_rate_limited", openai.RateLimitError),
    (Unreachable("m"), 502, "upstream_error", "upstream_failed", openai.InternalServerError),
    (ServerFault("m", status=529), 502, "upstream_error", "upstream_failed", openai.InternalServerError),
    (StreamTruncated("m"), 502, "upstream_error", "upstream_failed", openai.InternalServerError),
    (
        Stalled("m", seconds=9, begun=True),
        504,
        "upstream_error",
        "upstream_silent",
        openai.InternalServerError,
    ),
    (JournalBusy(SECRET), 409, "invalid_request_error", "session_busy", openai.ConflictError),
    (TurnUnderWay("m"), 409, "invalid_request_error", "session_busy", openai.ConflictError),
    (JournalNewer(SECRET), 409, "invalid_request_error", "session_read_only", openai.ConflictError),
    (JournalError(SECRET), 500, "server_error", "session_failed", openai.InternalServerError),
    (CheckpointError(SECRET), 500, "server_error", "checkpoint_failed", openai.InternalServerError),
    (full(JournalUnwritable(SECRET)), 507, "server_error", "disk_full", openai.InternalServerError),
    (full(CheckpointUnwritable(SECRET)), 507, "server_error", "disk_full", openai.InternalServerError),
    (OSError(errno.ENOSPC, "x", SECRET), 507, "server_error", "disk_full", openai.InternalServerError),
    (OSError(errno.EDQUOT, "x", SECRET), 507, "server_error", "disk_full", openai.InternalServerError),
    (PermissionError(errno.EACCES, "x", SECRET), 500, "server_error", None, openai.InternalServerError),
    (CachetError(SECRET), 500, "server_error", None, openai.InternalServerError),
    (KeyError(SECRET), 500, "server_error", None, openai.InternalServerError),
]
IDS = [f"{number}-{type(row[0]).__name__}" for number, row in enumerate(ERRORS)]


class Failing:
    """Answers every request with the error it was given last, and counts them."""

    def __init__(self) -> None:
        self.error: BaseException = ApiError(500, "server_error", None, "nothing was set")
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.requests += 1
            raise api_error(self.error)


@pytest.fixture(scope="module")
def failing() -> Failing:
    return Failing()


@pytest.fixture(scope="module")
def served_here(failing: Failing) -> Iterator[Served]:
    with served(Guard(failing, frozenset(), frozenset(), 10_000)) as here:
        yield here


@pytest.fixture
def ask(served_here: Served, failing: Failing) -> Callable[[BaseException, int], openai.APIStatusError]:
    def asked(error: BaseException, retries: int = 0) -> openai.APIStatusError:
        failing.error, failing.requests = error, 0
        with (
            openai.OpenAI(api_key="k", base_url=f"{served_here.url}/v1", max_retries=retries) as client,
            pytest.raises(openai.APIStatusError) as caught,
        ):
            client.models.list()
        return caught.value

    return asked


@pytest.mark.parametrize(("error", "status", "type_", "code", "exception"), ERRORS, ids=IDS)
def test_the_sdk_raises_its_matching_exception(
    ask: Callable[..., openai.APIStatusError],
    error: BaseException,
    status: int,
    type_: str,
    code: str | None,
    exception: type[openai.APIStatusError],
) -> None:
    raised = ask(error)
    assert type(raised) is exception
    assert (raised.status_code, raised.type, raised.code) == (status, type_, code)
    assert raised.request_id is not None


@pytest.mark.parametrize("error", [row[0] for row in ERRORS], ids=IDS)
def test_no_error_tells_of_the_servers_own_affairs(error: BaseException) -> None:
    told = str(api_error(error).body())
    assert not [word for word in (*SECRET.split(), "/home/ada", "Traceback") if word in told]


def test_each_of_our_providers_errors_has_its_row() -> None:
    tree = {error for _, error in inspect.getmembers(providers.errors, inspect.isclass)}
    abstract = {providers.errors.ProviderError}
    assert tree - abstract <= {type(row[0]) for row in ERRORS}


def test_the_envelope_is_openais() -> None:
    assert bad_request("Wrong.", "input", "odd").body() == {
        "error": {"message": "Wrong.", "type": "invalid_request_error", "param": "input", "code": "odd"}
    }


def test_a_message_is_one_bounded_line_without_control_characters() -> None:
    message = bad_request("a\r\nSet-Cookie: x\x1b[31m\x00 b" + "y" * 5000).message
    assert message.startswith("a Set-Cookie: x b")
    assert message.isprintable()
    assert len(message) == server.errors.LONGEST_MESSAGE


def test_a_providers_refusal_of_our_key_is_not_the_clients_fault(
    ask: Callable[..., openai.APIStatusError],
) -> None:
    raised = ask(KeyRefused("The key in OPENAI_API_KEY was refused", status=401))
    assert "yours is right" in raised.message
    assert "www-authenticate" not in raised.response.headers


def test_a_wrong_key_is_told_how_to_get_one(ask: Callable[..., openai.APIStatusError]) -> None:
    raised = ask(unauthorized())
    assert raised.response.headers["www-authenticate"].startswith("Bearer")
    assert "agent serve keys add" in raised.message


@pytest.mark.parametrize(
    ("asked", "told"), [(None, "1"), (0.0, "1"), (2.1, "3"), (30.0, "30"), (float("nan"), "1")]
)
def test_a_providers_rate_limit_passes_its_wait_on(
    ask: Callable[..., openai.APIStatusError], asked: float | None, told: str
) -> None:
    assert ask(RateLimited("slow", status=429, retry_after=asked)).response.headers["retry-after"] == told


@pytest.mark.parametrize(
    "error",
    [
        budget_spent("m", 43_200),
        budget_spent("m"),
        rate_limited("m", 300),
        ServerFault("m", status=503),
        KeyRefused("m", status=401),
        JournalNewer("m"),
        RuntimeError("m"),
        OSError(errno.ENOSPC, "x"),
    ],
    ids=repr,
)
def test_the_sdk_does_not_ask_again_where_that_cannot_help(
    ask: Callable[..., openai.APIStatusError], failing: Failing, error: BaseException
) -> None:
    ask(error, retries=2)
    assert failing.requests == 1


def test_the_sdk_asks_again_where_waiting_helps(
    ask: Callable[..., openai.APIStatusError], failing: Failing
) -> None:
    ask(rate_limited("m", 1), retries=1)
    assert failing.requests == 2


def test_a_wait_too_long_for_an_sdk_is_left_to_the_person() -> None:
    assert "x-should-retry" not in rate_limited("m", 60).headers()
    assert rate_limited("m", 61).headers() == {"retry-after": "61", "x-should-retry": "false"}


def test_a_provider_that_wants_no_wait_is_asked_again_after_a_second() -> None:
    assert api_error(ServerFault("m", status=503, retry_after=0.0)).headers() == {"retry-after": "1"}


def test_a_session_that_is_written_elsewhere_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"")
    with Journal.open(path), pytest.raises(JournalBusy) as caught, Journal.open(path):
        pass
    told = api_error(caught.value)
    assert (told.status, told.retry_after) == (409, 1)
    assert str(tmp_path) not in told.message


def test_a_book_that_can_grow_no_more_is_a_full_disk() -> None:
    with closing(sqlite3.connect(":memory:")) as base:
        base.execute("create table kept (text)")
        base.execute("pragma max_page_count = 2")
        with pytest.raises(sqlite3.Error) as raised:
            base.execute("insert into kept values (zeroblob(1000000))")
    told = api_error(raised.value)
    assert (told.status, told.code) == (507, "disk_full")


def test_a_limit_of_the_command_line_is_told_without_the_words_of_the_command_line() -> None:
    told = api_error(BudgetReached("$0.2 of --max-cost $0.3 is spent. Go on with: agent resume s1"))
    assert (told.status, told.code) == (429, "insufficient_quota")
    assert "--max-cost" not in told.message
    assert "agent resume" not in told.message
