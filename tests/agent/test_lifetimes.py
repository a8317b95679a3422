"""Which lifetime a call's cache entry is given, judged on pauses that nobody tuned it on."""

from __future__ import annotations

from statistics import mean

import pytest

from agent.lifetimes import LONG, SHORT, Habits, Pauses, choose, learned
from benchmarks.cache.pauses import Step, bill, regret

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "sessions_before",
    [pytest.param(0, id="a newcomer"), pytest.param(5, id="a regular", marks=pytest.mark.slow)],
)
def test_auto_costs_hardly_more_than_the_better_fixed_lifetime_and_is_never_far_off(
    sessions_before: int,
) -> None:
    regrets = [regret(seed, sessions_before=sessions_before) for seed in range(200)]
    assert mean(regrets) <= 0.05
    assert max(regrets) <= 0.35


def test_a_lifetime_that_was_asked_for_is_given() -> None:
    assert choose("5m", Habits(), unkept=10**6, new=1).lifetime == "5m"
    assert choose("1h", Habits(), unkept=1, new=10**6).lifetime == "1h"


def test_a_long_conversation_is_kept_for_an_hour_where_little_is_new() -> None:
    assert choose("auto", Habits(), unkept=100_000, new=500).lifetime == "1h"


def test_what_is_all_new_is_kept_for_five_minutes_by_somebody_who_stays() -> None:
    assert choose("auto", Habits(), unkept=5_000, new=5_000).lifetime == "5m"


def test_after_pauses_of_six_minutes_in_the_middle_of_turns_even_new_text_is_kept_for_an_hour() -> None:
    habits = learned([(360.0, True)] * 60)
    assert choose("auto", habits, unkept=5_000, new=1_000).lifetime == "1h"


def test_a_turn_that_lost_all_it_had_once_writes_for_an_hour_the_second_time() -> None:
    once = learned([(360.0, True)])
    assert choose("auto", Habits(), unkept=5_000, new=5_000).lifetime == "5m"
    assert choose("auto", once, unkept=5_000, new=5_000).lifetime == "1h"


def test_thirty_steps_six_minutes_apart_cost_at_most_1_7_times_what_they_cost_without_pauses() -> None:
    def cost(pause: float) -> float:
        return bill([Step(0, False, 1200), *[Step(pause, True, 250)] * 30], "auto").cost

    assert cost(360.0) <= 1.7 * cost(5.0)


def test_somebody_who_never_leaves_pays_for_no_hour() -> None:
    habits = learned([(20.0, False), (5.0, True)] * 100)
    assert choose("auto", habits, unkept=20_000, new=1_000).lifetime == "5m"


def test_a_pause_beyond_the_hour_is_no_reason_to_keep_anything() -> None:
    pauses = Pauses(1.0, 1.0, 0.0, memory=10)
    assert pauses.after(LONG + 1).chance < pauses.chance
    assert pauses.after(SHORT).chance < pauses.chance
    assert pauses.after(SHORT + 1).chance > pauses.chance


def test_old_pauses_count_less_than_new_ones() -> None:
    away_first = learned([(400.0, False)] * 30 + [(10.0, False)] * 60)
    assert away_first.between_turns.chance < 0.2
