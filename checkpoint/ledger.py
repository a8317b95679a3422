"""What a project's store knows beside git's index: permission bits, and files that need special care."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkpoint.writing import json_bytes, write_whole

_USUAL = (0o644, 0o755)


@dataclass(frozen=True, slots=True)
class Last:
    """The latest capture: the index it was made from, and what it came to."""

    index: tuple[int, ...]
    """Modification time (ns), size and inode of the index file."""
    files: str
    facts: str
    """The object that holds the facts."""
    tree: str


@dataclass(slots=True)
class Ledger:
    """One project's, read and written under its lock."""

    plain: tuple[int, int] | None = None
    """The permission bits that files and executables mostly have here; `modes` holds the others."""
    modes: dict[str, int] = field(default_factory=dict)
    extras: dict[str, str] = field(default_factory=dict)
    """Ignored files that our tools touch, each with the first tree that knows of it (perhaps as absent)."""
    absent: set[str] = field(default_factory=set)
    """The extras that don't exist at present."""
    nested: set[str] = field(default_factory=set)
    """Folders that hold repositories of their own."""
    special: set[str] = field(default_factory=set)
    """Sockets, pipes and devices that were seen."""
    recent: set[str] = field(default_factory=set)
    """Files that changed in the very second of the latest capture."""
    last: Last | None = None
    written: bytes = b""

    @classmethod
    def read(cls, path: Path) -> Ledger | None:
        """The ledger at `path`; None where there is none or it makes no sense."""
        try:
            data = path.read_bytes()
            found = json.loads(data)
            last = found["last"]
            return cls(
                plain=(found["plain"][0], found["plain"][1]) if found["plain"] else None,
                modes=_mapping(found["modes"], int),
                extras=_mapping(found["extras"], str),
                absent=set(map(str, found["absent"])),
                nested=set(map(str, found["nested"])),
                special=set(map(str, found["special"])),
                recent=set(map(str, found["recent"])),
                last=Last(tuple(last["index"]), last["files"], last["facts"], last["tree"]) if last else None,
                written=data,
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None

    def write(self, path: Path) -> None:
        """Write it where it changed. Raises OSError."""
        last = self.last
        data = json_bytes(
            {
                "plain": self.plain,
                "modes": self.modes,
                "extras": self.extras,
                "absent": sorted(self.absent),
                "nested": sorted(self.nested),
                "special": sorted(self.special),
                "recent": sorted(self.recent),
                "last": last
                and {"index": last.index, "files": last.files, "facts": last.facts, "tree": last.tree},
            }
        )
        if data != self.written:
            # A lost ledger is begun anew, with the index.
            write_whole(path, data, durable=False)
            self.written = data

    def note_modes(self, modes: Mapping[str, int], gone: Iterable[str]) -> None:
        """Book the permission bits of files about to be captured, and forget those of removed ones."""
        if self.plain is None and modes:
            self.plain = (_most(modes, 0, _USUAL[0]), _most(modes, 0o100, _USUAL[1]))
        plain = self.plain or _USUAL
        for path, mode in modes.items():
            if mode == plain[1 if mode & 0o100 else 0]:
                self.modes.pop(path, None)
            else:
                self.modes[path] = mode
        for path in gone:
            self.modes.pop(path, None)

    def facts(self, skipped: Mapping[str, str], fresh: Iterable[str]) -> Facts:
        """What to store with a tree; `fresh` are the extras that it is the first to know."""
        extras = frozenset(self.extras).union(fresh)
        return Facts(self.plain or _USUAL, dict(self.modes), dict(skipped), extras)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a tree says of its files beyond git's own: it is stored beside them, in the tree."""

    plain: tuple[int, int] = _USUAL
    modes: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    extras: frozenset[str] = frozenset()
    """Ignored files whose presence or absence this tree knows."""

    @classmethod
    def parse(cls, data: bytes) -> Facts:
        """Raises ValueError for what isn't ours."""
        try:
            found = json.loads(data)
            return cls(
                (int(found["plain"][0]), int(found["plain"][1])),
                _mapping(found["modes"], int),
                _mapping(found["skipped"], str),
                frozenset(map(str, found["extras"])),
            )
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"not the facts of a checkpoint's tree: {error}") from error

    def encode(self) -> bytes:
        return json_bytes(
            {
                "plain": self.plain,
                "modes": self.modes,
                "skipped": self.skipped,
                "extras": sorted(self.extras),
            }
        )

    def mode(self, path: str, *, executable: bool) -> int:
        """A file's permission bits."""
        return self.modes.get(path, self.plain[1 if executable else 0])


def _mapping(value: Any, kind: type) -> dict[str, Any]:
    return {str(key): kind(inner) for key, inner in value.items()}


def _most(modes: Mapping[str, int], executable: int, fallback: int) -> int:
    counted = Counter(mode for mode in modes.values() if mode & 0o100 == executable)
    return counted.most_common(1)[0][0] if counted else fallback
