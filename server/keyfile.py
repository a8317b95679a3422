"""Reads a file that decides who is let in, and only if nobody else can have written it."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_own(path: Path) -> tuple[bytes, os.stat_result]:
    """The file's bytes and what they were read from. A link, a pipe or another's file is refused: OSError."""
    if path.is_symlink():
        raise OSError("it is a link")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is not a file")
        if found.st_uid not in (os.geteuid(), 0) or found.st_mode & 0o022:
            raise OSError("others may write it; chmod it to 600")
        return file.read(), found


def signature(found: os.stat_result) -> tuple[int, ...]:
    """Differs for a file that was replaced or written in between."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def private_opener(path: str, flags: int) -> int:
    """For `open`: makes a missing file 0600, and follows no link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
