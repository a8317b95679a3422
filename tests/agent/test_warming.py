"""Whether keeping a cache entry alive is worth its price."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lifetimes import Habits, Pauses
from agent.warming import MARGIN, Stakes, return_chance, weigh

NEWCOMER = Habits().between_turns
CHEAP = Stakes(saves=1.15, price=0.1)
"""A conversation that costs a dollar uncached, at Anthropic's multiples."""

dollars = st.floats(0, 100)
counts = st.floats(0, 100)


def pauses(short: float, middle: float, long: float) -> Pauses:
    return Pauses(short, middle, long, memory=40)


def warmed(habits: Pauses, stakes: Stakes, *, lifetime: float = 300.0) -> tuple[int, float]:
    """How often an entry is kept alive while nobody comes back, and what that costs."""
    expires, times, spent = lifetime, 0, stakes.spent
    while weigh(
        habits,
        Stakes(stakes.saves, stakes.price, spent),
        expires=expires,
        kept=expires - MARGIN + lifetime,
    ).worth:
        times, spent, expires = times + 1, spent + stakes.price, expires - MARGIN + lifetime
        assert times < 1000
    return times, spent


def test_somebody_who_often_comes_back_within_the_hour_is_waited_for() -> None:
    verdict = weigh(pauses(1, 9, 0), CHEAP, expires=300, kept=570)
    assert (verdict.worth, verdict.reason) == (True, "likely")


def test_somebody_who_is_away_for_hours_is_not() -> None:
    verdict = weigh(pauses(5, 0.1, 9), CHEAP, expires=300, kept=570)
    assert (verdict.worth, verdict.reason) == (False, "unlikely")


def test_a_newcomer_is_waited_for_only_at_first() -> None:
    times, _ = warmed(NEWCOMER, CHEAP)
    assert 1 <= times < 6


def test_half_of_the_middle_pauses_end_before_their_geometric_mean() -> None:
    assert return_chance(pauses(0, 1, 0), 300, (300 * 3600) ** 0.5) == pytest.approx(0.5)


def test_a_pause_that_ends_before_the_entry_does_counts_for_nothing() -> None:
    one, other = (return_chance(pauses(short, 1, 1), 300, 570) for short in (0, 50))
    assert one == other


def test_beyond_the_hour_nothing_is_kept_alive() -> None:
    assert return_chance(pauses(1, 50, 1), 3600, 7000) == 0
    assert warmed(pauses(1, 50, 1), CHEAP, lifetime=3600) == (0, 0)


def test_what_was_spent_already_counts() -> None:
    sure = pauses(0, 1, 0)
    assert weigh(sure, Stakes(1.0, 0.1, 0.85), expires=3000, kept=3600).worth
    verdict = weigh(sure, Stakes(1.0, 0.1, 0.95), expires=3000, kept=3600)
    assert (verdict.worth, verdict.reason) == (False, "spent")


def test_a_model_that_costs_nothing_is_not_kept_busy() -> None:
    assert not weigh(pauses(0, 1, 0), Stakes(0.0, 0.0), expires=300, kept=570).worth


@given(counts, counts, counts, dollars, dollars)
def test_an_absence_never_costs_more_than_the_turn_after_it_can_save(
    short: float, middle: float, long: float, saves: float, price: float
) -> None:
    _, spent = warmed(pauses(short, middle, long), Stakes(saves, price))
    assert spent <= saves


@given(counts, counts, counts, st.floats(0, 10_000), st.floats(0, 10_000))
def test_a_chance_is_one(short: float, middle: float, long: float, after: float, before: float) -> None:
    assert 0 <= return_chance(pauses(short, middle, long), after, before) <= 1
