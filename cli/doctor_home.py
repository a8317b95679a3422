"""What `agent doctor` asks of Cachet's own folder and of the configuration."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from checkpoint.writing import why_unwritable
from cli.config import FILE, Loaded
from cli.doctor_check import Finding, Findings, note, ok, problem
from cli.place import Place
from providers.errors import ConfigurationError
from sessions.catalog import Catalog

LITTLE = 1_000_000_000
TOO_LITTLE = 50_000_000
"""Bytes of free space below which to warn, and below which soon nothing can be written."""

OTHERS = 0o077
"""The permissions of everybody but the owner."""

_OWN = "state"


def state_folder(home: Path) -> Findings:
    """Whether the folder is there, private and writable. It writes a file without a name, which is gone."""
    if not home.exists():
        return _not_there_yet(home)
    if not home.is_dir():
        return (problem(_OWN, f"{home} is not a folder.", "Move it away, or set CACHET_HOME to a folder."),)
    found = [*_unwritable(home), *_open_to_others(home)]
    return found or (ok(_OWN, f"{home}, private and writable"),)


def free_space(home: Path) -> Findings:
    """Whether there is room for sessions and checkpoints."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    said = f"{free / 1e9:,.1f} GB free where {home} lies"
    if free < TOO_LITTLE:
        return (problem("space", f"only {said}.", "Free some, or set CACHET_HOME to another disk."),)
    if free < LITTLE:
        return (note("space", f"only {said}.", "Free some before long."),)
    return (ok("space", said),)


def writers(home: Path) -> Findings:
    """Sessions that another process has open now: they can be read or forked meanwhile."""
    found = [
        note(
            "session",
            f"{journal.stem} is open in process {pid}.",
            f"Beside it: agent resume {journal.stem} --fork",
        )
        for journal in Catalog(home).journals()
        if (pid := _writer(journal))
    ]
    return found or (ok("session", "no session is open elsewhere"),)


def configuration(place: Place, loaded: Loaded | ConfigurationError) -> Findings:
    """Whether the files can be used, whether others can read a key in them, and what waits for trust."""
    if isinstance(loaded, ConfigurationError):
        return (problem("config", str(loaded)),)
    return tuple(_configuration(place, loaded))


def _configuration(place: Place, loaded: Loaded) -> Iterator[Finding]:
    for notice in loaded.notices:
        yield problem("config", notice)
    if loaded.untrusted is not None:
        yield note(
            "config",
            f"{loaded.untrusted.path} is not in force but for what it forbids: you have not trusted it yet.",
            "Look at it, then start the chat here; it asks.",
        )
    for name in sorted(loaded.config.key_variables):
        if not place.environ.get(name, "").strip():
            yield problem(
                "config", f"api_key_env names {name}, which is not set.", f"Set it: export {name}=…"
            )
    files = ", ".join(map(str, loaded.files))
    yield ok("config", files or f"no {place.home / FILE}: the defaults are in force")


def _not_there_yet(home: Path) -> Findings:
    parent = next(folder for folder in home.parents if folder.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        return (
            problem(_OWN, f"{home} cannot be made in {parent}.", "Set CACHET_HOME to a folder of yours."),
        )
    return (ok(_OWN, f"{home} is not there yet; the first session makes it"),)


def _unwritable(home: Path) -> Iterator[Finding]:
    try:
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        yield problem(_OWN, f"{home} cannot be written: {why_unwritable(error)}")


def _open_to_others(home: Path) -> Iterator[Finding]:
    """The folder first: behind one that is closed, a file's own permissions let nobody in."""
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & OTHERS:
        yield problem(_OWN, f"{home} is open to others ({mode:04o}).", f"Run: chmod 700 {home}")
    readable = [path for path in _files(home) if stat.S_IMODE(path.lstat().st_mode) & OTHERS]
    if readable:
        count = "1 file" if len(readable) == 1 else f"{len(readable):,} files"
        say = problem if mode & OTHERS else note
        yield say(
            _OWN, f"others may read {count} in {home}, first {readable[0]}.", f"Run: chmod -R go= {home}"
        )


def _files(home: Path) -> Iterator[Path]:
    """Its files, without the objects in git directories: there are many, and these are private as a whole."""
    for folder, inner, names in os.walk(home):
        inner[:] = [name for name in inner if not name.endswith(".git")]
        yield from (Path(folder, name) for name in names if not Path(folder, name).is_symlink())


def _writer(journal: Path) -> str:
    """The process that writes the journal, as its label says; empty if none does."""
    try:
        pid = journal.with_name(f"{journal.name}.lock").read_text().strip()
        with journal.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return pid or "of an unknown number"
    except OSError:
        return ""
    return ""
