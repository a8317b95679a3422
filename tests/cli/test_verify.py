"""`agent stats --verify`: the exit code and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.loopback import sse
from tests.support.openai_server import OpenAIServer, answer
from tests.support.played import Cli, cli_in
from tests.support.program import program_in
from tests.support.script import say
from tests.support.wires import KEY

CACHED = {"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 80, "cache_write_tokens": 10}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    made = cli_in(tmp_path, monkeypatch, capsys)
    made.play("one", say("1", **CACHED))
    return made


def tamper(cli: Cli, old: str, new: str) -> str:
    """Change the one journal; the session's id."""
    (journal,) = cli.home.glob("sessions/*/*.jsonl")
    text = journal.read_text()
    assert old in text
    journal.write_text(text.replace(old, new))
    return journal.stem


def test_a_sound_ledger_is_told_in_one_line_and_succeeds(cli: Cli) -> None:
    ran = cli("stats", "--verify")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "1 call in 1 session: every line agrees with the raw usage and the price.\n"


def test_a_line_that_was_changed_is_shown_and_fails(cli: Cli) -> None:
    session = tamper(cli, '"usage":{"input_tokens":10', '"usage":{"input_tokens":4711')
    ran = cli("stats", "--verify")
    assert ran.code == 1
    (row,) = [line for line in ran.out.splitlines() if "input_tokens" in line]
    assert row.split()[0] == session
    assert row.split()[2:] == ["input_tokens", "4711", "10"]
    assert "1 call in 1 session: 1 disagrees" in ran.out


@pytest.mark.parametrize("columns", [60, 120])
def test_the_disagreements_fit_the_terminal_and_no_figure_is_cut(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    tamper(cli, '"usage":{"input_tokens":10', '"usage":{"input_tokens":4711')
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = cli("stats", "--verify")
    assert ran.err == ""
    lines = ran.out.splitlines()
    assert max(len(line.rstrip()) for line in lines[:3]) <= columns
    assert lines[2].split()[-3:] == ["input_tokens", "4711", "10"]


def test_what_would_say_nothing_to_it_is_refused(cli: Cli) -> None:
    ran = cli("stats", "--verify", "--by", "session")
    assert (ran.code, ran.out) == (2, "")
    assert "Leave out one" in ran.err


def test_its_json_names_the_disagreement(cli: Cli) -> None:
    session = tamper(cli, '"cost":0.0,"price":"free"', '"cost":0.5,"price":"free"')
    ran = cli("stats", "--verify", "--json")
    assert ran.code == 1
    (found,) = ran.json["disagreements"]
    assert found.pop("call_id").startswith("call_")
    assert found == {"session": session, "field": "cost", "recorded": 0.5, "recomputed": 0.0}
    assert (ran.json["calls"], ran.json["calls_disagreeing"]) == (1, 1)


def test_what_cannot_be_checked_is_said_and_does_not_fail(cli: Cli) -> None:
    tamper(cli, '"wire":"scripted"', '"wire":"pigeon"')
    ran = cli("stats", "--verify")
    assert ran.code == 0
    assert "Not checked of 1 call: nothing here reads the usage of the wire 'pigeon'." in ran.out
    assert "all that could be checked agrees" in ran.out


def test_own_rates_are_those_of_the_configuration(cli: Cli) -> None:
    model = cli.project.parent / "steps.json"
    config = cli.home / "config.toml"
    config.write_text(f'[prices."scripted/{model}"]\ninput = 3\noutput = 15\n')
    cli.play("two", say("2", **CACHED))
    assert cli("stats", "--verify").code == 0
    config.write_text(f'[prices."scripted/{model}"]\ninput = 4\noutput = 15\n')
    assert cli("stats", "--verify").code == 1
    config.write_text("")
    ran = cli("stats", "--verify")
    assert ran.code == 0
    assert "your own rates for scripted/" in ran.out


def test_a_date_that_is_none_is_refused(cli: Cli) -> None:
    assert cli("stats", "--verify", "--since", "soon").code == 2


def test_what_openrouter_says_it_charged_is_the_cost_in_every_face_and_agrees(tmp_path: Path) -> None:
    usage = {
        "prompt_tokens": 30,
        "completion_tokens": 7,
        "total_tokens": 37,
        "cost": 0.00123,
        "is_byok": False,
    }
    with OpenAIServer([sse(*answer("There.", **usage))]) as server:
        agent = program_in(tmp_path, OPENROUTER_API_KEY=KEY)
        agent.home.mkdir()
        (agent.home / "config.toml").write_text(f'[providers.openrouter]\nbase_url = "{server.base_url}"\n')
        ran = agent.ask("go", "-m", "openrouter/anthropic/claude-sonnet-5.5")
    assert ran.json["cost_usd"] == 0.00123
    (call,) = agent.lines("call")
    assert (call["cost"], call["price"], call["wire"]) == (0.00123, "billed:openrouter", "openai-chat")
    assert call["uncached_cost"] == pytest.approx((30 * 2 + 7 * 10) / 1e6)
    assert agent("stats", "--json").json["total"]["cost_usd"] == 0.00123
    audit = agent("stats", "--verify", "--json")
    assert (audit.code, audit.json["unchecked"]) == (0, [])
