"""Servers that copy OpenAI's usage object disagree on what its counts include: rules tell them apart.

They are tried in the order in which they stand here.
"""

from __future__ import annotations

from typing import Any

import pytest

from providers.openai_usage import openai_billed_cost, openai_reading
from providers.types import Usage


def said(
    prompt: int, completion: int, total: int | None = None, read: int = 0, write: int = 0, thought: int = 0
) -> dict[str, Any]:
    """A usage object; what is 0 is left out, as is a total that nobody named."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion}
    cached = {"cached_tokens": read, "cache_write_tokens": write}
    return {
        **counts,
        **({} if total is None else {"total_tokens": total}),
        "prompt_tokens_details": {name: value for name, value in cached.items() if value},
        "completion_tokens_details": {"reasoning_tokens": thought} if thought else None,
    }


def buckets(usage: Usage) -> tuple[int, int, int, int, int]:
    """Uncached, read, written; generated, of it reasoning."""
    return (
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
    )


def test_1_a_prompt_with_room_for_reads_and_writes_includes_both() -> None:
    reading = openai_reading(said(100, 5, 105, read=60, write=30))
    assert buckets(reading.usage) == (10, 60, 30, 5, 0)
    assert reading.notes == ()


def test_1_a_prompt_that_is_all_cache_still_includes_both() -> None:
    assert buckets(openai_reading(said(90, 5, 95, read=60, write=30)).usage) == (0, 60, 30, 5, 0)


def test_2_a_prompt_with_room_for_the_reads_alone_leaves_the_writes_out() -> None:
    reading = openai_reading(said(100, 5, read=80, write=40))
    assert buckets(reading.usage) == (20, 80, 40, 5, 0)
    assert reading.notes == ()


def test_3_a_prompt_smaller_than_the_reads_leaves_out_both() -> None:
    reading = openai_reading(said(10, 5, read=80, write=40))
    assert buckets(reading.usage) == (10, 80, 40, 5, 0)
    assert reading.notes == ()


def test_4_a_total_that_is_larger_by_the_reasoning_has_it_beside_the_completion() -> None:
    reading = openai_reading(said(100, 5, 125, read=60, thought=20))
    assert buckets(reading.usage) == (40, 60, 0, 25, 20)
    assert reading.notes == ()


def test_4_reasoning_comes_before_writes_of_the_same_size() -> None:
    assert buckets(openai_reading(said(100, 5, 125, read=60, write=20, thought=20)).usage) == (
        20,
        60,
        20,
        25,
        20,
    )


def test_5_what_a_total_holds_without_any_details_is_hidden_thoughts() -> None:
    reading = openai_reading(said(1469, 744, 2496))
    assert buckets(reading.usage) == (1469, 0, 0, 1027, 283)
    assert reading.notes == ()


def test_5_where_only_reads_are_told_thoughts_are_hidden_all_the_same() -> None:
    reading = openai_reading(said(5000, 744, 6027, read=4096))
    assert buckets(reading.usage) == (904, 4096, 0, 1027, 283)
    assert reading.notes == ()


def test_6_a_total_that_is_larger_by_the_writes_has_them_outside_the_prompt() -> None:
    reading = openai_reading(said(100, 5, 135, read=20, write=30))
    assert buckets(reading.usage) == (80, 20, 30, 5, 0)
    assert reading.notes == ()


def test_7_a_total_that_is_larger_by_all_that_met_the_cache_has_both_outside_the_prompt() -> None:
    reading = openai_reading(said(100, 5, 155, read=20, write=30))
    assert buckets(reading.usage) == (100, 20, 30, 5, 0)
    assert reading.notes == ()


def test_7_so_too_where_nothing_was_written() -> None:
    assert buckets(openai_reading(said(100, 5, 125, read=20)).usage) == (100, 20, 0, 5, 0)


def test_8_what_nothing_explains_is_booked_as_output_and_said() -> None:
    reading = openai_reading(said(100, 5, 112, read=20, write=30, thought=2))
    assert buckets(reading.usage) == (50, 20, 30, 12, 2)
    assert reading.notes == (
        "total_tokens holds 7 more than the other counts explain; they are booked as output",
    )


def test_8_what_is_known_to_stand_beside_the_prompt_is_not_booked_twice() -> None:
    reading = openai_reading(said(10, 5, 10 + 5 + 120 + 7, read=80, write=40))
    assert buckets(reading.usage) == (10, 80, 40, 12, 7)


def test_a_total_that_is_too_small_takes_nothing_away_and_is_said() -> None:
    reading = openai_reading(said(100, 5, 50, read=60))
    assert buckets(reading.usage) == (40, 60, 0, 5, 0)
    assert reading.notes == ("total_tokens (50) is less than prompt and completion together",)


def test_more_reasoning_than_answer_is_cut_to_fit_and_said() -> None:
    reading = openai_reading(said(100, 5, 105, thought=9))
    assert buckets(reading.usage) == (100, 0, 0, 5, 5)
    assert reading.notes == ("more reasoning (9) than the whole answer",)


def test_two_names_that_disagree_about_the_same_tokens_give_the_larger_and_are_said() -> None:
    raw = {**said(100, 5, 105, read=60), "cache_read_input_tokens": 64}
    reading = openai_reading(raw)
    assert buckets(reading.usage) == (36, 64, 0, 5, 0)
    assert reading.notes == ("different counts of cache reads: 60, 64; the largest is booked",)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-5, "a negative number"),
        (True, "True"),
        (float("nan"), "nan"),
        ("lots", "'lots'"),
        ([3], "a list"),
        (10**5000, "a number past belief"),
    ],
    ids=["negative", "bool", "nan", "text", "list", "huge"],
)
def test_what_is_no_count_is_left_out_and_said(value: Any, shown: str) -> None:
    raw = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": value}}
    reading = openai_reading(raw)
    assert reading.usage == Usage(input_tokens=100, output_tokens=5)
    assert reading.notes == (f"cached_tokens is no count: {shown}",)


# --- what the endpoint says it billed -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "dollars"),
    [
        ({"cost": 0.0034, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.0034}}, 0.0034),
        ({"cost": 0.0034, "cost_details": {"upstream_inference_cost": None}}, 0.0034),
        ({"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": 1.0}}, 1.05),
        ({"cost": 0, "is_byok": True}, 0.0),
        ({"cost": 0, "cost_details": {}}, 0.0),
        ({"cost_in_usd_ticks": 37_756_000}, 0.0037756),
    ],
    ids=["openrouter", "before is_byok", "a key of one's own", "fee waived", "a free model", "xai"],
)
def test_what_an_endpoint_says_it_billed_is_read_in_dollars(raw: dict[str, Any], dollars: float) -> None:
    assert openai_billed_cost(raw) == pytest.approx(dollars)


@pytest.mark.parametrize(
    "value",
    [None, True, -1, "much", float("nan"), float("inf"), [], {}, 10**400, 1e308],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_amount_is_no_bill(value: Any) -> None:
    assert openai_billed_cost({"cost": value, "is_byok": False, "cost_in_usd_ticks": value}) is None


def test_a_cost_in_no_known_money_is_no_bill() -> None:
    assert openai_billed_cost({"cost": 12}) is None
    assert openai_billed_cost({"cost": 12}, "gate") is None


@pytest.mark.parametrize("provider", ["openrouter", "litellm"])
def test_a_provider_that_is_known_to_bill_in_dollars_may_say_just_the_cost(provider: str) -> None:
    assert openai_billed_cost({"cost": 0.12}, provider) == 0.12
