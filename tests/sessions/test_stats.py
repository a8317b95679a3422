"""Statistics: exactly the journals' calls, added up in groups."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.types import Usage
from sessions.catalog import journal_path
from sessions.journal import read
from sessions.records import CallLine, MissLine, Origin
from sessions.stats import StatRow, collect, summarise, to_json
from tests.support.journals import EPOCH, answered, booked, said, session, went_back, write

DAY = 86_400
U = Usage(
    input_tokens=10, output_tokens=2, cache_read_tokens=30, cache_write_tokens=5, reported_prompt_tokens=45
)
SILENT = Usage(input_tokens=100, output_tokens=1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    one, two = Path("/p/one"), Path("/p/two")
    write(
        journal_path(tmp_path, one, "s1"),
        session("s1", cwd="/p/one"),
        [
            said("u1", None),
            booked("c1", U, model="anthropic/claude", cost=0.1, uncached_cost=0.4),
            answered("a1", "u1", 'it said {"kind":"call"} and "call"', call="c1"),
            booked("c2", U, model="anthropic/claude", cost=0.2, uncached_cost=0.1, started=EPOCH + DAY),
            booked("c3", SILENT, model="ollama/llama", cost=None, outcome="ServerFault", started=EPOCH + DAY),
            went_back("h1", None),
        ],
    )
    task = booked(
        "c4", U, purpose="task", lane="t1", model="anthropic/haiku", cost=0.0, started=EPOCH + 2 * DAY
    )
    write(journal_path(tmp_path, two, "s2"), session("s2", cwd="/p/two"), [task])
    return tmp_path


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from in_zone("UTC", monkeypatch)


@pytest.fixture
def auckland(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from in_zone("Pacific/Auckland", monkeypatch)


def in_zone(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", name)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_total_is_the_sum_of_every_call_line(home: Path) -> None:
    calls = [
        record
        for path in home.glob("sessions/*/*.jsonl")
        for record in read(path).records
        if isinstance(record, CallLine)
    ]
    total = summarise(collect(home), "session").total
    assert total.usage == sum((call.usage for call in calls), Usage())
    assert total.calls == len(calls) == 4
    assert total.cost == math.fsum(call.cost for call in calls if call.cost is not None)


@pytest.fixture
def missing(tmp_path: Path) -> Path:
    """A home in which three of four calls read less than they could have."""
    lost = MissLine(cause="expired", detail="idle 7 min", expected=900, read=100, cost=0.02)
    again = MissLine(cause="expired", detail="idle 9 min", expected=500, read=0, cost=0.01)
    switched = MissLine(cause="model_changed", detail="", expected=700, read=0, cost=None)
    misses = (lost, again, switched, None)
    calls = [replace(booked(f"c{number}", U), miss=miss) for number, miss in enumerate(misses)]
    write(journal_path(tmp_path, Path("/p"), "s"), session("s", cwd="/p"), calls)
    return tmp_path


def test_what_was_paid_for_once_more_adds_up_by_cause(missing: Path) -> None:
    table = summarise(collect(missing), "cause")
    assert [(row.key, row.misses, row.missed_tokens, row.missed_cost) for row in table.rows] == [
        ("expired", 2, 1300, pytest.approx(0.03)),
        ("model_changed", 1, 700, None),
        ("no miss", 0, 0, 0.0),
    ]
    assert (table.total.misses, table.total.missed_tokens) == (3, 2000)
    assert table.total.calls == 4


def test_the_misses_stand_in_every_row_of_the_json(missing: Path) -> None:
    (row,) = to_json(summarise(collect(missing), "session"))["rows"]
    assert (row["misses"], row["missed_tokens"], row["missed_usd"]) == (3, 2000, pytest.approx(0.03))


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("session", ["s1", "s2"]),
        ("day", ["2026-11-22", "2026-11-23", "2026-11-24"]),
        ("model", ["ollama/llama", "anthropic/claude", "anthropic/haiku"]),
        ("provider", ["anthropic", "ollama"]),
        ("project", ["/p/one", "/p/two"]),
        ("purpose", ["main", "task"]),
        ("cause", ["no miss"]),
    ],
)
def test_groups_add_up_to_the_total(home: Path, utc: None, by: str, keys: list[str]) -> None:
    table = summarise(collect(home), by)  # type: ignore[arg-type]
    assert [row.key for row in table.rows] == keys
    assert sum((row.usage for row in table.rows), Usage()) == table.total.usage
    assert sum(row.calls for row in table.rows) == table.total.calls
    assert sum(row.cost_unknown_calls for row in table.rows) == table.total.cost_unknown_calls


def test_the_hit_rate_leaves_out_calls_that_said_nothing(home: Path) -> None:
    table = summarise(collect(home), "model")
    assert table.total.hit_rate == pytest.approx(90 / 135)
    assert next(row for row in table.rows if row.key == "ollama/llama").hit_rate is None


def test_an_unknown_price_is_unknown_and_makes_the_total_a_lower_bound(home: Path) -> None:
    table = summarise(collect(home), "model")
    llama = next(row for row in table.rows if row.key == "ollama/llama")
    haiku = next(row for row in table.rows if row.key == "anthropic/haiku")
    assert (llama.cost, llama.at_least) == (None, True)
    assert (haiku.cost, haiku.at_least) == (0.0, False)
    assert (table.total.cost, table.total.at_least) == (pytest.approx(0.3), True)


def test_savings_are_what_the_cache_spared_less_what_writing_cost_more(home: Path) -> None:
    assert summarise(collect(home), "session").total.saved == pytest.approx(0.3 - 0.1)
    assert summarise(collect(home), "model").rows[0].saved is None


def test_days_are_local(home: Path, auckland: None) -> None:
    assert [row.key for row in summarise(collect(home), "day").rows] == [
        "2026-11-22",
        "2026-11-23",
        "2026-11-24",
    ]
    assert all(row.day == time.strftime("%Y-%m-%d", time.localtime(row.at)) for row in collect(home))


def test_a_late_evening_belongs_to_the_next_day_further_east(tmp_path: Path, auckland: None) -> None:
    late = EPOCH + 5 * 3600  # 14:30 UTC is half past three in the morning in Auckland
    write(journal_path(tmp_path, Path("/p"), "s1"), session("s1"), [booked("c1", U, started=late)])
    assert [row.day for row in collect(tmp_path)] == ["2026-11-23"]


def test_since_until_and_project_choose(home: Path, utc: None) -> None:
    assert len(collect(home, since=date(2026, 11, 23))) == 3
    assert len(collect(home, until=date(2026, 11, 23))) == 3
    assert len(collect(home, since=date(2026, 11, 23), until=date(2026, 11, 23))) == 2
    assert {row.session for row in collect(home, project=Path("/p/two"))} == {"s2"}


def test_a_forks_inherited_usage_is_not_counted_again(home: Path) -> None:
    origin = Origin(kind="fork", path="/x", sha256="a", inherited=U)
    write(journal_path(home, Path("/p/one"), "s3"), session("s3", origin=origin), [booked("c9", SILENT)])
    rows = [row for row in collect(home) if row.session == "s3"]
    assert [row.usage for row in rows] == [SILENT]


def test_an_imported_total_counts_once_and_has_no_price(home: Path) -> None:
    origin = Origin(kind="import", path="/x", sha256="a", inherited=U, inexact=True, model="claude-sonnet")
    write(journal_path(home, Path("/p/one"), "s3"), session("s3", origin=origin))
    by_purpose = {row.key: row for row in summarise(collect(home), "purpose").rows}
    imported = by_purpose["imported"]
    assert (imported.usage, imported.calls, imported.cost, imported.cost_unknown_calls) == (U, 0, None, 1)
    assert imported.inexact
    assert summarise(collect(home), "provider").rows[-1].key == "unknown"


@pytest.mark.parametrize("started", [1e20, 1e300, -1e18, 253_402_300_799.0])
def test_a_moment_of_no_calendar_is_told_by_when_its_line_was_written(
    tmp_path: Path, utc: None, started: float
) -> None:
    line = booked("c1", U, model="anthropic/claude", cost=0.1, started=started)
    write(journal_path(tmp_path, Path("/p"), "s1"), session("s1"), [line])
    (row,) = collect(tmp_path, since=date(2020, 1, 1))
    assert row.at == pytest.approx(EPOCH, abs=0.01)


@pytest.mark.parametrize("cost", [1e308, -5.0])
def test_a_line_with_a_cost_that_nobody_was_ever_billed_has_an_unknown_one(home: Path, cost: float) -> None:
    lines = [booked(f"c{number}", U, cost=cost, uncached_cost=cost) for number in range(2)]
    write(journal_path(home, Path("/p/one"), "s3"), session("s3", cwd="/p/one"), lines)
    total = summarise(collect(home), "session").total
    assert (total.cost, total.cost_unknown_calls) == (pytest.approx(0.3), 3)
    assert total.saved == pytest.approx(0.2)


def test_unreadable_lines_are_passed_over(home: Path) -> None:
    path = next(home.glob("sessions/*/s2.jsonl"))
    path.write_bytes(b"\xff\n" + path.read_bytes() + b'{"kind":"call","id":')
    assert len(collect(home)) == 4


def test_a_line_written_in_another_style_counts(home: Path) -> None:
    path = next(home.glob("sessions/*/s2.jsonl"))
    path.write_bytes(path.read_bytes() + b'{ "kind": "call", "id": "x", "usage": {"input_tokens": 7} }\n')
    assert summarise(collect(home), "session").total.usage.input_tokens == 137


def test_nothing_at_all_is_a_total_of_0(tmp_path: Path) -> None:
    table = summarise(collect(tmp_path), "day")
    assert (table.rows, table.total.calls, table.total.cost, table.total.hit_rate) == ((), 0, 0.0, None)


def test_the_json_has_the_documented_keys(home: Path) -> None:
    found = to_json(summarise(collect(home), "model"))
    keys = {
        "calls",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "prompt_tokens",
        "total_tokens",
        "cache_hit_rate",
        "cache_reported",
        "cost_usd",
        "cost_unknown_calls",
    }
    assert found["by"] == "model"
    assert keys <= found["total"].keys()
    llama = found["rows"][0]
    assert llama["key"] == "ollama/llama"
    assert (llama["cost_usd"], llama["cache_hit_rate"], llama["cache_reported"]) == (None, None, False)
    assert found["total"]["total_tokens"] == found["total"]["prompt_tokens"] + found["total"]["output_tokens"]


def call_rows() -> st.SearchStrategy[StatRow]:
    count = st.integers(0, 10**9)
    usages = st.builds(
        Usage, input_tokens=count, output_tokens=count, cache_read_tokens=count, cache_write_tokens=count
    )
    prices = st.none() | st.floats(0, 100)
    names = st.sampled_from(["a/x", "a/y", "b/x", "unknown"])
    return st.builds(
        StatRow,
        session=st.sampled_from("ab"),
        project=st.sampled_from(["", "/p"]),
        at=st.floats(0, 4e9),
        model=names,
        purpose=st.sampled_from(["main", "task"]),
        usage=usages,
        cost=prices,
        saved=prices,
    )


@given(
    st.lists(call_rows(), max_size=20),
    st.sampled_from(["session", "day", "model", "provider", "project", "purpose"]),
)
def test_however_they_are_grouped_the_groups_are_the_whole(rows: list[StatRow], by: str) -> None:
    table = summarise(rows, by)  # type: ignore[arg-type]
    assert (
        sum((row.usage for row in table.rows), Usage())
        == table.total.usage
        == sum((r.usage for r in rows), Usage())
    )
    assert sum(row.calls for row in table.rows) == len(rows)
    assert math.fsum(row.cost or 0 for row in table.rows) == pytest.approx(table.total.cost or 0)
