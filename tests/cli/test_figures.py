"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from cli.figures import ago, countdown, dollars, missed, percent, plural, retrying, seconds, tokens


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (1234, "1.2k"),
        (9949, "9.9k"),
        (9999, "10k"),
        (98_400, "98k"),
        (999_499, "999k"),
        (999_999, "1M"),
        (4_100_000, "4.1M"),
        (2_000_000_000, "2G"),
    ],
)
def test_token_counts_are_short(count: int, text: str) -> None:
    assert tokens(count) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unknown"),
        (0.0, "$0"),
        (0.0001, "<$0.001"),
        (0.2144, "$0.214"),
        (9.9996, "$10.00"),
        (1234.5, "$1,234.50"),
        (-0.05, "-$0.05"),
        (1.5, "$1.50"),
    ],
)
def test_dollars_are_never_rounded_to_nothing_and_never_invented(amount: float | None, text: str) -> None:
    assert dollars(amount) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "n/a"), (0.0, "0%"), (0.001, "<1%"), (0.964, "96%"), (0.999, "99%"), (1.0, "100%")],
)
def test_a_rate_nobody_reported_is_not_a_zero(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0.42, "0.4s"), (3.0, "3s"), (59.4, "59s"), (185, "3m 05s"), (7800, "2h 10m"), (273_600, "3d 4h")],
)
def test_durations_use_two_units_at_most(amount: float, text: str) -> None:
    assert seconds(amount) == text


@pytest.mark.parametrize(("amount", "text"), [(252.9, "4:12"), (3729, "1:02:09"), (-3, "0:00")])
def test_a_countdown_stops_at_zero(amount: float, text: str) -> None:
    assert countdown(amount) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(5, "just now"), (300, "5m ago"), (7200, "2h ago"), (260_000, "3d ago"), (-4, "just now")],
)
def test_the_past_is_told_in_its_largest_unit(amount: float, text: str) -> None:
    assert ago(amount) == text


def test_one_thing_is_not_plural() -> None:
    assert (plural(1, "file"), plural(2, "file"), plural(0, "file")) == ("1 file", "2 files", "0 files")


def test_a_retry_says_when_why_and_how_often() -> None:
    assert retrying(4.0, "429", 2, 6) == "retrying in 4s (429), attempt 2 of 6"


def test_a_retry_says_when_what_was_read_so_far_counts_for_nothing() -> None:
    told = retrying(4.0, "broke off", 2, 6, void=True)
    assert told == "retrying in 4s (broke off), attempt 2 of 6; what came of this answer is void"


def test_a_miss_says_how_much_what_it_cost_and_why() -> None:
    line = missed("expired", "idle 7 min, kept 5 min", 84_000, 0.31)
    assert line == "cache miss: 84k re-billed ($0.31) · expired (idle 7 min, kept 5 min)"
    assert missed("affinity_or_eviction", "", 900, None) == (
        "cache miss: 900 re-billed (cost unknown) · affinity or eviction"
    )
