"""How often something may happen: so many times a minute, evenly, after a quiet minute all at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

DUST = 1e-9
"""What adding up floats leaves behind."""


@dataclass(slots=True)
class Bucket:
    """Tokens that come back evenly: a minute's worth may be taken at once, after a quiet minute."""

    tokens: float
    filled: float
    """When it was looked at last, on the caller's clock in seconds."""

    @classmethod
    def full(cls, per_minute: int, now: float) -> Bucket:
        return cls(float(per_minute), now)

    def take(self, per_minute: int, now: float) -> int:
        """Take a token: 0; or take none, and say in how many whole seconds there will be one."""
        wait = self.wait(per_minute, now)
        if not wait:
            self.tokens -= 1
        return wait

    def wait(self, per_minute: int, now: float) -> int:
        """In how many whole seconds there will be a token; 0 where there is one."""
        pace = per_minute / 60
        self.tokens = min(float(per_minute), self.tokens + (now - self.filled) * pace)
        self.filled = now
        missing = 1 - self.tokens
        return max(1, math.ceil(missing / pace - DUST)) if missing > DUST else 0
