"""The file of finished runs: opened and brought up to date, or kept aside where it can't be read.

Its format is SQLite's `user_version`. The law is the journals': what an older version wrote is upgraded in
place, in one transaction; what a later one wrote is not touched; what nobody can read is never deleted.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from checkpoint.places import make_private
from providers.errors import ConfigurationError

_RUNS = (
    """
create table if not exists runs (
    id text primary key, client text not null, workspace text not null, session text not null,
    message text not null, chain text not null,
    token text not null, request text not null, created real not null, status integer not null,
    body text not null
)""",
    "create index if not exists by_chain on runs (client, workspace, chain, created)",
    "create index if not exists by_session on runs (session)",
    "create index if not exists by_age on runs (created)",
    "create index if not exists by_token on runs (client, token)",
)
"""A file without a version has all of this already, or nothing yet."""

_STEPS: tuple[tuple[str, ...], ...] = (_RUNS,)
"""What leads from each version to the next one. Steps are added; none is ever changed."""

VERSION = len(_STEPS)
COLUMNS = "id, client, workspace, session, message, chain, token, request, created, status, body"

_UNREADABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""SQLite's words for a file that is damaged, none of its own, or has other tables than these."""
_BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file, under its name."""


@dataclass(frozen=True, slots=True)
class RunsFile:
    """The file, open."""

    base: sqlite3.Connection
    """In no transaction; may be used in any thread, by one at a time."""
    kept_aside: Path | None = None
    """Where the file that was found is now, because it could not be read."""


def open_runs(path: Path) -> RunsFile:
    """Open the file, and make it where there is none; it is the person's alone. Blocks: all of it is read.

    Raises ConfigurationError where a later version wrote it, or it can't be used now.
    """
    try:
        make_private(path.parent)
        try:
            return RunsFile(_opened(path))
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _UNREADABLE:
                raise
            aside = _set_aside(path)
            return RunsFile(_opened(path), aside)
    except (sqlite3.Error, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"Cannot open the server's runs in {path}: {why}. End what uses the file, or see who owns it."
        ) from error


def _opened(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        _check_not_newer(base, path)
        _check_sound(base)
        base.execute("pragma journal_mode=wal")
        base.execute("pragma synchronous=normal")
        _upgrade(base, path)
        base.execute(f"select {COLUMNS} from runs limit 0")
    except BaseException:
        base.close()
        raise
    return base


def _check_not_newer(base: sqlite3.Connection, path: Path) -> None:
    if (version := _version(base)) > VERSION:
        raise ConfigurationError(
            f"{path} was written by a later version of Cachet (format {version}, this one knows {VERSION}). "
            "Update Cachet; or move the file away: the sessions are kept, the ids of their answers are not."
        )


def _check_sound(base: sqlite3.Connection) -> None:
    with closing(base.execute("pragma quick_check(1)")) as found:
        [said] = found.fetchone()
    if said != "ok":
        error = sqlite3.DatabaseError(said)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _upgrade(base: sqlite3.Connection, path: Path) -> None:
    if _version(base) == VERSION:
        return
    base.execute("begin immediate")
    try:
        _check_not_newer(base, path)  # another server may have been here first
        for step in _STEPS[_version(base) :]:
            for statement in step:
                base.execute(statement)
        base.execute(f"pragma user_version = {VERSION}")
        base.execute("commit")
    except BaseException:
        if base.in_transaction:  # SQLite has rolled it back itself where the disk is full
            base.execute("rollback")
        raise


def _version(base: sqlite3.Connection) -> int:
    [version] = base.execute("pragma user_version").fetchone()
    return int(version)


def _set_aside(path: Path) -> Path:
    """Move the file away, with all that SQLite keeps beside it; where it is now."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (
        path.with_name(f"{path.name}.broken-{stamp}{more}") for more in ("", *(f"-{n}" for n in range(1, 99)))
    )
    aside = next(name for name in names if not name.exists())
    for beside in _BESIDE:
        if (there := path.with_name(path.name + beside)).exists():
            there.rename(aside.with_name(aside.name + beside))
    path.rename(aside)
    return aside
