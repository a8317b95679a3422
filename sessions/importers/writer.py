"""Writes an imported session as a journal of ours, whole or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from checkpoint.places import make_private
from checkpoint.writing import why_unwritable
from providers.call import new_id
from providers.types import JSON
from sessions.catalog import journal_path
from sessions.fields import timestamp
from sessions.importers.imported import Imported
from sessions.journal import JournalUnwritable
from sessions.lines import encode
from sessions.records import MessageLine, NoteLine, Origin, Record, SessionLine


def write(imported: Imported, session: str, origin: Origin, home: Path, cwd: Path) -> Path:
    """The new journal. `cwd` stands in where the file names no folder. Raises JournalUnwritable.

    If the journal has appeared meanwhile, that one is kept.
    """
    folder = Path(imported.cwd) if imported.cwd else cwd
    path = journal_path(home, folder, session)
    data = b"".join(encode(line).encode() + b"\n" for line in _lines(imported, session, origin, folder))
    draft = path.with_name(f".{session}.{new_id('draft')}")
    try:
        make_private(path.parent)
        _write_new(draft, data)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    except OSError as error:
        raise JournalUnwritable(f"Cannot write the session {path}: {why_unwritable(error)}") from error
    return path


def _write_new(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _lines(imported: Imported, session: str, origin: Origin, folder: Path) -> Iterator[Record]:
    now = timestamp(time.time())
    created = now if imported.created is None else timestamp(imported.created)
    yield SessionLine(
        id=session, parent=None, at=now, session=session, cwd=str(folder), created=created, origin=origin
    )
    yield from _messages(imported, session, created)
    if imported.title:
        yield NoteLine(id=f"{session}-title", parent=None, at=now, topic="title", text=imported.title)
    data: dict[str, JSON] = {"extra": dict(imported.extra), "skipped": list(imported.skipped)}
    text = f"Imported from {imported.tool}: {origin.path}"
    yield NoteLine(id=f"{session}-import", parent=None, at=now, topic="import", text=text, data=data)


def _messages(imported: Imported, session: str, at: str) -> Iterator[MessageLine]:
    """The messages in a chain. Every import of the same file gives them the same ids."""
    parent: str | None = None
    turn: str | None = None
    for number, message in enumerate(imported.messages, start=1):
        id = f"{session}-{number}"
        turn = id if message.role == "user" else turn
        yield MessageLine(id=id, parent=parent, at=at, message=replace(message, id=id), turn=turn)
        parent = id
