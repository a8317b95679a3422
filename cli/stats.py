"""`agent stats`: what everything cost, as a table or as JSON."""

from __future__ import annotations

import json
import os
import re
from datetime import date, timedelta
from pathlib import Path

from agent.harmless import one_line
from cli import figures
from cli.config import home_folder
from cli.console import print_table
from cli.failure import UsageProblem
from sessions.catalog import Catalog, summary
from sessions.stats import By, Sum, Table, collect, summarise, to_json

_COLUMNS = (
    "calls",
    "input",
    "read",
    "written",
    "output",
    "hit rate",
    "cost",
    "saved",
    "re-billed",
    "for",
)
_SPAN = re.compile(r"(\d{1,4})d")


def show(by: By, *, since: str | None, until: str | None, as_json: bool) -> None:
    """Print the statistics. Raises UsageProblem for a date that is none."""
    home = home_folder(os.environ)
    first, last = span(since, until)
    table = summarise(collect(home, since=first, until=last), by)
    if as_json:
        print(json.dumps(to_json(table), indent=2))
    elif not table.rows:
        print(nothing_booked(first, last))
    else:
        print_statistics(table, home)


def span(since: str | None, until: str | None) -> tuple[date | None, date | None]:
    """The first and the last day that were asked for. Raises UsageProblem."""
    first, last = day(since, "--since"), day(until, "--until")
    if first and last and first > last:
        raise UsageProblem(f"--since {first} is after --until {last}. Swap them.")
    return first, last


def nothing_booked(first: date | None, last: date | None) -> str:
    """What to say where no call lies between two days, both included; None is no limit."""
    if first is None and last is None:
        return "No model call is booked here yet. Start with: agent"
    began = f" since {first}" if first else ""
    ended = f" until {last}" if last else ""
    return f"No model call is booked{began}{ended}. Ask for more days, or for all: agent stats"


def day(text: str | None, option: str) -> date | None:
    """A local date: `2026-11-22`, `today`, `yesterday`, or `7d` for six days ago up to today."""
    if text is None:
        return None
    today = date.today()
    match text.strip().lower():
        case "today":
            return today
        case "yesterday":
            return today - timedelta(days=1)
        case word if span := _SPAN.fullmatch(word):
            return today - timedelta(days=max(int(span[1]) - 1, 0))
        case word:
            try:
                return date.fromisoformat(word)
            except ValueError as error:
                raise UsageProblem(f"{option} '{text}' is no date. Write 2026-11-22, today or 7d.") from error


def print_statistics(table: Table, home: Path) -> None:
    """The table on stdout, with notes on what it can't say. `home` is where sessions find their names."""
    rows = [*table.rows, table.total] if len(table.rows) > 1 else list(table.rows)
    names = _names(table, home)
    print_table(
        (table.by, *_COLUMNS),
        [_cells(row, names.get(row.key, row.key)) for row in rows],
        spare=() if table.by == "cause" else (9, 10),
        narrow=(0, 1, 9, 10) if table.by == "cause" else (0, 3, 4, 5, 6, 7),
    )
    for note in _notes(table.total):
        print(note)


def _names(table: Table, home: Path) -> dict[str, str]:
    """What to call the rows: a session by its title or prompt behind its id."""
    if table.by == "session":
        paths = {path.stem: path for path in Catalog(home).journals()}
        return {
            row.key: f"{row.key} {one_line(summary(paths[row.key]).name, 30)}"
            for row in table.rows
            if row.key in paths
        }
    if table.by == "cause":
        return {row.key: row.key.replace("_", " ") for row in table.rows}
    if table.by == "project":
        return {row.key: row.key.replace(str(Path.home()), "~", 1) for row in table.rows}
    return {}


def _cells(row: Sum, name: str) -> tuple[str, ...]:
    usage = row.usage
    reported = usage.cache_reported or usage.cache_read_tokens or usage.cache_write_tokens
    return (
        name,
        str(row.calls),
        figures.tokens(usage.input_tokens),
        figures.tokens(usage.cache_read_tokens) if reported else figures.NOT_AVAILABLE,
        figures.tokens(usage.cache_write_tokens) if reported else figures.NOT_AVAILABLE,
        figures.tokens(usage.output_tokens),
        figures.percent(row.hit_rate),
        _cost(row),
        figures.dollars(row.saved),
        figures.tokens(row.missed_tokens) if reported else figures.NOT_AVAILABLE,
        figures.dollars(row.missed_cost) if reported else figures.NOT_AVAILABLE,
    )


def _cost(row: Sum) -> str:
    if row.cost is None or not row.at_least:
        return figures.dollars(row.cost)
    return f"≥ {figures.dollars(row.cost)}"


def _notes(total: Sum) -> list[str]:
    """What the numbers don't say by themselves."""
    notes = []
    if total.at_least:
        number = figures.plural(total.cost_unknown_calls, "call")
        notes.append(f"No price is known for {number}: at least this was spent.")
    if total.estimated_calls:
        notes.append(f"Of {figures.plural(total.estimated_calls, 'call')} the tokens are estimated.")
    if total.inexact:
        notes.append("Of imported sessions it is not known whether their input includes cached tokens.")
    return notes
