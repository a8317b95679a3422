"""Audits the ledger: every call's tokens again from its raw usage, every cost again from its price."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path

from providers.pricing import Rates, reprice
from providers.readings import billed_cost, reading_of
from providers.types import JSON, ModelRef, Usage
from sessions.catalog import Catalog
from sessions.fields import seconds
from sessions.lines import decode
from sessions.records import CallLine, PrefixLine
from sessions.skim import skim

_KINDS = frozenset((b"prefix", b"call"))
_COUNTERS = tuple(each.name for each in fields(Usage))
_PROMPT = tuple(name for name in _COUNTERS if name not in ("output_tokens", "reasoning_tokens"))
CLOSE = 1e-9
"""Costs that differ by less than this share of theirs are the same: the sums were done in another order."""

ESTIMATED = "the tokens are an estimate: the provider told none"
ESTIMATED_OUTPUT = "the output is an estimate: the answer broke off after the provider told of the prompt"
NO_RAW_USAGE = "no raw usage was kept"
UNREADABLE = "the line cannot be read"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A field of a call's line that comes to something else when it is worked out anew."""

    session: str
    call: str
    field: str
    recorded: JSON
    recomputed: JSON


@dataclass(frozen=True, slots=True)
class Note:
    """What in a call's raw usage did not add up, in a clause."""

    session: str
    call: str
    text: str


@dataclass(slots=True)
class Audit:
    """What came of it."""

    sessions: int = 0
    calls: int = 0
    disagreements: list[Disagreement] = field(default_factory=list)
    unchecked: Counter[str] = field(default_factory=Counter)
    """Calls by the reason why a part of their line could not be checked; what could be was."""
    notes: list[Note] = field(default_factory=list)

    @property
    def disagreeing(self) -> int:
        """Calls with at least one disagreement."""
        return len({(one.session, one.call) for one in self.disagreements})


def audit(
    home: Path, rates: Mapping[str, Rates], *, since: date | None = None, until: date | None = None
) -> Audit:
    """Work out anew every call in the journals below `home`. `rates` are the person's own of today.

    `since` and `until` are local dates, both included. Nothing is written.
    """
    made = Audit()
    for path in Catalog(home).journals():
        before = made.calls
        for check in _checks(path, made):
            if _within(check.line, since, until):
                made.calls += 1
                check.run(rates, made)
        made.sessions += made.calls > before
    return made


def to_json(made: Audit) -> dict[str, JSON]:
    """The audit as an object; costs are in US dollars."""
    return {
        "sessions": made.sessions,
        "calls": made.calls,
        "calls_disagreeing": made.disagreeing,
        "disagreements": [
            {
                "session": one.session,
                "call_id": one.call,
                "field": one.field,
                "recorded": one.recorded,
                "recomputed": one.recomputed,
            }
            for one in made.disagreements
        ],
        "unchecked": [{"reason": reason, "calls": calls} for reason, calls in made.unchecked.most_common()],
        "notes": [{"session": one.session, "call_id": one.call, "note": one.text} for one in made.notes],
    }


@dataclass(frozen=True, slots=True)
class _Check:
    """One call's line, before it is worked out."""

    session: str
    line: CallLine
    wire: str
    again: bool
    """A line before it in the same journal books the same call."""

    def run(self, rates: Mapping[str, Rates], made: Audit) -> None:
        if self.again:
            self._differ(made, "id", "booked again", "booked once")
        self._tokens(made)
        self._cost(rates, made)

    def _tokens(self, made: Audit) -> None:
        line = self.line
        if line.estimated:
            made.unchecked[ESTIMATED_OUTPUT if line.raw_usage else ESTIMATED] += 1
            if not line.raw_usage:
                return
        if not line.raw_usage and line.usage != Usage():
            made.unchecked[NO_RAW_USAGE] += 1
            return
        reading = reading_of(self.wire, line.raw_usage, model=line.model.partition("/")[2])
        if reading is None:
            made.unchecked[_unknown_wire(self.wire)] += 1
            return
        made.notes.extend(Note(self.session, line.id, note) for note in reading.notes)
        if reading.usage == line.usage:
            return
        for name in _PROMPT if line.estimated else _COUNTERS:
            recorded, recomputed = getattr(line.usage, name), getattr(reading.usage, name)
            if recorded != recomputed:
                self._differ(made, name, recorded, recomputed)

    def _cost(self, rates: Mapping[str, Rates], made: Audit) -> None:
        line = self.line
        if line.price is None:
            if line.cost is not None:
                self._differ(made, "cost", line.cost, None)
            return
        model = _model(line)
        billed = billed_cost(self.wire, line.raw_usage, model.provider)
        known = reprice(line.price, model, line.usage, at=line.started, overrides=rates, billed=billed)
        if known is None:
            made.unchecked[_source_gone(line.price)] += 1
            return
        for name, recorded, recomputed in (
            ("cost", line.cost, known.cost),
            ("uncached_cost", line.uncached_cost, known.uncached),
        ):
            if not _same(recorded, recomputed):
                self._differ(made, name, recorded, recomputed)

    def _differ(self, made: Audit, name: str, recorded: JSON, recomputed: JSON) -> None:
        made.disagreements.append(Disagreement(self.session, self.line.id, name, recorded, recomputed))


def _checks(path: Path, made: Audit) -> Iterator[_Check]:
    """A journal's calls, each with the wire that its usage came over."""
    wires: dict[str, str] = {}
    """By model, of the latest prefix: lines of older versions don't name their wire."""
    booked: set[str] = set()
    for text in skim(path, _KINDS):
        try:
            record = decode(text)
        except ValueError:
            if b'"call"' in text[:32]:
                made.unchecked[UNREADABLE] += 1
            continue
        match record:
            case PrefixLine(prefix=prefix):
                wires[str(prefix.model)] = prefix.encoder.partition("/")[0]
            case CallLine(id=id):
                wire = record.wire or wires.get(record.model, "")
                yield _Check(path.stem, record, wire, id in booked)
                booked.add(id)
            case _:
                pass


def _within(line: CallLine, since: date | None, until: date | None) -> bool:
    if not (since or until):
        return True
    at = line.started or seconds(line.at) or 0.0
    day = date.fromtimestamp(at)
    return (since is None or since <= day) and (until is None or day <= until)


def _model(line: CallLine) -> ModelRef:
    try:
        return ModelRef.parse(line.model)
    except ValueError:
        return ModelRef("", line.model)


def _same(recorded: float | None, recomputed: float | None) -> bool:
    if recorded is None or recomputed is None:
        return recorded is recomputed
    return math.isclose(recorded, recomputed, rel_tol=CLOSE, abs_tol=1e-15)


def _unknown_wire(wire: str) -> str:
    return f"nothing here reads the usage of the wire {wire!r}" if wire else "no wire is known for it"


def _source_gone(price: str) -> str:
    source, _, name = price.partition(":")
    match source:
        case "override":
            return f"your own rates for {name} are no longer in config.toml"
        case "genai-prices":
            return f"the price table no longer has {name}"
        case "billed":
            return "the raw usage doesn't tell what was billed"
        case _:
            return f"its price {price!r} is of no kind that is known here"
