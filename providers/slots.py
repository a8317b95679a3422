"""Where the embedded engine's KV slot is kept between runs: a file a session, the oldest go first."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from providers.types import Prefix, canonical

LARGEST_TOTAL = 512 * 1024 * 1024
"""Bytes that all saved slots may take together; a token takes about 23 kB."""

SAVED_SLOT = 0x67677371
"""What a file of llama.cpp's that holds one slot begins with: `ggsq`."""


@dataclass(frozen=True, slots=True)
class SlotName:
    """A saved slot's name: a part that all sessions with the same prefix share, then the session's own."""

    prefix: str
    session: str

    @classmethod
    def of(cls, prefix: Prefix) -> SlotName:
        tools = [[tool.name, tool.description, tool.parameters] for tool in prefix.tools]
        shared = _digest(canonical([prefix.model.name, prefix.encoder, prefix.system, tools]))
        readable = re.sub(r"[^A-Za-z0-9_-]", "_", prefix.affinity_key)[:60]
        return cls(shared, f"{readable}-{_digest(prefix.affinity_key)}")

    @property
    def file(self) -> str:
        return f"{self.prefix}-{self.session}.slot"


def nearest(folder: Path, name: SlotName) -> str | None:
    """The saved slot to begin with: the session's own, else the newest that starts with the same prefix."""
    if (folder / name.file).exists():
        return name.file
    related = sorted(folder.glob(f"{name.prefix}-*.slot"), key=_saved_at)
    return related[-1].name if related else None


def prune(folder: Path, keep: SlotName) -> None:
    """Delete the oldest saved slots until the rest fit `LARGEST_TOTAL`; `keep` stays."""
    files = sorted(folder.glob("*.slot"), key=_saved_at)
    total = sum(map(_size, files))
    for file in files:
        if total <= LARGEST_TOTAL:
            return
        if file.name != keep.file:
            total -= _size(file)
            file.unlink(missing_ok=True)


def saved_tokens(file: Path) -> tuple[int, ...]:
    """The tokens that a saved slot begins with; none if the file can't be read or is laid out otherwise.

    llama.cpp writes 32-bit words in the machine's order: a mark, a version, the length of what follows, then
    (since August 2026) -1, that part's own version, the count of tokens, the tokens, and padding; before
    that, the tokens alone.
    """
    try:
        with file.open("rb") as handle:
            mark, _, length = struct.unpack("=III", handle.read(12))
            if mark != SAVED_SLOT or length > LARGEST_TOTAL // 4:
                return ()
            words = struct.unpack(f"={length}i", handle.read(4 * length))
    except (OSError, struct.error):
        return ()
    match words:
        case (-1, _, size, *tokens):
            return tuple(tokens[:size])
        case _:
            return words


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _saved_at(file: Path) -> float:
    """Seconds since the epoch; 0 for a file that another process has just deleted."""
    return file.stat().st_mtime if file.exists() else 0.0


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
