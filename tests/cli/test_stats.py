"""`agent stats`: what was billed, by whatever one asks, and never a made-up zero."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from cli.failure import UsageProblem
from cli.stats import day
from tests.support.played import Cli, cli_in
from tests.support.script import say

pytestmark = pytest.mark.slow

CACHED = {"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 80, "cache_write_tokens": 10}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return cli_in(tmp_path, monkeypatch, capsys)


def test_the_statistics_are_the_sum_of_what_the_runs_reported(cli: Cli) -> None:
    cli.play("one", say("1", **CACHED))
    cli.play("two", say("1"), say("2", input_tokens=7, output_tokens=3), words=("-c",))
    total = cli("stats", "--json").json["total"]
    assert (total["calls"], total["input_tokens"], total["output_tokens"]) == (2, 17, 8)
    assert (total["cache_read_tokens"], total["cache_write_tokens"]) == (80, 10)


def test_a_provider_that_says_nothing_of_caching_has_no_hit_rate(cli: Cli) -> None:
    cli.play("one", say("1", input_tokens=7, output_tokens=3))
    total = cli("stats", "--json").json["total"]
    assert (total["cache_hit_rate"], total["cache_reported"]) == (None, False)
    assert "n/a" in cli("stats").out
    assert "0%" not in cli("stats").out


def test_the_hit_rate_counts_writes_in_its_denominator(cli: Cli) -> None:
    cli.play("one", say("1", **CACHED))
    assert cli("stats", "--json").json["total"]["cache_hit_rate"] == 0.8
    assert "80%" in cli("stats").out


@pytest.mark.parametrize("by", ["session", "day", "model", "provider", "project", "purpose", "cause"])
def test_everything_can_be_asked_by(cli: Cli, by: str) -> None:
    made = cli.play("one", say("1", **CACHED))
    keys = [row["key"] for row in cli("stats", "--by", by, "--json").json["rows"]]
    expected = {
        "session": made["session_id"],
        "day": date.today().isoformat(),
        "model": made["model"],
        "provider": "scripted",
        "project": str(cli.project),
        "purpose": "main",
        "cause": "no miss",
    }
    assert keys == [expected[by]]


def test_days_outside_the_span_are_left_out(cli: Cli) -> None:
    cli.play("one", say("1", **CACHED))
    tomorrow = (date.today() + timedelta(days=1)).isoformat()
    assert cli("stats", "--since", tomorrow, "--json").json["rows"] == []
    assert len(cli("stats", "--since", "today", "--json").json["rows"]) == 1


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (("--since", "2020-01-01", "--until", "2020-01-02"), " since 2020-01-01 until 2020-01-02."),
        (("--until", "2020-01-02"), " until 2020-01-02."),
    ],
)
@pytest.mark.parametrize("words", [("stats",), ("stats", "--verify")])
def test_days_without_a_call_are_named_and_nothing_else_is_said_of_them(
    cli: Cli, words: tuple[str, ...], span: tuple[str, ...], said: str
) -> None:
    cli.play("one", say("1", **CACHED))
    ran = cli(*words, *span)
    assert ran.code == 0
    assert ran.out == f"No model call is booked{said} Ask for more days, or for all: agent stats\n"


def test_a_known_part_of_the_cost_is_shown_as_at_least(cli: Cli) -> None:
    cli.home.mkdir(exist_ok=True)
    cli.play("free", say("1", **CACHED))
    journal = next(cli.home.glob("sessions/*/*.jsonl"))
    journal.write_text(journal.read_text().replace('"cost":0.0,"price":"free"', '"cost":null,"price":null'))
    assert "unknown" in cli("stats").out
    assert cli("stats", "--json").json["total"]["cost_usd"] is None
    cli.play("free", say("1", **CACHED))
    assert "≥ $0" in cli("stats").out
    assert "at least this was spent" in cli("stats").out


MISS = '"miss":{"cause":"expired","cost":0.25,"detail":"idle 7 min","expected":90000,"read":6000},'


@pytest.mark.parametrize(("words", "columns"), [((), 140), (("--by", "cause"), 60)])
def test_the_table_tells_what_was_paid_for_once_more(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], columns: int
) -> None:
    cli.play("one", say("1", **CACHED))
    journal = next(cli.home.glob("sessions/*/*.jsonl"))
    text = journal.read_text()
    journal.write_text(text.replace('"purpose":"main",', f'"purpose":"main",{MISS}'))
    monkeypatch.setenv("COLUMNS", str(columns))
    heading, _, row = cli("stats", *words).out.splitlines()[:3]
    assert heading.split()[-2:] == ["re-billed", "for"]
    assert row.split()[-2:] == ["84k", "$0.25"]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_table_fits_the_terminal_and_cuts_no_number(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    cli.play("a prompt that is rather long, so that the table has something to cut", say("1", **CACHED))
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = cli("stats").out.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[-1].endswith(("$0", "$0 "))
    assert "80%" in lines[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2026-11-22", date(2026, 11, 22)), ("today", date.today()), ("1d", date.today()), (None, None)],
)
def test_a_date_is_read(text: str | None, expected: date | None) -> None:
    assert day(text, "--since") == expected


def test_seven_days_include_today() -> None:
    assert day("7d", "--since") == date.today() - timedelta(days=6)


def test_what_is_no_date_is_refused() -> None:
    with pytest.raises(UsageProblem, match="--since 'soon' is no date"):
        day("soon", "--since")


def test_what_nobody_can_ask_by_is_refused_with_what_one_can(cli: Cli) -> None:
    ran = cli("stats", "--by", "phase")
    assert ran.code == 2
    assert "'--by': 'phase' is not one of 'session', 'day'," in ran.err


def test_a_span_that_ends_before_it_begins_is_refused(cli: Cli) -> None:
    ran = cli("stats", "--since", "2026-11-02", "--until", "2026-11-01")
    assert ran.code == 2
    assert "Swap them" in ran.err
