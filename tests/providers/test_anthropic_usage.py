"""What Anthropic's wire says about tokens, and what is made of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from providers.anthropic import anthropic_cache_tokens
from providers.anthropic_answer import anthropic_usage, merged_usage
from providers.types import Usage

START = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 1840,
    "cache_read_input_tokens": 12032,
    "cache_creation": {"ephemeral_5m_input_tokens": 1800, "ephemeral_1h_input_tokens": 40},
    "output_tokens": 1,
}


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, (0, 0)),
        ({}, (0, 0)),
        ({"cache_read_input_tokens": None, "cache_creation_input_tokens": None}, (0, 0)),
        ({"cache_read_input_tokens": 7, "cache_creation_input_tokens": 9}, (7, 9)),
        ({"cache_read_input_tokens": "7", "cache_creation_input_tokens": 9.0}, (7, 9)),
        ({"cache_read_input_tokens": -7, "cache_creation_input_tokens": True}, (0, 0)),
        ({"cache_read_input_tokens": "lots", "cache_creation_input_tokens": float("nan")}, (0, 0)),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}}, (0, 7)),
        ({"cache_creation": {"ephemeral_1h_input_tokens": 4}, "cache_creation_input_tokens": None}, (0, 4)),
        ({"cache_creation": 5}, (0, 0)),
        (START, (12032, 1840)),
    ],
)
def test_cache_tokens_are_read_whatever_the_wire_sent(usage: Any, tokens: tuple[int, int]) -> None:
    assert anthropic_cache_tokens(usage) == tokens


def test_cache_tokens_are_read_from_the_sdks_own_object() -> None:
    from anthropic.types import CacheCreation
    from anthropic.types import Usage as Sent

    split = CacheCreation(ephemeral_5m_input_tokens=3, ephemeral_1h_input_tokens=4)
    usage = Sent(input_tokens=1, output_tokens=2, cache_read_input_tokens=5, cache_creation=split)
    assert anthropic_cache_tokens(usage) == (5, 7)
    assert anthropic_cache_tokens(Sent(input_tokens=1, output_tokens=2)) == (0, 0)
    assert anthropic_cache_tokens(SimpleNamespace()) == (0, 0)


def test_the_buckets_are_as_exclusive_as_the_wire() -> None:
    raw = {**START, "output_tokens": 89, "output_tokens_details": {"thinking_tokens": 41}}
    assert anthropic_usage(raw) == Usage(
        input_tokens=21,
        output_tokens=89,
        cache_read_tokens=12032,
        cache_write_tokens=1840,
        cache_write_1h_tokens=40,
        reasoning_tokens=41,
        reported_prompt_tokens=21 + 12032 + 1840,
    )


def test_a_peer_that_never_heard_of_caching_reported_nothing() -> None:
    usage = anthropic_usage({"input_tokens": 10, "output_tokens": 2})
    assert usage == Usage(input_tokens=10, output_tokens=2)
    assert not usage.cache_reported


def test_a_cache_read_of_zero_is_a_report() -> None:
    assert anthropic_usage({"input_tokens": 10, "cache_read_input_tokens": 0}).cache_hit_rate == 0.0


def test_the_long_lifetimes_part_never_exceeds_the_writes() -> None:
    usage = anthropic_usage({**START, "cache_creation_input_tokens": 10})
    assert (usage.cache_write_tokens, usage.cache_write_1h_tokens) == (10, 10)


def test_a_later_event_replaces_and_never_adds() -> None:
    merged = merged_usage(START, {"input_tokens": 21, "cache_read_input_tokens": 12032, "output_tokens": 89})
    assert merged["output_tokens"] == 89
    assert merged["cache_read_input_tokens"] == 12032


@pytest.mark.parametrize("silence", [{}, {"cache_read_input_tokens": None}, {"cache_read_input_tokens": 0}])
def test_neither_silence_nor_null_nor_a_late_zero_erases_a_count(silence: dict[str, Any]) -> None:
    assert merged_usage(START, silence)["cache_read_input_tokens"] == 12032


def test_the_split_by_lifetime_is_taken_from_the_start_only() -> None:
    later = {"cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}}
    assert merged_usage(START, later)["cache_creation"] == START["cache_creation"]


def test_a_proxy_that_tells_its_usage_only_at_the_end_is_believed() -> None:
    start = {"input_tokens": 0, "output_tokens": 0}
    merged = merged_usage(start, {"input_tokens": 21, "cache_read_input_tokens": 5, "output_tokens": 89})
    assert anthropic_usage(merged) == Usage(
        input_tokens=21, output_tokens=89, cache_read_tokens=5, reported_prompt_tokens=26
    )
