"""Says whether one more request that only keeps a cache entry alive is worth its price.

The request reads the entry once more, and so begins its time anew. It pays if the person comes back in the
time that it adds, in which the entry would have been gone. How likely that is comes from their own pauses:
of those that are longer than five minutes but not than an hour, as many are taken to end between five and
ten minutes as between ten and twenty, for people are away for a moment more often than for long. Nothing is
known of how long the longer ones are, so nothing is kept alive beyond the hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal, TypeAlias

from agent.lifetimes import LONG, SHORT, Pauses

MARGIN = 30.0
"""Seconds before an entry expires at which it is read once more."""

Reason: TypeAlias = Literal["likely", "unlikely", "spent"]


@dataclass(frozen=True, slots=True)
class Stakes:
    """What one absence is about, in US dollars."""

    saves: float
    """What the next turn costs more once the entry is gone."""
    price: float
    """Of one request that keeps it."""
    spent: float = 0.0
    """On such requests since the person's last turn."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to send one more, and the figure that decided."""

    worth: bool
    chance: float
    """That the person comes back in the time that it adds."""
    reason: Reason


def weigh(pauses: Pauses, stakes: Stakes, *, expires: float, kept: float) -> Verdict:
    """Whether to keep alive, until `kept`, what `expires` otherwise: seconds since the last turn's last call.

    All that is spent on one absence together is never more than what the turn after it can save.
    """
    chance = return_chance(pauses, expires, kept)
    if stakes.spent + stakes.price > stakes.saves:
        return Verdict(False, chance, "spent")
    if chance * stakes.saves <= stakes.price:
        return Verdict(False, chance, "unlikely")
    return Verdict(True, chance, "likely")


def return_chance(pauses: Pauses, after: float, before: float) -> float:
    """The chance that somebody who is still away after so many seconds comes back before so many."""
    still = _away(pauses, after)
    return (still - _away(pauses, max(after, before))) / still if still > 0 else 0.0


def _away(pauses: Pauses, seconds: float) -> float:
    """How many of the pauses are longer than this."""
    if seconds <= SHORT:
        return pauses.middle + pauses.long
    if seconds >= LONG:
        return pauses.long
    return pauses.long + pauses.middle * (1 - log(seconds / SHORT) / log(LONG / SHORT))
