"""What the benchmark holds the program against, worked out by hand."""

from __future__ import annotations

from string import ascii_lowercase

import pytest

from benchmarks.cache import oracle
from benchmarks.cache.billing import Bill, Rates, Segments
from benchmarks.cache.oracle import Made, Rules

RATES = Rates()
RULES = Rules(minimum=1024)


def made(at: float, *names: str, read: int = 0, allowed: str = "", model: str = "m") -> Made:
    """A call of blocks named `x2000`: so many tokens, the same block where the name is the same."""
    lengths = tuple(int(name.lstrip(ascii_lowercase)) for name in names)
    hashes = tuple(f"{model}:{'/'.join(names[: place + 1])}" for place in range(len(names)))
    opening = next((place for place, name in enumerate(names) if name[0] == "a"), len(names))
    segments = Segments(lengths, hashes, {len(names) - 1: "5m"}, names, opening, model)
    return Made(at, segments, "", Bill(read=read), allowed)


def test_what_is_read_soon_is_written_for_five_minutes_and_what_nobody_reads_is_not_written() -> None:
    calls = [made(0, "u2000"), made(60, "u2000", "a100", "v50")]
    # 2,000 written at $3.75; then 2,000 read at $0.30 and 150 uncached at $3
    assert oracle.best(calls, RATES, RULES) == pytest.approx((7500 + 600 + 450) / 1e6)


def test_what_is_read_after_more_than_five_minutes_is_written_for_an_hour() -> None:
    calls = [made(0, "u2000"), made(400, "u2000", "v50")]
    assert oracle.best(calls, RATES, RULES) == pytest.approx((12_000 + 600 + 150) / 1e6)


def test_what_is_read_after_more_than_an_hour_is_paid_anew() -> None:
    calls = [made(0, "u2000"), made(3601, "u2000", "v50")]
    assert oracle.best(calls, RATES, RULES) == pytest.approx((6000 + 6150) / 1e6)


def test_what_is_read_soon_and_late_is_written_once_for_the_longer_time() -> None:
    calls = [made(0, "u2000"), made(60, "u2000", "v50"), made(900, "u2000", "w70")]
    # The third reads what the first wrote and the second read last: 840 s before
    assert oracle.best(calls, RATES, RULES) == pytest.approx((2000 * 6 + 600 + 150 + 600 + 210) / 1e6)


def test_what_only_an_abandoned_branch_said_is_not_written() -> None:
    calls = [made(0, "u2000"), made(9, "u2000", "v300", "a40"), made(20, "u2000", "v300", "w50")]
    # 2,000 written; 2,000 read, 300 of 340 written; 2,300 read, 50 uncached
    expected = (7500 + 600 + 300 * 3.75 + 40 * 3 + 690 + 150) / 1e6
    assert oracle.best(calls, RATES, RULES) == pytest.approx(expected)


def test_below_the_minimum_nothing_is_read_nor_written() -> None:
    calls = [made(0, "u1000"), made(60, "u1000", "v50")]
    assert oracle.best(calls, RATES, RULES) == pytest.approx((3000 + 3150) / 1e6)


def test_openai_reads_in_steps_for_ten_minutes_and_bills_no_writing() -> None:
    rules, rates = Rules.of_openai(1024), Rates(input=1.25, read=0.125)
    calls = [made(0, "u2000"), made(600, "u2000", "v50"), made(1201, "u2000", "v50", "w50")]
    # 2,000 uncached; 1,920 read (15 steps) and 130 uncached; after 601 s all 2,100 uncached
    expected = (2000 * 1.25 + 1920 * 0.125 + 130 * 1.25 + 2100 * 1.25) / 1e6
    assert oracle.best(calls, rates, rules) == pytest.approx(expected)


def test_a_bare_loop_begins_with_209_tokens_and_goes_on_alike() -> None:
    calls = [
        made(0, "t900", "u300"),
        made(9, "t900", "u300", "a1000", "r500"),
        made(20, "t900", "u300", "a1000", "r500", "b1"),
    ]
    # 209 are too few to keep: uncached. Then 1,709, all written; then 1,709 read and 1 uncached
    assert oracle.floor(calls, RATES, RULES) == pytest.approx((209 * 3 + 1709 * 3.75 + 1709 * 0.3 + 3) / 1e6)


def test_one_lifetime_for_all_is_billed_like_the_requests_were() -> None:
    calls = [made(0, "u2000"), made(400, "u2000", "v50")]
    assert oracle.with_lifetime(calls, "5m", RATES, RULES) == pytest.approx(4050 * 3.75 / 1e6)
    hour = (2000 * 6 + 2000 * 0.3 + 50 * 6) / 1e6
    assert oracle.with_lifetime(calls, "1h", RATES, RULES) == pytest.approx(hour)


def test_without_a_cache_all_is_input() -> None:
    calls = [made(0, "u2000"), made(400, "u2000", "v50")]
    assert oracle.without_cache(calls, RATES) == pytest.approx(4050 * 3 / 1e6)


def test_re_billed_is_what_was_sent_before_and_not_read() -> None:
    calls = [made(0, "u2000"), made(60, "u2000", "v500", read=1500), made(70, "u2000", "v500", read=2500)]
    assert oracle.rebilled(calls, RULES) == {"": 500}


def test_what_was_sent_behind_something_else_is_re_billed() -> None:
    calls = [made(0, "s500", "u2000"), made(60, "changed500", "u2000", "v50", "v50")]
    assert oracle.rebilled(calls, RULES) == {"": 2000}


def test_what_is_said_twice_is_new_the_second_time() -> None:
    calls = [made(0, "u2000"), made(60, "u2000", "u2000", read=2000)]
    assert oracle.rebilled(calls, RULES) == {}


def test_nothing_is_re_billed_below_the_minimum_or_after_the_longest_lifetime() -> None:
    assert oracle.rebilled([made(0, "u1000"), made(60, "u1000", "v50")], RULES) == {}
    assert oracle.rebilled([made(0, "u2000"), made(3601, "u2000", "v50")], RULES) == {}


def test_what_another_model_had_read_counts_where_a_switch_was_asked_for() -> None:
    calls = [made(0, "u2000"), made(60, "u2000", "v50", allowed="model switch", model="other")]
    assert oracle.rebilled(calls, RULES) == {"model switch": 2000}
    assert oracle.rebilled([calls[0], made(60, "u2000", "v50", model="other")], RULES) == {}
