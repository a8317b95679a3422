"""What was spent, added up from the journals: they are the only source, so every number can be checked."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date
from operator import attrgetter
from pathlib import Path
from typing import Literal, TypeAlias

from providers.types import JSON, Usage
from sessions.catalog import Catalog
from sessions.fields import seconds
from sessions.lines import decode
from sessions.records import CallLine, MissLine, Record, SessionLine
from sessions.rehydrate import carried_usage
from sessions.skim import skim
from sessions.usagejson import cost_object, usage_object

By: TypeAlias = Literal["session", "day", "model", "provider", "project", "purpose", "cause"]

UNKNOWN = "unknown"
NO_MISS = "no miss"
"""What calls that read all they could are called among the causes of a miss."""
_KINDS = frozenset((b"session", b"call"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StatRow:
    """One model call, or the total that an imported session came with (`imported`, no call of ours)."""

    session: str
    project: str
    """The session's folder."""
    at: float
    """Seconds since the epoch."""
    model: str
    """`provider/name`, or what an imported file says; `unknown` where it says nothing."""
    purpose: str
    usage: Usage
    cost: float | None
    """US dollars; None where the price is unknown."""
    saved: float | None
    """US dollars that the cache saved (`CallLine.saved`); None where that is unknown."""
    calls: int = 1
    estimated: bool = False
    inexact: bool = False
    """It is not known whether the input includes cached tokens."""
    miss: MissLine | None = None
    """What it paid for once more, or read anew after a break."""

    @property
    def provider(self) -> str:
        provider, slash, _ = self.model.partition("/")
        return provider if slash else UNKNOWN

    @property
    def day(self) -> str:
        """The local date, `2026-11-22`."""
        return time.strftime("%Y-%m-%d", time.localtime(self.at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Some rows added up."""

    key: str
    calls: int
    usage: Usage
    cost: float | None
    """US dollars of the rows with a known price, None where no row has one: at least this was spent."""
    cost_unknown_calls: int
    """Rows without a known price, an imported total counting as one."""
    saved: float | None
    """US dollars that the cache saved as far as known; below 0 where writing to it cost more than that."""
    estimated_calls: int
    inexact: bool
    misses: int
    """Calls that read less from the cache than they could have."""
    missed_tokens: int
    """What they paid for once more."""
    missed_cost: float | None
    """US dollars of that as far as known; None where no part of it is."""

    @property
    def hit_rate(self) -> float | None:
        """Of the calls whose provider said anything about caching; None where none did."""
        return self.usage.cache_hit_rate

    @property
    def at_least(self) -> bool:
        """The cost is only part of what was spent."""
        return self.cost_unknown_calls > 0


@dataclass(frozen=True, slots=True)
class Table:
    by: By
    rows: tuple[Sum, ...]
    total: Sum


def collect(
    home: Path, *, since: date | None = None, until: date | None = None, project: Path | None = None
) -> tuple[StatRow, ...]:
    """Every model call in the journals below `home`, in the order they lie there.

    `since` and `until` are local dates, both included. Unreadable lines and files are passed over.
    """
    first = since.isoformat() if since else ""
    last = until.isoformat() if until else "9"
    rows = (row for path in Catalog(home).journals(project) for row in session_rows(path))
    if not (since or until):
        return tuple(rows)
    return tuple(row for row in rows if first <= row.day <= last)


def session_rows(path: Path) -> Iterator[StatRow]:
    """One journal's calls, and the total it was imported with."""
    project = ""
    for line in skim(path, _KINDS):
        try:
            record: Record = decode(line)
        except ValueError:
            continue
        match record:
            case SessionLine(cwd=cwd):
                project = cwd
                yield from _imported(path, record)
            case CallLine():
                yield _called(path.stem, project, record)
            case _:
                pass


def _called(session: str, project: str, line: CallLine) -> StatRow:
    return StatRow(
        session=session,
        project=project,
        at=line.started or seconds(line.at) or 0.0,
        model=line.model or UNKNOWN,
        purpose=line.purpose,
        usage=line.usage,
        cost=line.cost,
        saved=line.saved,
        estimated=line.estimated,
        miss=line.miss,
    )


def _imported(path: Path, line: SessionLine) -> Iterator[StatRow]:
    usage = carried_usage(line.origin)
    if line.origin is None or line.origin.kind != "import":
        return
    yield StatRow(
        session=path.stem,
        project=line.cwd,
        at=seconds(line.created) or 0.0,
        model=line.origin.model or UNKNOWN,
        purpose="imported",
        usage=usage,
        cost=None,
        saved=None,
        calls=0,
        inexact=line.origin.inexact,
    )


def summarise(rows: Iterable[StatRow], by: By) -> Table:
    """The rows in groups: days in order, causes by what was missed, all else by tokens, the most first."""
    groups: dict[str, list[StatRow]] = {}
    everything: list[StatRow] = []
    for row in rows:
        everything.append(row)
        groups.setdefault(_key(row, by), []).append(row)
    sums = [_sum(key, group) for key, group in groups.items()]
    if by == "day":
        sums.sort(key=lambda one: one.key)
    elif by == "cause":
        sums.sort(key=lambda one: (-one.missed_tokens, one.key))
    else:
        sums.sort(key=lambda one: (-one.usage.total_tokens, one.key))
    return Table(by, tuple(sums), _sum("total", everything))


def to_json(table: Table) -> dict[str, JSON]:
    """The table as an object: `by`, `rows` (each with its `key`), `total`.

    Tokens are disjoint buckets. `cache_hit_rate` is null where no provider said anything about caching.
    `cost_usd` is null where a call's price is not known; `cost_at_least` is what is known of it.
    """
    return {
        "by": table.by,
        "rows": [{"key": row.key, **_sum_object(row)} for row in table.rows],
        "total": _sum_object(table.total),
    }


def _sum_object(one: Sum) -> dict[str, JSON]:
    return {
        "calls": one.calls,
        **usage_object(one.usage),
        **cost_object(one.cost or 0.0, one.cost_unknown_calls),
        "cost_unknown_calls": one.cost_unknown_calls,
        "saved_usd": one.saved,
        "estimated_calls": one.estimated_calls,
        "inexact": one.inexact,
        "misses": one.misses,
        "missed_tokens": one.missed_tokens,
        "missed_usd": one.missed_cost,
    }


def _key(row: StatRow, by: By) -> str:
    match by:
        case "session":
            return row.session
        case "day":
            return row.day
        case "model":
            return row.model
        case "provider":
            return row.provider
        case "project":
            return row.project or UNKNOWN
        case "purpose":
            return row.purpose
        case "cause":
            return row.miss.cause if row.miss else NO_MISS


def _sum(key: str, rows: list[StatRow]) -> Sum:
    known = [row.cost for row in rows if row.cost is not None]
    savings = [row.saved for row in rows if row.saved is not None]
    missed = [row.miss for row in rows if row.miss is not None]
    lost = [miss.cost for miss in missed if miss.cost is not None]
    return Sum(
        key=key,
        calls=sum(row.calls for row in rows),
        usage=_added(row.usage for row in rows),
        cost=math.fsum(known) if known or not rows else None,
        cost_unknown_calls=len(rows) - len(known),
        saved=math.fsum(savings) if savings or not rows else None,
        estimated_calls=sum(row.estimated for row in rows),
        inexact=any(row.inexact for row in rows),
        misses=len(missed),
        missed_tokens=sum(miss.tokens for miss in missed),
        missed_cost=math.fsum(lost) if lost or not missed else None,
    )


def _added(usages: Iterable[Usage]) -> Usage:
    """Their sum, made in one go: a `Usage` for each addition would be most of the work."""
    names = tuple(field.name for field in fields(Usage))
    columns = zip(*map(attrgetter(*names), usages), strict=True)
    return Usage(**dict(zip(names, map(sum, columns), strict=False)))
