"""People's pauses, drawn by chance, and what a lifetime chosen on the way costs against the better fixed one.

Nothing here was used to tune the choice. What is billed goes by the benchmark's own prices and lifetimes, not
by those that Cachet chooses with.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from agent.lifetimes import Habits, Wish, choose
from benchmarks.cache.billing import LIFETIMES, Bill, Rates

HOUR = LIFETIMES["1h"]
RATES = Rates()


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
    """US dollars."""
    now: float = 0.0
    end: int = 0
    entries: dict[int, tuple[float, float]] = field(default_factory=dict)
    """By how many tokens an entry holds: its lifetime in seconds, and until when it lives."""

    def pay(self, step: Step) -> None:
        if self.end:
            self.habits = self.habits.after(step.pause, within_turn=step.within_turn)
        self.now += step.pause
        alive = {place: life for place, (life, until) in self.entries.items() if until >= self.now}
        hit = max(alive, default=0)
        kept = max((place for place, life in alive.items() if life == HOUR), default=0)
        for place in {hit, kept} & alive.keys():
            self.entries[place] = (alive[place], self.now + alive[place])
        self.end += step.tokens
        new = self.end - hit
        choice = choose(self.wish, self.habits, unkept=self.end - kept, new=new)
        life = LIFETIMES[choice.lifetime]
        self.cost += Bill(read=hit, write=new, write_1h=new if life == HOUR else 0).cost(RATES)
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
        habits = remembered(bill(next(history), "auto", habits).habits)
    session = next(history)
    best = min(bill(session, "5m").cost, bill(session, "1h").cost)
    return bill(session, "auto", habits).cost / best - 1


def remembered(habits: Habits) -> Habits:
    """What of a session's habits the next session knows: nothing of how its own pauses were lately."""
    new = Habits()
    return replace(habits, lately_between=new.lately_between, lately_within=new.lately_within)
