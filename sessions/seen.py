"""Keeps in the journal which version of each file the model saw last, so that it may edit after a resume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from providers.types import JSON, JSONObject
from sessions.records import NoteLine

TOPIC = "seen"

Versions: TypeAlias = Mapping[Path, tuple[int, int]]
"""By real path: when the file was changed, in nanoseconds, and its size in bytes, as in `FilesSeen`."""


def news(before: Versions, now: Versions) -> JSONObject:
    """What a note has to tell that the ones before it didn't; empty for nothing.

    A path that is no UTF-8 is left out: the model has to look at that file again.
    """
    changed = {path: version for path, version in now.items() if before.get(path) != version}
    return {str(path): [*version] for path, version in changed.items() if _is_text(str(path))}


def versions_seen(notes: Iterable[NoteLine]) -> dict[Path, tuple[int, int]]:
    """What the notes come to, the later ones last."""
    seen: dict[Path, tuple[int, int]] = {}
    for note in notes:
        if note.topic == TOPIC:
            seen |= {Path(path): version for path, told in note.data.items() if (version := _version(told))}
    return seen


def _version(told: JSON) -> tuple[int, int] | None:
    match told:
        case [int(changed), int(size)]:
            return changed, size
        case _:
            return None


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
