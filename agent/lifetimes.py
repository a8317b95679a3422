"""Chooses how long the provider shall keep what a call writes to its cache, from how long this person pauses.

Anthropic sells two lifetimes: five minutes, and an hour for a dearer write (its prompt-caching
documentation). An entry holds everything before it, so the choice is made anew at each call, for that call's
end alone. Had the end only five minutes and the next call came after eight, all that was written since the
last entry of an hour (`unkept`) would be written once more instead of read; and the same choice would come
again, at `again` for each of those tokens: an hour's surcharge, or another loss, whichever is less. So an
hour pays when

    q * (write - read + again) * unkept  >  (write_1h - write) * new
    again = min(write_1h - write, (write - read) * q / (1 - q))

where q is the chance that the next call comes after more than five minutes, but within the hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

Lifetime: TypeAlias = Literal["5m", "1h"]
Wish: TypeAlias = Literal["auto", "5m", "1h"]

SHORT = 300.0
LONG = 3600.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Multiples:
    """What a token costs by how it met the cache, as a multiple of an uncached one."""

    read: float = 0.1
    write: float = 1.25
    write_1h: float = 2.0


@dataclass(frozen=True, slots=True)
class Pauses:
    """How often the next call came within five minutes, within the hour, or later; older ones count less."""

    short: float
    middle: float
    long: float
    memory: float
    """How many pauses it takes until an old one counts for only a third."""

    @property
    def total(self) -> float:
        return self.short + self.middle + self.long

    @property
    def chance(self) -> float:
        """The chance that the next pause loses an entry of five minutes but not one of an hour."""
        return self.middle / self.total

    def after(self, seconds: float) -> Pauses:
        """With one more pause."""
        fade = 1 - 1 / self.memory
        kept = replace(self, short=self.short * fade, middle=self.middle * fade, long=self.long * fade)
        if seconds <= SHORT:
            return replace(kept, short=kept.short + 1)
        if seconds <= LONG:
            return replace(kept, middle=kept.middle + 1)
        return replace(kept, long=kept.long + 1)


@dataclass(frozen=True, slots=True)
class Habits:
    """A person's pauses: between turns, where they read and think, and within turns, where tools run.

    It begins as somebody's who is away for more than five minutes after every fourth turn, and whose tools
    hardly ever take so long; that guess weighs as much as a few pauses of their own.
    """

    between_turns: Pauses = field(default_factory=lambda: Pauses(2.5, 1.0, 0.5, memory=40))
    within_turns: Pauses = field(default_factory=lambda: Pauses(19.6, 0.2, 0.2, memory=60))
    lately_between: Pauses = field(default_factory=lambda: Pauses(3.0, 0.0, 0.0, memory=3))
    lately_within: Pauses = field(default_factory=lambda: Pauses(2.0, 0.0, 0.0, memory=3))
    """Of this session alone: a slow build makes one slow step after the other, so the first one counts."""

    @property
    def chance(self) -> float:
        """The chance that the pause after a call is between five minutes and an hour."""
        ends, steps = self.between_turns, self.within_turns
        last = ends.total / (ends.total + steps.total)
        after_turn = max(ends.chance, self.lately_between.chance)
        after_step = max(steps.chance, self.lately_within.chance)
        return last * after_turn + (1 - last) * after_step

    def after(self, seconds: float, *, within_turn: bool) -> Habits:
        """With one more pause of so many seconds, from one call's start to the next one's."""
        if within_turn:
            return replace(
                self,
                within_turns=self.within_turns.after(seconds),
                lately_within=self.lately_within.after(seconds),
            )
        return replace(
            self,
            between_turns=self.between_turns.after(seconds),
            lately_between=self.lately_between.after(seconds),
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """The lifetime for one call's end, with the figures that decided."""

    lifetime: Lifetime
    chance: float
    at_stake: float
    """What five minutes would risk: its expected cost in uncached tokens."""
    surcharge: float
    """What an hour costs more, in uncached tokens."""


ANTHROPIC = Multiples()
"""What it publishes for most of its models; a cheaper read of some changes hardly any choice."""


def choose(wish: Wish, habits: Habits, *, unkept: int, new: int) -> Choice:
    """The lifetime for the end of the call to be made now.

    `new` is how many tokens the call writes, `unkept` how many would be lost with an entry of five minutes:
    all since the last one of an hour that is alive, the new ones included.
    """
    chance = habits.chance
    loss, dearer = ANTHROPIC.write - ANTHROPIC.read, ANTHROPIC.write_1h - ANTHROPIC.write
    again = min(dearer, loss * chance / (1 - chance)) if chance < 1 else dearer
    at_stake = chance * (loss + again) * unkept
    surcharge = dearer * new
    if wish != "auto":
        return Choice(wish, chance, at_stake, surcharge)
    return Choice("1h" if at_stake > surcharge else "5m", chance, at_stake, surcharge)


def learned(pauses: Iterable[tuple[float, bool]], habits: Habits | None = None) -> Habits:
    """The habits after these pauses: (seconds, within a turn)."""
    known = habits or Habits()
    for seconds, within_turn in pauses:
        known = known.after(seconds, within_turn=within_turn)
    return known
