"""When a failed call is made again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import (
    ContextOverflow,
    KeyRefused,
    ModelNotFound,
    ProviderError,
    RateLimited,
    RequestRejected,
    ServerFault,
    Stalled,
    StreamTruncated,
    Unreachable,
)
from providers.retry import Retry

MIDDLE = Retry(chance=lambda: 1.0)
STALL = Stalled("silent", seconds=20.0, begun=False)


def test_waits_double_up_to_a_limit_and_then_it_is_given_up() -> None:
    waits = [MIDDLE.delay(ServerFault("x"), attempt) for attempt in range(1, 7)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, None]
    assert Retry(attempts=9, chance=lambda: 1.0).delay(ServerFault("x"), 8) == 30.0


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 5))
def test_chance_spreads_the_waits_over_their_upper_half(chance: float, attempt: int) -> None:
    wait = Retry(chance=lambda: chance).delay(Unreachable("x"), attempt)
    assert wait is not None
    assert 2.0 ** (attempt - 1) / 2 <= wait <= 2.0 ** (attempt - 1)


@pytest.mark.parametrize("seconds", [0.0, 0.25, 7.0, 120.0])
def test_the_wait_that_a_provider_asks_for_is_kept(seconds: float) -> None:
    assert MIDDLE.delay(RateLimited("x", status=429, retry_after=seconds), 3) == seconds


def test_a_provider_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    assert MIDDLE.delay(RateLimited("x", status=429, retry_after=121.0), 1) is None


@pytest.mark.parametrize("error", [KeyRefused, ModelNotFound, RequestRejected, ContextOverflow])
def test_what_will_fail_again_is_not_asked_again(error: type[ProviderError]) -> None:
    assert MIDDLE.delay(error("x", status=400), 1) is None


def test_a_stall_has_waited_long_enough() -> None:
    assert [MIDDLE.delay(STALL, attempt) for attempt in range(1, 7)] == [1.0] * 5 + [None]


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (RateLimited("x", status=429), "429"),
        (ServerFault("x", status=529), "529"),
        (ServerFault("x"), "server fault"),
        (Unreachable("x"), "no connection"),
        (StreamTruncated("x"), "broke off"),
        (STALL, "silent for 20 s"),
    ],
)
def test_a_person_reads_the_cause_in_two_or_three_words(failure: ProviderError, cause: str) -> None:
    assert failure.cause == cause
