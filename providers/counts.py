"""Reading token counts from what a wire sent, whatever it sent."""

from __future__ import annotations

import math

from providers.types import JSON, JSONObject

LARGEST = 10**15
"""Tokens. More is no count: nobody was ever billed for it, and sums of such numbers fit no float."""


LARGEST_BILL = 1e12
"""US dollars. More is no bill, whoever says so, and sums of such numbers fit no float either."""


def count(value: JSON) -> int | None:
    """A token count, or None where the wire said nothing usable.

    Whole numbers count, as do floats and numeric text (`12.0`, `"12"`). Absent, null, bool, NaN, infinite,
    negative, absurdly large and other values are None, never an exception.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if (isinstance(value, float) and not math.isfinite(value)) or not 0 <= value <= LARGEST:
        return None
    return int(value)


def section(value: JSONObject, key: str) -> JSONObject:
    """The object under `key`, or an empty one where there is none."""
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}
