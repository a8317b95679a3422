"""Puts new bytes in a file's place: all of them or none, with the file's mode, through its symlinks."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from uuid import uuid4

NO_RENAME = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV, errno.EROFS)
"""A folder that takes no new files, a file that is a mount: then the file itself is written."""


def replace_bytes(path: Path, data: bytes) -> None:
    """Write the file a path leads to, making its folders. A symlink stays one. Raises OSError."""
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = target.stat()
    except FileNotFoundError:
        found = None
    if found is not None:
        _check_writable(target, found)
    try:
        _rename_over(target, data, found)
    except OSError as error:
        if found is None or error.errno not in NO_RENAME:
            raise
        target.write_bytes(data)


def _check_writable(target: Path, found: os.stat_result) -> None:
    """A rename would get past a file's own write protection."""
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(target))
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))


def _rename_over(target: Path, data: bytes, found: os.stat_result | None) -> None:
    beside = target.with_name(f".cachet-{uuid4().hex}.tmp")
    mode = 0o666 if found is None else 0o600  # of a new file the umask takes its part
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            if found is not None:
                with contextlib.suppress(
                    PermissionError
                ):  # another's file: it becomes ours, as with an editor
                    os.fchown(file.fileno(), found.st_uid, found.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(found.st_mode))
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
