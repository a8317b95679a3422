"""When a failed model call is made again, and after how long."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from providers.errors import ProviderError, Stalled


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Exponential with jitter; the provider's own Retry-After wins. All in seconds.

    A stall has waited long enough: what comes after it waits no longer than after a first failure.
    """

    attempts: int = 6
    first: float = 1.0
    longest: float = 30.0
    longest_asked: float = 120.0
    """A provider that asks for a longer wait than this is not waited for."""
    chance: Callable[[], float] = random.random

    def delay(self, failure: ProviderError, attempt: int) -> float | None:
        """Seconds until the next attempt after failed attempt number `attempt` (from 1); None to give up."""
        if not failure.retryable or attempt >= self.attempts:
            return None
        if failure.retry_after is not None:
            return failure.retry_after if failure.retry_after <= self.longest_asked else None
        doublings = 0 if isinstance(failure, Stalled) else attempt - 1
        ceiling = min(self.longest, self.first * 2.0**doublings)
        return float(ceiling * (0.5 + self.chance() / 2))
