"""What is spent, and when that is enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from providers.errors import BudgetReached
from providers.types import Usage
from sessions.bill import Bill, cost_of
from sessions.records import CallLine
from sessions.setup import Limits

CALL = CallLine(
    id="call_1",
    parent=None,
    at="2026-11-22T09:30:00.000Z",
    purpose="main",
    lane="main",
    model="anthropic/claude-sonnet-5-5",
    usage=Usage(input_tokens=1),
    raw_usage={},
    estimated=False,
    cost=0.25,
    price="test",
    uncached_cost=1.0,
    started=0.0,
    duration=0.0,
    time_to_first_token=None,
    stop_reason="end_turn",
    outcome="ok",
)
UNPRICED = replace(CALL, cost=None, uncached_cost=None)


def test_cost_and_savings_are_sums_over_priced_calls() -> None:
    cost = cost_of([CALL, CALL])
    assert (cost.known, cost.saved, cost.exact) == (0.5, 1.5, 0.5)


def test_an_unknown_price_is_counted_and_makes_the_whole_unknown() -> None:
    cost = cost_of([CALL, UNPRICED])
    assert (cost.known, cost.unknown_calls, cost.exact) == (0.25, 1, None)


def test_a_file_without_the_uncached_cost_claims_no_saving() -> None:
    assert cost_of([replace(CALL, uncached_cost=None)]).saved == 0


def test_spending_up_to_the_limit_stops_the_next_call() -> None:
    bill = Bill("s", [], Limits(max_cost=0.5))
    bill.calls.append(CALL)
    bill.check()
    bill.calls.append(CALL)
    with pytest.raises(BudgetReached, match="max-cost"):
        bill.check()


def test_limits_count_from_when_the_session_was_opened() -> None:
    Bill("s", [CALL, CALL, CALL], Limits(max_cost=0.1, max_turns=1)).check()


def test_a_try_that_failed_is_not_counted_as_a_model_call() -> None:
    bill = Bill("s", [], Limits(max_turns=1))
    bill.calls.append(replace(CALL, outcome="RateLimited"))
    bill.check()
    bill.calls.append(CALL)
    with pytest.raises(BudgetReached, match="before model call 2"):
        bill.check()


def test_a_cost_limit_without_a_price_stops_after_the_first_call() -> None:
    bill = Bill("s", [], Limits(max_cost=5.0))
    bill.calls.append(UNPRICED)
    with pytest.raises(BudgetReached, match="no price is known"):
        bill.check()
