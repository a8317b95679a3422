"""Reads the `snapshots.json` of cheetahclaws and bouzecode, which were written before Cachet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkpoint.store import counters, tokens
from checkpoint.types import CheckpointError

_BACKUPS = "backups"
_KEYS = frozenset(
    {"id", "session_id", "created_at", "turn_count", "message_index", "user_prompt_preview"}
    | {"token_snapshot", "file_backups"}
)


@dataclass(frozen=True, slots=True)
class LegacyFile:
    """A file as a row names it."""

    path: str
    """Absolute, on the machine of that time."""
    backup: Path | None
    """Its content, inside `backups/`; None where the file didn't exist, or the copy isn't there."""
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacySnapshot:
    """One row."""

    id: int
    session: str
    created: str
    turn_count: int
    message_index: int
    """How many messages the conversation had."""
    prompt: str
    token_snapshot: dict[str, int]
    """Tokens billed to date, every counter assigned. It is unknown whether input includes cached tokens."""
    files: tuple[LegacyFile, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Keys this version doesn't know, as they came."""


@dataclass(frozen=True, slots=True)
class LegacyCheckpoints:
    """The rows of one file that could be read."""

    rows: tuple[LegacySnapshot, ...]
    problems: tuple[str, ...]
    """One line for each row, or file in a row, that was left out."""


def read_legacy(path: Path) -> LegacyCheckpoints:
    """Read a `snapshots.json` with its `backups/` beside it; the file is never written.

    A bad row is left out and counted, never the whole list. Raises CheckpointError when the file is no list.
    """
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} can't be read: {error}") from error
    if not isinstance(body, list):
        raise CheckpointError(f"{path} is no list of snapshots")
    rows: list[LegacySnapshot] = []
    problems: list[str] = []
    for position, row in enumerate(body):
        if isinstance(row, dict):
            rows.append(_row(row, path.parent / _BACKUPS, problems))
        else:
            problems.append(f"row {position + 1}: not an object")
    return LegacyCheckpoints(tuple(rows), tuple(problems))


def _row(row: Mapping[str, Any], backups: Path, problems: list[str]) -> LegacySnapshot:
    number = tokens(row.get("id"))
    return LegacySnapshot(
        id=number,
        session=_text(row.get("session_id")),
        created=_text(row.get("created_at")),
        turn_count=tokens(row.get("turn_count")),
        message_index=tokens(row.get("message_index")),
        prompt=_text(row.get("user_prompt_preview")),
        token_snapshot=counters(row.get("token_snapshot")),
        files=_files(row.get("file_backups"), backups, number, problems),
        extra={key: value for key, value in row.items() if key not in _KEYS},
    )


def _files(value: Any, backups: Path, row: int, problems: list[str]) -> tuple[LegacyFile, ...]:
    found = []
    for path, entry in value.items() if isinstance(value, dict) else ():
        if not isinstance(entry, dict):
            problems.append(f"snapshot {row}: {path}: not an object")
            continue
        name = entry.get("backup_filename")
        backup = None if name is None else _backup(backups, name)
        if name is not None and backup is None:
            problems.append(f"snapshot {row}: {path}: no usable backup {str(name)[:80]!r}")
            continue
        found.append(LegacyFile(path, backup, tokens(entry.get("version"))))
    return tuple(found)


def _backup(backups: Path, name: Any) -> Path | None:
    """The copy inside `backups/`; None for a name that would leave that folder, or that is no file there."""
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        return None
    path = backups / name
    return path if path.is_file() and not path.is_symlink() else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
