"""Writing a small private file so that a reader, or a crash, sees the old one or the new one whole."""

from __future__ import annotations

import errno
import json
import os
import secrets
from pathlib import Path
from typing import Any

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
BARRED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR})


def why_unwritable(error: OSError) -> str:
    """How the line of an error ends when a file below Cachet's own folder could not be written."""
    cause = (error.strerror or str(error)).lower()
    if error.errno in FULL:
        return f"{cause}. Free some space, then try again."
    if error.errno in BARRED:
        return f"{cause}. Let yourself write there, or set CACHET_HOME to a folder where you may."
    return f"{cause}. Try again; if it stays, set CACHET_HOME to a folder on another disk."


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace the file (0600): temporary file, fsync, rename, fsync of the folder. Raises OSError.

    What is not `durable` may be lost with the machine's power, and only then: it spares the two fsyncs.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def json_bytes(value: Any, *, indent: int | None = None) -> bytes:
    """JSON in UTF-8. Names that aren't UTF-8 (lone surrogates) become `\\udc..` escapes, which read back."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, sort_keys=indent is None)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
