"""Keeps how long this person pauses, in a small file that may be deleted at any time."""

from __future__ import annotations

import json
from pathlib import Path

from agent.lifetimes import Habits, Pauses
from checkpoint.writing import json_bytes, write_whole
from providers.types import JSON

FILE = "habits.json"


def load(home: Path) -> Habits:
    """What is known of this person; a newcomer's habits where that is nothing, or unreadable."""
    habits = Habits()
    try:
        found = json.loads((home / FILE).read_bytes())
        return Habits(
            _pauses(found["between_turns"], habits.between_turns),
            _pauses(found["within_turns"], habits.within_turns),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return habits


def save(home: Path, habits: Habits) -> None:
    """Replace the file. Losing it costs little: a failure is passed over."""
    value = {
        "between_turns": _figures(habits.between_turns),
        "within_turns": _figures(habits.within_turns),
    }
    try:
        write_whole(home / FILE, json_bytes(value), durable=False)
    except OSError:
        return


def _figures(pauses: Pauses) -> dict[str, JSON]:
    return {"short": pauses.short, "middle": pauses.middle, "long": pauses.long}


def _pauses(value: JSON, like: Pauses) -> Pauses:
    """Raises ValueError, KeyError or TypeError for what are no sums of pauses."""
    short, middle, long = (float(value[name]) for name in ("short", "middle", "long"))
    if not (min(short, middle, long) >= 0 and 0 < short + middle + long < 1e6):
        raise ValueError("no sums of pauses")
    return Pauses(short, middle, long, memory=like.memory)
