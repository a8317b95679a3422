"""Which lifetime a call's cache entry is given, judged on pauses that nobody tuned it on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import mean

import pytest

from agent.lifetimes import LONG, SHORT, Habits, Multiples, Pauses, Wish, choose, learned

RATES = Multiples()


@dataclass(frozen=True, slots=True)
class Step:
    """One call: how long after the one before it starts, in seconds, and how many tokens it adds."""

    pause: float
    within_turn: bool
    tokens: int


@dataclass(slots=True)
class Account:
    """Bills calls by the published rules: a hit keeps an entry for its own lifetime anew, and no longer."""

    wish: Wish
    habits: Habits = field(default_factory=Habits)
    cost: float = 0.0
    """In uncached tokens."""
    now: float = 0.0
    end: int = 0
    entries: dict[int, tuple[float, float]] = field(default_factory=dict)
    """By how many tokens an entry holds: its lifetime, and until when it lives."""

    def pay(self, step: Step) -> None:
        if self.end:
            self.habits = self.habits.after(step.pause, within_turn=step.within_turn)
        self.now += step.pause
        alive = {place: life for place, (life, until) in self.entries.items() if until >= self.now}
        hit = max(alive, default=0)
        kept = max((place for place, life in alive.items() if life == LONG), default=0)
        for place in {hit, kept} & alive.keys():
            self.entries[place] = (alive[place], self.now + alive[place])
        self.end += step.tokens
        new = self.end - hit
        choice = choose(self.wish, self.habits, unkept=self.end - kept, new=new)
        hour = choice.lifetime == "1h"
        self.cost += hit * RATES.read + new * (RATES.write_1h if hour else RATES.write)
        life = LONG if hour else SHORT
        self.entries[self.end] = (life, self.now + life)


def bill(steps: list[Step], wish: Wish, habits: Habits | None = None) -> Account:
    account = Account(wish, habits or Habits())
    for step in steps:
        account.pay(step)
    return account


def days(chance: random.Random) -> Iterator[list[Step]]:
    """Sessions of one person without end; how long they are away and how much they ask is their own."""
    away, usual = chance.uniform(0.0, 0.9), chance.uniform(10, 240)
    steps, tokens = chance.choice([1, 3, 8, 20]), chance.choice([200, 900, 2500])
    while True:
        session: list[Step] = []
        for turn in range(chance.randint(3, 30)):
            pause = chance.uniform(301, 5000) if chance.random() < away else chance.gammavariate(2, usual / 2)
            first = chance.randint(1200, 15_000) if turn == 0 else chance.randint(20, 600)
            session.append(Step(pause, False, first))
            for _ in range(chance.randint(0, 2 * steps)):
                slow = chance.random() < 0.005
                session.append(
                    Step(chance.uniform(310, 1200) if slow else chance.uniform(1, 40), True, tokens)
                )
        yield session


def regret(seed: int, *, sessions_before: int) -> float:
    """What `auto` costs more than the better fixed lifetime, as a share, for one person's next session."""
    history = days(random.Random(seed))
    habits = Habits()
    for _ in range(sessions_before):
        habits = bill(next(history), "auto", habits).habits
    session = next(history)
    best = min(bill(session, "5m").cost, bill(session, "1h").cost)
    return bill(session, "auto", habits).cost / best - 1


@pytest.mark.parametrize("sessions_before", [0, 5], ids=["a newcomer", "a regular"])
def test_auto_costs_hardly_more_than_the_better_fixed_lifetime(sessions_before: int) -> None:
    assert mean(regret(seed, sessions_before=sessions_before) for seed in range(200)) <= 0.05


@pytest.mark.parametrize("sessions_before", [0, 5], ids=["a newcomer", "a regular"])
def test_auto_is_never_far_off(sessions_before: int) -> None:
    assert max(regret(seed, sessions_before=sessions_before) for seed in range(200)) <= 0.35


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
