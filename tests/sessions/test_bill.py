"""What is spent, and when that is enough."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from agent.host import Purpose
from providers.errors import BudgetReached
from providers.pricing import Rates
from providers.types import Message, ModelRef, Parameters, Prefix, Request, Role, StopReason, Text, Usage
from sessions.bill import Bill, UnknownCost, cost_of
from sessions.projection import project
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


# --- limits -------------------------------------------------------------------------------------------------

MODEL = ModelRef("gateway", "big")
RATES = {"gateway/big": Rates(input=10, output=50, cache_read=1, cache_write=12.5, cache_write_1h=20)}
NOW = 1_000_000.0


def request(
    *messages: Message, previous_end: str | None = None, model: ModelRef = MODEL, most: int = 4_000
) -> Request:
    """A request of few tokens before its messages."""
    prefix = Prefix(
        model=model,
        system="",
        tools=(),
        parameters=Parameters(max_output_tokens=most),
        encoder="openai-chat/1",
        affinity_key="",
    )
    return Request(prefix=prefix, messages=messages, previous_end=previous_end)


def said(tokens: int, id: str = "m1", role: Role = "user") -> Message:
    return Message(id, role, (Text("four" * tokens),))


def bill(limits: Limits, *calls: CallLine, paid: tuple[CallLine, ...] = ()) -> Bill:
    """A bill with calls of this run."""
    made = Bill("s", [], limits, RATES, paid)
    made.calls.extend(calls)
    return made


def test_an_answer_may_have_what_is_left_after_its_prompt() -> None:
    # 10,000 tokens at the dearer rate of a written one: $0.125; the rest buys 1,500 tokens at $50.
    assert bill(Limits(max_cost=0.2)).allowance(request(said(10_000)), NOW) == 1_500


def test_where_all_of_it_is_affordable_the_answer_has_no_limit_of_its_own() -> None:
    assert bill(Limits(max_cost=5.0)).allowance(request(said(10_000)), NOW) is None


@pytest.mark.parametrize("dollars", [inf, 1e308])
def test_a_budget_beyond_all_numbers_is_none(dollars: float) -> None:
    assert bill(Limits(max_cost=dollars)).allowance(request(said(10_000)), NOW) is None


def test_what_was_spent_is_no_longer_left() -> None:
    spent = bill(Limits(max_cost=0.45), CALL)
    assert spent.allowance(request(said(10_000)), NOW) == 1_500


def test_a_call_that_could_hardly_answer_is_not_made_and_its_price_is_told() -> None:
    with pytest.raises(BudgetReached) as stopped:
        bill(Limits(max_cost=0.38), CALL).allowance(request(said(10_000)), NOW)
    assert str(stopped.value) == (
        "Stopped before the next model call: $0.2500 of --max-cost $0.3800 is spent, and it would cost at "
        "least $0.1378. Go on with: agent resume s"
    )


def test_an_answer_shorter_than_that_by_its_own_parameters_may_be_bought() -> None:
    short = request(said(10_000), most=10)
    assert bill(Limits(max_cost=0.126)).allowance(short, NOW) is None


@pytest.mark.parametrize(
    ("purpose", "lane"), [("task", "t1"), ("compaction", "main"), ("warm", "main"), ("title", "main")]
)
def test_calls_of_every_purpose_and_lane_count(purpose: Purpose, lane: str) -> None:
    beside = replace(CALL, purpose=purpose, lane=lane)
    with pytest.raises(BudgetReached, match=r"\$0.2500 of --max-cost"):
        bill(Limits(max_cost=0.25), beside).allowance(request(said(1)), NOW)
    with pytest.raises(BudgetReached, match="before model call 2"):
        bill(Limits(max_turns=1), beside).allowance(request(said(1)), NOW)


def test_a_run_goes_on_counting_in_its_next_session() -> None:
    with pytest.raises(BudgetReached, match="max-cost"):
        bill(Limits(max_cost=0.25), paid=(CALL,)).allowance(request(said(1)), NOW)
    with pytest.raises(BudgetReached, match="max-turns"):
        bill(Limits(max_turns=1), paid=(CALL,)).allowance(request(said(1)), NOW)


def test_limits_count_from_when_the_session_was_opened() -> None:
    opened = Bill("s", [CALL, CALL, CALL], Limits(max_cost=0.1, max_turns=1), RATES)
    opened.allowance(request(said(1)), NOW)


def test_a_try_that_failed_is_not_counted_as_a_model_call() -> None:
    tried = bill(Limits(max_turns=1), replace(CALL, outcome="RateLimited"))
    assert tried.allowance(request(said(1)), NOW) is None
    tried.calls.append(CALL)
    with pytest.raises(BudgetReached, match=r"before model call 2: --max-turns is 1, \$0.5000 is spent"):
        tried.allowance(request(said(1)), NOW)


def test_a_model_that_costs_nothing_has_no_limit_however_small_the_budget() -> None:
    assert bill(Limits(max_cost=0.0)).allowance(request(said(9), model=ModelRef("local", "x")), NOW) is None


def test_an_answer_cut_off_by_the_limit_says_so_and_one_cut_off_by_its_own_length_does_not() -> None:
    cut = bill(Limits(max_cost=0.2))
    cut.check_cut(StopReason.MAX_TOKENS)
    cut.allowance(request(said(10_000)), NOW)
    cut.check_cut(StopReason.END_TURN)
    with pytest.raises(
        BudgetReached, match=r"in the middle of an answer: --max-cost .* enough for 1500 tokens"
    ):
        cut.check_cut(StopReason.MAX_TOKENS)


# --- unknown prices -----------------------------------------------------------------------------------------

NAMELESS = ModelRef("gateway", "nameless")


def test_a_cost_limit_refuses_a_model_without_a_price_before_its_first_call() -> None:
    with pytest.raises(UnknownCost, match=r"no price is known for gateway/nameless.*--allow-unknown-cost"):
        bill(Limits(max_cost=5.0)).allowance(request(said(1), model=NAMELESS), NOW)


def test_a_cost_limit_refuses_to_go_on_after_a_call_whose_price_turned_out_unknown() -> None:
    with pytest.raises(UnknownCost, match="no price is known for anthropic/claude-sonnet-5-5"):
        bill(Limits(max_cost=5.0), UNPRICED).allowance(request(said(1)), NOW)


def test_unknown_prices_count_as_nothing_where_the_person_allows_them() -> None:
    limits = Limits(max_cost=0.5, allow_unknown_cost=True)
    assert bill(limits, CALL, UNPRICED).allowance(request(said(1), model=NAMELESS), NOW) is None
    with pytest.raises(BudgetReached, match=r"at least \$0.5000 of --max-cost"):
        bill(limits, CALL, UNPRICED, CALL).allowance(request(said(1)), NOW)


def test_known_spending_stops_unknown_calls_too() -> None:
    limits = Limits(max_cost=0.4, allow_unknown_cost=True)
    with pytest.raises(BudgetReached):
        bill(limits, CALL, CALL).allowance(request(said(1), model=NAMELESS), NOW)


# --- what the next call will cost ---------------------------------------------------------------------------

BEFORE = replace(
    CALL,
    parent="m1",
    model="gateway/big",
    usage=Usage(
        input_tokens=1_000,
        cache_read_tokens=8_000,
        cache_write_tokens=1_000,
        output_tokens=500,
        reported_prompt_tokens=10_000,
    ),
    started=NOW,
    time_to_first_token=0.5,
)
GROWN = request(said(9_999), said(600, "a1", "assistant"), said(500, "m2"), previous_end="m1")


def prompt_cost(*calls: CallLine, later: float = 60.0, asked: Request = GROWN) -> float:
    known = project(asked, calls, now=NOW + later, rates=RATES)
    assert known is not None
    assert known.answer_token == pytest.approx(50 / 1e6)
    return known.prompt * 1e6


def test_what_the_call_before_left_in_the_cache_is_read_and_all_that_came_since_is_written() -> None:
    # 11,000 tokens: those of the call before, its answer as it was billed, 500 that came since.
    assert prompt_cost(BEFORE) == pytest.approx(9_000 * 1 + 2_000 * 12.5)


def test_behind_a_request_that_kept_the_cache_warm_the_answer_is_still_to_be_read() -> None:
    kept = Usage(cache_read_tokens=10_000, reported_prompt_tokens=10_000)
    warm = replace(BEFORE, purpose="warm", usage=kept, started=NOW + 270)
    # The answer's 600 tokens are estimated: no request has sent them yet.
    assert prompt_cost(BEFORE, warm, later=540.0) == pytest.approx(10_000 * 1 + 1_100 * 12.5)


def test_an_expired_entry_is_paid_for_again() -> None:
    assert prompt_cost(BEFORE, later=301.0) == pytest.approx(11_000 * 12.5)


def test_a_cache_that_nobody_spoke_of_is_not_counted_on() -> None:
    silent = replace(BEFORE, usage=replace(BEFORE.usage, reported_prompt_tokens=0))
    assert prompt_cost(silent) == pytest.approx(11_000 * 12.5)


def test_where_writes_go_unsaid_a_cache_that_was_read_holds_all_that_was_sent() -> None:
    usage = Usage(
        input_tokens=2_000, cache_read_tokens=8_000, output_tokens=500, reported_prompt_tokens=10_000
    )
    assert prompt_cost(replace(BEFORE, usage=usage)) == pytest.approx(10_000 * 1 + 1_000 * 12.5)


def test_a_cache_that_took_nothing_holds_nothing() -> None:
    usage = Usage(input_tokens=10_000, output_tokens=500, reported_prompt_tokens=10_000)
    assert prompt_cost(replace(BEFORE, usage=usage)) == pytest.approx(11_000 * 12.5)


@pytest.mark.parametrize(
    "other",
    [
        replace(BEFORE, parent="elsewhere"),
        replace(BEFORE, model="gateway/small"),
        replace(BEFORE, outcome="ServerFault", time_to_first_token=None, usage=Usage()),
    ],
    ids=["another lane's", "another model's", "unanswered"],
)
def test_only_the_call_that_this_one_goes_on_from_tells_what_is_cached(other: CallLine) -> None:
    everything = 9_999 + 600 + 500
    assert prompt_cost(other) == pytest.approx(everything * 12.5)
    assert prompt_cost(BEFORE, other) == pytest.approx(9_000 * 1 + 2_000 * 12.5)


def test_the_long_lifetime_is_paid_for_where_it_is_asked_for() -> None:
    prefix = replace(GROWN.prefix, parameters=Parameters(cache_ttl="1h"))
    assert prompt_cost(BEFORE, asked=replace(GROWN, prefix=prefix)) == pytest.approx(9_000 * 1 + 2_000 * 20)


def test_a_long_prompt_is_projected_at_the_long_prompts_rates() -> None:
    model = ModelRef("anthropic", "claude-sonnet-4-5")
    known = project(request(said(200_001), model=model), (), now=NOW, rates={})
    assert known is not None
    assert known.prompt == pytest.approx(0.200001 * 7.5)
    assert known.answer_token == pytest.approx(22.5 / 1e6)
