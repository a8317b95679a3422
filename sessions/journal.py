"""A session's journal on disk: one writer appends lines, anyone reads them, nothing is ever rewritten."""

from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from checkpoint.places import make_private
from checkpoint.writing import why_unwritable
from providers.errors import CachetError
from sessions.lines import decode, encode
from sessions.records import FORMAT_VERSION, Record, SessionLine


class JournalError(CachetError):
    """A journal could not be used; the text says which, why, and what to do."""


class JournalBusy(JournalError):
    """Another process writes this journal now."""


class JournalNewer(JournalError):
    """A later version of the format wrote this journal: it may be read, not written."""


class JournalUnwritable(JournalError, OSError):
    """The system would not write: no space, no permission, an I/O error."""

    written = False
    """The line is in the file all the same, only not surely on the disk."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was skipped and stays in the file. `number` counts from 1."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Journalled:
    """What a journal holds, in the order it was written."""

    path: Path
    records: tuple[Record, ...]
    bad: tuple[BadLine, ...]
    version: int
    """The format version its first line names; this version's where that line is unreadable."""

    @property
    def read_only(self) -> str:
        """Why nothing may be appended, in one line; empty when it may."""
        return _newer(self.path, self.version) if self.version > FORMAT_VERSION else ""

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should know of this reading, one line each."""
        lines = [self.read_only] if self.read_only else []
        if self.bad:
            first = self.bad[0]
            noun = "line" if len(self.bad) == 1 else "lines"
            lines.append(
                f"{self.path}: skipped {len(self.bad)} unreadable {noun} "
                f"(line {first.number}: {first.reason}); the file was left as it is."
            )
        return tuple(lines)


def read(path: Path) -> Journalled:
    """Read a journal without taking its lock. Lines end at `\\n` only. Raises JournalError if it can't."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"Cannot read the session {path}: {_why(error)}.") from error
    records: list[Record] = []
    bad: list[BadLine] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            records.append(decode(line))
        except ValueError as error:
            bad.append(BadLine(number, _reason(error)))
    version = next((record.version for record in records if isinstance(record, SessionLine)), FORMAT_VERSION)
    return Journalled(path, tuple(records), tuple(bad), version)


class Journal:
    """The one writer of a journal. Its methods block; they may be called from any thread.

    Being the writer is an `flock` on the file itself, which ends with the process however that dies. The pid
    in the `.lock` file beside it is only there to be shown.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._threads = threading.Lock()
        self._ends_whole = False
        self._closed = False

    @classmethod
    def create(cls, path: Path, first: SessionLine) -> Journal:
        """Begin a journal with its first line, durably. Raises JournalError if the file exists already."""
        try:
            make_private(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise JournalError(
                f"The session {path} exists already. Resume it: agent resume {path.stem}"
            ) from error
        except OSError as error:
            raise JournalUnwritable(f"Cannot begin the session {path}: {why_unwritable(error)}") from error
        journal = cls._locked(path, descriptor)
        try:
            journal.append(first, sync=True)
            _sync_folder(path.parent)
        except BaseException:
            path.unlink(missing_ok=True)  # or it could not be begun again
            journal.close()
            raise
        return journal

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Become the writer of an existing journal.

        Raises JournalBusy while another process is it, JournalNewer, JournalUnwritable.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise JournalUnwritable(f"Cannot write the session {path}: {why_unwritable(error)}") from error
        journal = cls._locked(path, descriptor)
        version = _first_version(descriptor)
        if version > FORMAT_VERSION:
            journal.close()
            raise JournalNewer(_newer(path, version))
        return journal

    @classmethod
    def _locked(cls, path: Path, descriptor: int) -> Journal:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise JournalBusy(
                f"The session {path.stem} is being written by {_holder(path)}. "
                f"End that one first, or branch off: agent resume {path.stem} --fork"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise JournalUnwritable(f"Cannot lock the session {path}: {why_unwritable(error)}") from error
        _label(path)
        return cls(path, descriptor)

    def append(self, record: Record, *, sync: bool) -> None:
        """Write one line in one `write`; with `sync` return only when it is on disk.

        A line that broke off before, whoever wrote it, is first ended with a newline in that same write.
        Raises JournalUnwritable; what had been written of the line stays, and the next append mends it.
        """
        data = encode(record).encode() + b"\n"
        with self._threads:
            if self._closed:
                raise JournalError(
                    f"The session {self.path.stem} is closed. Resume it: agent resume {self.path.stem}"
                )
            if not self._ends_whole and self._torn():
                data = b"\n" + data
            self._ends_whole = False
            try:
                written = os.write(self._descriptor, data)
                if written == len(data):
                    self._ends_whole = True
                    if sync:
                        os.fsync(self._descriptor)
            except OSError as error:
                failure = JournalUnwritable(self._failed(why_unwritable(error)))
                failure.written = self._ends_whole
                raise failure from error
        if written < len(data):
            cut = f"only {written} of {len(data)} bytes went through. Free some space, then try again."
            raise JournalUnwritable(self._failed(cut))

    def close(self) -> None:
        """Let another process write. Closing twice is fine."""
        with self._threads:
            if self._closed:
                return
            self._closed = True
            _label_path(self.path).unlink(missing_ok=True)
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _torn(self) -> bool:
        size = os.fstat(self._descriptor).st_size
        return size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"

    def _failed(self, why: str) -> str:
        return f"Cannot write the session {self.path}: {why}"


def _first_version(descriptor: int) -> int:
    """The version that the first line names, as far as its first 64 KiB tell."""
    head = os.pread(descriptor, 65_536, 0).split(b"\n", 1)[0]
    try:
        first = decode(head)
    except ValueError:
        return FORMAT_VERSION
    return first.version if isinstance(first, SessionLine) else FORMAT_VERSION


def _newer(path: Path, version: int) -> str:
    return (
        f"The session {path.stem} was written by a later version of Cachet (format {version}, this one knows "
        f"{FORMAT_VERSION}): it opens read-only. Update Cachet to go on with it."
    )


def _label_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _label(path: Path) -> None:
    """Write our pid beside the journal. It only serves a message, so failing to is no failure."""
    try:
        descriptor = os.open(_label_path(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError:
        return
    try:
        os.write(descriptor, str(os.getpid()).encode())
    except OSError:
        return
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        pid = _label_path(path).read_text().strip()
    except OSError:
        pid = ""
    return f"process {pid}" if pid.isdigit() else "another process"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _reason(error: ValueError) -> str:
    match error:
        case UnicodeDecodeError():
            return "it is not UTF-8"
        case _:
            return f"not JSON: {error}" if type(error).__name__ == "JSONDecodeError" else str(error)
