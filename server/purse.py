"""What a client key may still spend, shared out so that runs side by side never spend it twice."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from server.errors import budget_spent, rate_limited
from server.keys import ClientKey, Period

Spent = Callable[[str, float], float]
"""`spent(key_id, since)`: the US dollars that the ledger holds for a key since a moment, in epoch seconds."""


@dataclass(slots=True)
class Purse:
    """One key's money in the period that runs.

    Each run reserves its share of what is left, and gives back what it didn't use. The ledger is asked
    whenever none of the key's runs is under way; between that, what the runs came to is counted here. A run
    that goes on past midnight counts in the new period as a whole: too much rather than too little.
    """

    spent: Spent
    since: float = -1.0
    before: float = 0.0
    """US dollars that the ledger told when it was asked last."""
    used: float = 0.0
    """US dollars of the runs that ended since."""
    reserved: float = 0.0
    """US dollars that the runs under way may spend."""

    def reserve(self, key: ClientKey, *, running: int, now: float) -> float | None:
        """What one more run may spend: an equal share for every run that the key may still begin.

        `running` are the key's runs under way, `now` is in seconds since the epoch. None without a budget.
        Raises ApiError (429) when nothing is left.
        """
        if key.budget_usd is None:
            return None
        since = period_start(key.budget_period, now)
        if not running or since != self.since:
            self.since, self.used = since, 0.0
            self.before = self.spent(key.id, since)
        unspent = key.budget_usd - self.before - self.used
        if not _something(unspent):
            raise budget_spent(*_refusal(key, now))
        left = unspent - self.reserved
        if not _something(left):
            message = "The runs under way may use up this key's budget. Wait until one has ended."
            raise rate_limited(message, 1, "budget_reserved")
        share = left / max(1, key.concurrent - running)
        self.reserved += share
        return share

    def settle(self, share: float | None, usd: float) -> None:
        """A run has ended that was given `share` and came to `usd`, be it more or less."""
        self.reserved = max(0.0, self.reserved - (share or 0.0))
        self.used += usd


def period_start(period: Period, now: float) -> float:
    """When the period that runs began, by the local calendar, in seconds since the epoch; 0 for `total`."""
    midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "day":
            return midnight.timestamp()
        case "month":
            return midnight.replace(day=1).timestamp()
        case "total":
            return 0.0


def period_end(period: Period, now: float) -> float | None:
    """When the budget renews, in seconds since the epoch; None for `total`."""
    start = datetime.fromtimestamp(period_start(period, now))
    match period:
        case "day":
            return (start + timedelta(days=1)).timestamp()
        case "month":
            return (start + timedelta(days=31)).replace(day=1).timestamp()
        case "total":
            return None


def _refusal(key: ClientKey, now: float) -> tuple[str, int | None]:
    """The line for a spent budget, and in how many seconds it renews."""
    gone = f"The budget of this key is spent: {key.budget_usd:g} US dollars"
    renews = period_end(key.budget_period, now)
    if renews is None:
        return f"{gone} in total. It does not renew: ask who runs the server.", None
    moment = datetime.fromtimestamp(renews).astimezone().isoformat(timespec="minutes")
    return f"{gone} a {key.budget_period}. It renews at {moment}.", math.ceil(renews - now)


def _something(usd: float) -> bool:
    """Whether it is more than what adding up floats leaves behind."""
    return usd > 1e-9
