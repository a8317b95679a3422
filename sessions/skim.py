"""Finds a journal's lines of some kinds without parsing the others: what lists and statistics read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_HEAD = b'{"kind":"'


def skim(path: Path, kinds: frozenset[bytes]) -> Iterator[bytes]:
    """The lines that may be of these kinds, undecoded. Nothing where the file can't be read.

    A line that someone wrote in another style is given out too; decoding it tells what it is.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return
    for line in data.split(b"\n"):
        if not line.startswith(_HEAD):
            if line.strip():
                yield line
        elif line[len(_HEAD) : line.find(b'"', len(_HEAD))] in kinds:
            yield line


def spoken_by_user(line: bytes) -> bool:
    """Whether a message line may be a user's: its role stands before its blocks, near the start."""
    return b'"role":"user"' in line[:512] or not line.startswith(_HEAD)
