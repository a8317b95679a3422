"""The usage object of OpenAI's wires, and of the servers that copy them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.openai_chat import openai_cached_read_tokens
from providers.openai_usage import openai_usage
from providers.types import Usage

NONSENSE = ["many", "", None, True, -5, float("nan"), float("inf"), [], {}]


def said(prompt: Any, completion: Any, **details: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": details}


def test_what_was_read_and_written_is_taken_out_of_the_prompt() -> None:
    raw = said(2006, 300, cached_tokens=1536, cache_write_tokens=384)
    raw |= {"total_tokens": 2306, "completion_tokens_details": {"reasoning_tokens": 128}}
    assert openai_usage(raw) == Usage(
        input_tokens=86,
        output_tokens=300,
        cache_read_tokens=1536,
        cache_write_tokens=384,
        reasoning_tokens=128,
        reported_prompt_tokens=2006,
    )


@pytest.mark.parametrize("details", [{}, {"prompt_tokens_details": None}, {"prompt_tokens_details": {}}])
def test_a_server_that_says_nothing_of_caching_reports_nothing(details: dict[str, Any]) -> None:
    usage = openai_usage({"prompt_tokens": 20, "completion_tokens": 3, **details})
    assert usage == Usage(input_tokens=20, output_tokens=3)
    assert usage.cache_hit_rate is None


def test_a_plain_zero_is_a_report() -> None:
    usage = openai_usage(said(20, 3, cached_tokens=0))
    assert usage.reported_prompt_tokens == 20
    assert usage.cache_hit_rate == 0


def test_counts_written_as_text_or_floats_count() -> None:
    assert openai_usage(said("20", 3.0, cached_tokens="12")).cache_read_tokens == 12


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_nonsense_in_the_cached_field_is_nothing_said(value: Any) -> None:
    raw = said(20, 3, cached_tokens=value)
    assert openai_cached_read_tokens(raw) == 0
    assert openai_usage(raw) == Usage(input_tokens=20, output_tokens=3)


def test_a_count_too_large_for_a_float_raises_nothing() -> None:
    assert openai_usage(said(10**400, 3, cached_tokens=0)).input_tokens == 0


@pytest.mark.parametrize("raw", [None, {}, {"prompt_tokens_details": "x"}, {"prompt_tokens_details": []}])
def test_cached_tokens_of_an_empty_usage_are_zero(raw: Any) -> None:
    assert openai_cached_read_tokens(raw) == 0


def test_cached_tokens_are_read_where_openai_puts_them() -> None:
    assert openai_cached_read_tokens(said(20, 3, cached_tokens=12)) == 12


@pytest.mark.parametrize(
    "raw",
    [
        {
            "prompt_cache_hit_tokens": 64,
            "prompt_cache_miss_tokens": 36,
            "prompt_tokens_details": {"cached_tokens": 64},
        },
        {"cached_tokens": 64},
        {"num_cached_tokens": 64},
        {"cache_read_input_tokens": 64, "prompt_tokens_details": {"cached_tokens": 64}},
    ],
    ids=["deepseek", "moonshot", "mistral", "litellm"],
)
def test_a_servers_other_names_for_the_same_tokens_are_not_added_up(raw: dict[str, Any]) -> None:
    usage = openai_usage({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, **raw})
    assert (usage.input_tokens, usage.cache_read_tokens, usage.prompt_tokens) == (36, 64, 100)


def test_deepseeks_two_counts_stand_for_a_prompt_it_did_not_name() -> None:
    usage = openai_usage({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36})
    assert (usage.input_tokens, usage.cache_read_tokens) == (36, 64)


def test_litellms_three_names_for_a_write_are_one_write() -> None:
    raw = said(100, 5, cached_tokens=50, cache_write_tokens=20, cache_creation_tokens=20)
    raw |= {"cache_creation_input_tokens": 20, "cache_read_input_tokens": 50, "total_tokens": 105}
    usage = openai_usage(raw)
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (30, 50, 20)


def test_a_responses_usage_is_read_the_same_way() -> None:
    details = {
        "cached_tokens": 60,
        "cache_write_tokens": 30,
        "cache_write_tokens_details": {"ttl_30m_tokens": 10, "ttl_12h_tokens": 20},
    }
    usage = openai_usage({"input_tokens": 100, "output_tokens": 5, "input_tokens_details": details})
    assert (usage.input_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens) == (10, 30, 20)


@pytest.mark.parametrize(
    ("raw", "uncached", "output", "reasoning"),
    [
        (said(100, 5, cached_tokens=80, cache_write_tokens=40), 20, 5, 0),
        (said(10, 5, cached_tokens=80), 10, 5, 0),
        ({**said(100, 5, cached_tokens=20, cache_write_tokens=30), "total_tokens": 135}, 80, 5, 0),
        ({**said(100, 5, cached_tokens=20, cache_write_tokens=30), "total_tokens": 155}, 100, 5, 0),
        (
            {**said(100, 5), "total_tokens": 125, "completion_tokens_details": {"reasoning_tokens": 20}},
            100,
            25,
            20,
        ),
        ({**said(1469, 744), "total_tokens": 2496}, 1469, 1027, 283),
    ],
    ids=["writes outside", "prompt beside reads", "writes in the total", "all in the total", "xai", "gemini"],
)
def test_the_sums_show_which_counts_stand_beside_each_other(
    raw: dict[str, Any], uncached: int, output: int, reasoning: int
) -> None:
    usage = openai_usage(raw)
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (uncached, output, reasoning)


def test_llama_cpps_timings_stand_in_for_a_usage() -> None:
    usage = openai_usage({"timings": {"cache_n": 333, "prompt_n": 1, "predicted_n": 31, "prompt_ms": 658.62}})
    assert usage == Usage(input_tokens=1, cache_read_tokens=333, output_tokens=31, reported_prompt_tokens=334)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10**7),
    st.floats(),
    st.text(max_size=4),
    st.integers(0, 99999).map(str),
    st.lists(st.integers(), max_size=2),
)
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "cache_write_tokens", "cache_creation_tokens", "reasoning_tokens"]),
    VALUES,
)
TOP = st.dictionaries(
    st.sampled_from(
        [
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "input_tokens",
            "output_tokens",
            "prompt_cache_hit_tokens",
            "prompt_cache_miss_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "timings",
        ]
    ),
    VALUES,
)


@given(TOP, st.one_of(VALUES, DETAILS), st.one_of(VALUES, DETAILS))
def test_no_usage_raises_or_falls_below_zero(top: dict[str, Any], prompt: Any, completion: Any) -> None:
    usage = openai_usage({**top, "prompt_tokens_details": prompt, "completion_tokens_details": completion})
    buckets = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    assert min(*buckets, usage.reported_prompt_tokens) >= 0
    assert usage.reasoning_tokens <= usage.output_tokens
    assert usage.cache_write_1h_tokens <= usage.cache_write_tokens
    assert usage.reported_prompt_tokens in (0, usage.prompt_tokens)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_where_the_prompt_includes_its_cache_the_buckets_make_up_the_prompt(
    uncached: int, read: int, written: int, completion: int
) -> None:
    prompt = uncached + read + written
    raw = said(prompt, completion, cached_tokens=read, cache_write_tokens=written)
    usage = openai_usage({**raw, "total_tokens": prompt + completion})
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (
        uncached,
        read,
        written,
    )
    assert usage.total_tokens == prompt + completion
