"""Bedrock's usage, in every shape that it comes in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.bedrock_usage import bedrock_usage
from providers.types import Usage

CLAUDE = "us.anthropic.claude-sonnet-5-5"


def buckets(raw: dict[str, Any], model: str = CLAUDE) -> tuple[int, int, int, int]:
    usage = bedrock_usage(raw, model)
    return usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.output_tokens


def test_the_prompt_of_converse_leaves_out_what_met_the_cache() -> None:
    raw = {
        "inputTokens": 21,
        "outputTokens": 9,
        "totalTokens": 1330,
        "cacheReadInputTokens": 1000,
        "cacheWriteInputTokens": 300,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 100}],
    }
    assert bedrock_usage(raw, CLAUDE) == Usage(
        input_tokens=21,
        output_tokens=9,
        cache_read_tokens=1000,
        cache_write_tokens=300,
        cache_write_1h_tokens=200,
        reported_prompt_tokens=1321,
    )


def test_the_last_event_as_aws_documents_it() -> None:
    raw = {
        "inputTokens": 21,
        "outputTokens": 9,
        "totalTokens": 1030,
        "cacheReadInputTokens": 1000,
        "cacheWriteInputTokens": 0,
        "cacheDetails": [],
    }
    assert buckets(raw) == (21, 1000, 0, 9)


def test_a_model_that_says_nothing_of_a_cache_did_not_report_one() -> None:
    usage = bedrock_usage({"inputTokens": 21, "outputTokens": 9, "totalTokens": 30}, "meta.llama3-3-70b")
    assert (usage.input_tokens, usage.output_tokens) == (21, 9)
    assert not usage.cache_reported
    assert usage.cache_hit_rate is None


def test_zeros_are_a_report() -> None:
    usage = bedrock_usage({"inputTokens": 21, "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0})
    assert usage.reported_prompt_tokens == 21
    assert usage.cache_hit_rate == 0


def test_invoke_model_gives_the_same_under_other_names() -> None:
    raw = {
        "inputTokenCount": 21,
        "outputTokenCount": 9,
        "cacheReadInputTokenCount": 1000,
        "cacheWriteInputTokenCount": 300,
    }
    assert buckets(raw) == (21, 1000, 300, 9)


def test_the_split_by_lifetime_alone_tells_the_writes() -> None:
    raw = {
        "inputTokens": 1,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 10}, {"ttl": "1h", "inputTokens": 20}],
    }
    usage = bedrock_usage(raw)
    assert (usage.cache_write_tokens, usage.cache_write_1h_tokens) == (30, 20)


def test_the_hour_is_never_more_than_all_writes() -> None:
    raw = {"cacheWriteInputTokens": 5, "cacheDetails": [{"ttl": "1h", "inputTokens": 50}]}
    assert bedrock_usage(raw).cache_write_1h_tokens == 5


@pytest.mark.parametrize("model", ["openai.gpt-5.6-sol", "global.openai.gpt-5.6-luna"])
def test_one_family_counts_the_cache_into_its_prompt_and_its_total_twice(model: str) -> None:
    raw = {"inputTokens": 1321, "outputTokens": 9, "totalTokens": 2630, "cacheReadInputTokens": 1000}
    raw["cacheWriteInputTokens"] = 300
    assert buckets(raw, model) == (21, 1000, 300, 9)
    assert buckets(raw, "openai.gpt-6-sol") == (1321, 1000, 300, 9)


def test_that_family_counting_like_the_others_one_day_is_counted_like_them() -> None:
    raw = {"inputTokens": 21, "cacheReadInputTokens": 1000, "cacheWriteInputTokens": 300}
    assert buckets(raw, "openai.gpt-5.6-sol") == (21, 1000, 300, 0)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ttl", "inputTokens"]), inner)
    ),
    max_leaves=6,
)
KEYS = ["inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens"]


@given(
    st.dictionaries(st.sampled_from([*KEYS, "cacheDetails"]), ANYTHING),
    st.sampled_from([CLAUDE, "openai.gpt-5.6-sol"]),
)
def test_nothing_a_wire_says_raises_or_makes_a_count_negative(raw: dict[str, Any], model: str) -> None:
    usage = bedrock_usage(raw, model)
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    assert min(counts) >= 0
    assert usage.cache_write_1h_tokens <= usage.cache_write_tokens
