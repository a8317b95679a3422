"""Usage: what was billed, in disjoint buckets, and the counts it is read from."""

from __future__ import annotations

import pytest

from providers.counts import count, section
from providers.types import Usage


def test_a_provider_that_says_nothing_costs_zero_of_everything() -> None:
    usage = Usage()
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (
        0,
        0,
        0,
        0,
    )
    assert (usage.cache_write_1h_tokens, usage.reasoning_tokens, usage.reported_prompt_tokens) == (0, 0, 0)
    assert usage.prompt_tokens == usage.total_tokens == 0


def test_explicit_values_are_kept() -> None:
    usage = Usage(input_tokens=1, output_tokens=2, cache_read_tokens=4, cache_write_tokens=8)
    assert usage.prompt_tokens == 13
    assert usage.total_tokens == 15


def test_usage_adds_up_bucket_by_bucket() -> None:
    first = Usage(
        input_tokens=1,
        output_tokens=2,
        cache_read_tokens=3,
        cache_write_tokens=4,
        cache_write_1h_tokens=1,
        reasoning_tokens=1,
        reported_prompt_tokens=8,
    )
    assert first + Usage() == first
    assert first + first == Usage(
        input_tokens=2,
        output_tokens=4,
        cache_read_tokens=6,
        cache_write_tokens=8,
        cache_write_1h_tokens=2,
        reasoning_tokens=2,
        reported_prompt_tokens=16,
    )


def test_the_hit_rate_counts_writes_in_its_denominator() -> None:
    usage = Usage(input_tokens=1, cache_read_tokens=99, cache_write_tokens=100, reported_prompt_tokens=200)
    assert usage.cache_hit_rate == 99 / 200


def test_silence_about_caching_has_no_hit_rate() -> None:
    usage = Usage(input_tokens=1000, output_tokens=10)
    assert not usage.cache_reported
    assert usage.cache_hit_rate is None


def test_a_reported_zero_is_a_hit_rate_of_zero() -> None:
    assert Usage(input_tokens=1000, reported_prompt_tokens=1000).cache_hit_rate == 0.0


def test_silent_calls_do_not_dilute_the_hit_rate_of_those_that_reported() -> None:
    silent = Usage(input_tokens=900)
    told = Usage(input_tokens=50, cache_read_tokens=50, reported_prompt_tokens=100)
    assert (silent + told).cache_hit_rate == 0.5


@pytest.mark.parametrize(
    ("said", "tokens"), [(12, 12), (12.0, 12), ("12", 12), (" 12 ", 12), ("12.0", 12), (0, 0)]
)
def test_numbers_and_numeric_text_count(said: object, tokens: int) -> None:
    assert count(said) == tokens


@pytest.mark.parametrize(
    "said",
    [
        None,
        True,
        False,
        -1,
        "-1",
        "many",
        "",
        float("nan"),
        float("inf"),
        "nan",
        "inf",
        [],
        {},
        [3],
        b"3",
        10**400,
        1e300,
        "1e300",
    ],
)
def test_nonsense_is_no_count_and_no_exception(said: object) -> None:
    assert count(said) is None


@pytest.mark.parametrize("value", [{}, {"details": None}, {"details": 3}, {"details": []}])
def test_a_section_that_is_no_object_is_an_empty_one(value: dict[str, object]) -> None:
    assert section(value, "details") == {}


@pytest.mark.parametrize(
    ("read", "write", "reported"), [(None, None, 0), (0, None, 7), (None, 3, 10), (2, 3, 12)]
)
def test_who_says_nothing_of_reads_nor_writes_said_nothing_of_caching(
    read: int | None, write: int | None, reported: int
) -> None:
    assert Usage.told(7, 5, read, write).reported_prompt_tokens == reported


def test_a_part_is_no_larger_than_what_it_is_a_part_of() -> None:
    usage = Usage.told(7, 5, 0, 3, write_1h=4, reasoning=6)
    assert (usage.cache_write_1h_tokens, usage.reasoning_tokens) == (3, 5)
