"""Taking typed values out of one decoded JSON object, at the edge where files are read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from providers import counts
from providers.types import JSON, JSONObject

END_OF_TIME = 253_402_128_000.0
"""Seconds since the epoch, at the end of 9999: later moments have no date, in some time zone or in any."""


class Fields:
    """One JSON object while it is read: a key that was taken is gone, and `rest` is what nobody asked for.

    Every taker answers with a default where the key is absent or its value is of another type; only `need`
    raises ValueError.
    """

    def __init__(self, value: JSON) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"it holds {type(value).__name__}, not an object")
        self._left: dict[str, JSON] = dict(value)

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def any(self, key: str) -> JSON:
        """Whatever stands there; None where nothing does."""
        return self._left.pop(key, None)

    def need(self, key: str) -> str:
        """Text that must be there. Raises ValueError."""
        value = self._left.pop(key, None)
        if not isinstance(value, str):
            raise ValueError(f"no {key!r}")
        return value

    def text(self, key: str, default: str = "") -> str:
        value = self._left.pop(key, None)
        return value if isinstance(value, str) else default

    def maybe_text(self, key: str) -> str | None:
        value = self._left.pop(key, None)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> float:
        return self.maybe_number(key) or 0.0

    def maybe_number(self, key: str) -> float | None:
        value = self._left.pop(key, None)
        if type(value) is int:
            try:
                value = float(value)
            except OverflowError:
                return None
        return value if type(value) is float and math.isfinite(value) else None

    def dollars(self, key: str) -> float | None:
        """US dollars; None where none are given, or fewer than 0, or more than anybody was ever billed."""
        value = self.maybe_number(key)
        return value if value is not None and 0 <= value <= counts.LARGEST_BILL else None

    def moment(self, key: str) -> float:
        """Seconds since the epoch; 0 where none are given, or what they say is in no calendar."""
        value = self.maybe_number(key) or 0.0
        return value if 0 <= value < END_OF_TIME else 0.0

    def count(self, key: str) -> int:
        """A token count: 0 where none is given (see `providers.counts`)."""
        value = self._left.pop(key, None)
        if (
            type(value) is int and 0 <= value <= counts.LARGEST
        ):  # nearly always, and this is asked for every call of every session
            return value
        return counts.count(value) or 0

    def maybe_count(self, key: str) -> int | None:
        return counts.count(self._left.pop(key, None))

    def flag(self, key: str) -> bool:
        return self._left.pop(key, None) is True

    def object(self, key: str) -> dict[str, JSON]:
        value = self._left.pop(key, None)
        return value if isinstance(value, dict) else {}

    def array(self, key: str) -> list[JSON]:
        value = self._left.pop(key, None)
        return value if isinstance(value, list) else []

    def drop(self, keys: Iterable[str]) -> None:
        """Keys that are known and not wanted."""
        for key in keys:
            self._left.pop(key, None)

    def rest(self) -> JSONObject:
        """The keys that nobody took."""
        return self._left


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as the journal writes them: `2026-11-22T09:30:00.123Z`.

    What no calendar holds, as a foreign file may have it, is the epoch itself.
    """
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def seconds(text: str) -> float | None:
    """An ISO 8601 moment in seconds since the epoch, None where it isn't one or lies before that; no zone
    means local time."""
    try:
        moment = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return moment if 0 <= moment < END_OF_TIME else None
