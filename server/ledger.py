"""What every client's calls came to, by model and day: read once from the journals, then kept up to date."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from providers.types import Usage
from sessions.catalog import Catalog
from sessions.lines import decode
from sessions.records import CallLine
from sessions.skim import skim

REMOVED = "removed-calls.jsonl"
"""The file of calls whose sessions are gone."""

_CALL = frozenset((b"call",))


@dataclass(slots=True)
class Sum:
    """What some calls came to."""

    usage: Usage = field(default_factory=Usage)
    cost: float = 0.0
    """US dollars of the calls with a known price."""
    unknown_calls: int = 0
    calls: int = 0

    def add(self, call: CallLine) -> None:
        self.usage += call.usage
        self.calls += 1
        if call.cost is None:
            self.unknown_calls += 1
        else:
            self.cost += call.cost

    def merge(self, other: Sum) -> None:
        self.usage += other.usage
        self.cost += other.cost
        self.unknown_calls += other.unknown_calls
        self.calls += other.calls


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the ledger: a client's calls of one model on one day of the local calendar."""

    client: str
    model: str
    day: date
    sum: Sum


class Ledger:
    """The clients' calls, which the journals own: this is only their sums."""

    def __init__(self, home: Path, calls: Iterable[CallLine] = ()) -> None:
        self._removed = home / "server" / REMOVED
        self._sums: dict[tuple[str, str, date], Sum] = {}
        self.add(calls)

    @classmethod
    def read(cls, home: Path) -> Ledger:
        """The sums of all journals below `home`. Blocks: a second for some thousand sessions."""
        return cls(home, _calls(home))

    def keep(self, journal: Path) -> None:
        """Keep the clients' calls of a session that will be removed: removing it gives no money back.

        Blocks. Raises OSError.
        """
        lines = b"".join(line + b"\n" for line in skim(journal, _CALL) if b'"client"' in line)
        if not lines:
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with os.fdopen(os.open(self._removed, flags, 0o600), "ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def add(self, calls: Iterable[CallLine]) -> None:
        """Count calls that were made for a client; those of the terminal are no client's."""
        for call in calls:
            if call.client:
                day = datetime.fromtimestamp(call.started).date()
                self._sums.setdefault((call.client, call.model, day), Sum()).add(call)

    def rows(self, client: str) -> tuple[Row, ...]:
        """A client's lines, the latest day first."""
        own = (Row(*key, each) for key, each in self._sums.items() if key[0] == client)
        return tuple(sorted(own, key=lambda row: (row.day, row.model), reverse=True))

    def spent(self, client: str, since: float) -> float:
        """US dollars that a client's calls cost since the day of `since` (seconds since the epoch)."""
        first = datetime.fromtimestamp(since).date() if since > 0 else date.min
        return sum(row.sum.cost for row in self.rows(client) if row.day >= first)


def _calls(home: Path) -> Iterator[CallLine]:
    """Each call once: a session that could not be removed after all has its calls in both places."""
    known: set[str] = set()
    for journal in (*Catalog(home).journals(), home / "server" / REMOVED):
        for line in skim(journal, _CALL):
            if b'"client"' not in line:
                continue
            try:
                record = decode(line)
            except ValueError:
                continue
            if isinstance(record, CallLine) and record.id not in known:
                known.add(record.id)
                yield record
