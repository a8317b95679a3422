"""Whether one more run of a client key may begin now: how many at once, how often, for how much."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from server.bucket import Bucket
from server.errors import rate_limited
from server.keys import ClientKey
from server.purse import Purse, Spent


class Admission:
    """Admits runs, each key by itself. It belongs to one thread: that of the event loop.

    `spent` tells what a key spent before (see `purse.Spent`), and is asked only for keys with a budget;
    `clock` counts seconds for the rate, `now` tells the calendar's time in seconds since the epoch.
    """

    def __init__(
        self,
        spent: Spent,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._spent = spent
        self._clock = clock
        self._now = now
        self._desks: dict[str, _Desk] = {}

    def admit(self, key: ClientKey) -> Slot:
        """A place for one run, to be left with `Slot.release` whatever happens: best in a `with` block.

        Raises ApiError, 429 each time: `concurrency_limit_exceeded`, `rate_limit_exceeded`, `budget_reserved`
        (all of them worth another try, after `Retry-After`), or `insufficient_quota`.
        """
        desk = self._desks.get(key.id)
        if desk is None:
            full = Bucket.full(key.per_minute, self._clock())
            desk = self._desks[key.id] = _Desk(full, Purse(self._spent))
        if desk.running >= key.concurrent:
            runs = "one run" if key.concurrent == 1 else f"{key.concurrent} runs"
            message = f"This key may have {runs} under way at once. Wait until one has ended."
            raise rate_limited(message, 1, "concurrency_limit_exceeded")
        wait = desk.bucket.take(key.per_minute, self._clock())
        if wait:
            message = f"This key may begin {key.per_minute} turns a minute. Wait {wait} s."
            raise rate_limited(message, wait)
        allowance = desk.purse.reserve(key, running=desk.running, now=self._now())
        desk.running += 1
        return Slot(desk, allowance)


class Slot:
    """A run's place. It is the run's until `release`, which a `with` block calls at its end."""

    def __init__(self, desk: _Desk, allowance: float | None) -> None:
        self.allowance = allowance
        """US dollars this run may spend; None for no limit."""
        self._desk = desk
        self._usd = 0.0
        self._left = False

    def spent(self, usd: float) -> None:
        """What the run came to so far, in US dollars. The last word before `release` counts."""
        self._usd = usd

    def release(self) -> None:
        """Leave the place, and give back what of the allowance wasn't spent. Again does nothing."""
        if self._left:
            return
        self._left = True
        self._desk.running -= 1
        self._desk.purse.settle(self.allowance, self._usd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(slots=True)
class _Desk:
    """What is remembered of one key."""

    bucket: Bucket
    purse: Purse
    running: int = field(default=0)
