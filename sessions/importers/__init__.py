"""Makes journals of other tools' session files; the files themselves are never written."""

from __future__ import annotations

import hashlib
from pathlib import Path

from providers.types import Usage
from sessions.importers.detect import importer, is_journal
from sessions.importers.imported import Imported, NotASession, Source
from sessions.importers.writer import write
from sessions.records import Origin

__all__ = ["NotASession", "import_all", "import_file"]

_HEAD = 65_536


def import_file(path: Path, home: Path, cwd: Path | None = None) -> Path:
    """The journal to go on with: `path` itself if it is one, else the one made of the file's latest session.

    Raises NotASession for a file that is none, JournalUnwritable.
    """
    return import_all(path, home, cwd)[-1]


def import_all(path: Path, home: Path, cwd: Path | None = None) -> tuple[Path, ...]:
    """A journal for each session of the file, the latest last.

    Importing the same bytes again gives the first import, as it has gone on since. `cwd`, by default the
    current folder, is the project of sessions that name none. Raises as `import_file`.
    """
    ours = path.resolve().parent.parent == (home / "sessions").resolve()
    if ours or is_journal(_read(path, _HEAD)):
        return (path,)
    source = Source(path.resolve(), _read(path))
    digest = hashlib.sha256(source.data).hexdigest()
    found = [one for one in importer(source)(source) if one.messages or one.usage != Usage()]
    if not found:
        raise NotASession(f"{path} holds no conversation.")
    return tuple(_journal(one, place, source.path, digest, home, cwd) for place, one in enumerate(found))


def _journal(one: Imported, place: int, path: Path, digest: str, home: Path, cwd: Path | None) -> Path:
    """The session's journal: its name comes from the file's content, so an earlier import is found by it."""
    session = f"import-{digest[:12]}" + (f"-{place + 1}" if place else "")
    earlier = next((home / "sessions").glob(f"*/{session}.jsonl"), None)
    if earlier is not None:
        return earlier
    origin = Origin(
        kind="import",
        path=str(path),
        sha256=digest,
        inherited=one.usage,
        inexact=one.inexact,
        tool=one.tool,
        session=one.session,
        model=one.model,
    )
    return write(one, session, origin, home, cwd or Path.cwd())


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NotASession(f"Cannot read {path}: {reason}.") from error
