"""`--usage-file`: all of it, whole, however the run ends."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Program, program_in
from tests.support.script import say, script, use

pytestmark = pytest.mark.slow

FULL = {
    "input_tokens": 10,
    "output_tokens": 9,
    "cache_read_tokens": 80,
    "cache_write_tokens": 30,
    "cache_write_1h_tokens": 20,
    "reasoning_tokens": 4,
}
ASKED = ("--usage-file", "usage.json")


@pytest.fixture
def agent(tmp_path: Path) -> Program:
    return program_in(tmp_path)


def left(agent: Program) -> Any:
    """What it holds, and nothing half written beside it."""
    assert [path.name for path in agent.project.iterdir() if "usage" in path.name] == ["usage.json"]
    return json.loads((agent.project / "usage.json").read_text())


def test_it_has_every_bucket_and_every_call(agent: Program, tmp_path: Path) -> None:
    model = script(tmp_path, use(("ls", {}), **FULL), say("done", **FULL))
    ran = agent.ask("go", "-m", str(model), *ASKED)
    told = left(agent)
    assert {**told, "duration_ms": 0} == {**ran.json, "duration_ms": 0}
    assert FULL.items() <= {name: told["usage"][name] // 2 for name in FULL}.items()
    assert (told["exit_code"], told["exit_reason"], told["session_id"]) == (0, "done", agent.journal().stem)
    assert (told["cost_usd"], told["cost_at_least"], told["model_calls"]) == (0.0, 0.0, 2)
    booked = agent.lines("call")
    for call, line in zip(told["calls"], booked, strict=True):
        assert FULL.items() <= call["usage"].items()
        assert (call["id"], call["purpose"], call["model"]) == (line["id"], "main", str(model))
        assert (call["outcome"], call["estimated"], call["cost_usd"], call["price"]) == (
            "ok",
            False,
            0.0,
            "free",
        )
        assert (call["started"], call["duration"]) == (line["started"], line["duration"])


def test_a_turn_that_fails_leaves_its_calls_too(agent: Program, tmp_path: Path) -> None:
    broken = {"error": {"status": 400, "message": "no"}}
    model = script(tmp_path, use(("ls", {}), **FULL), broken)
    ran = agent.ask("go", "-m", str(model), *ASKED)
    told = left(agent)
    assert (ran.code, told["exit_code"], told["exit_reason"], told["is_error"]) == (4, 4, "provider", True)
    assert [call["outcome"] for call in told["calls"]] == ["ok", "RequestRejected"]
    assert FULL.items() <= told["usage"].items()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_what_was_billed(agent: Program, tmp_path: Path, sent: signal.Signals) -> None:
    slow = say("word " * 400, **FULL) | {"chunk": 5, "pause_s": 0.05}
    model = script(tmp_path, use(("ls", {}), **FULL), slow)
    with agent.running("-p", "go", "-m", str(model), *ASKED) as run:
        run.wait_for("text_delta")
        ran = run.end(sent)
    told = left(agent)
    assert (ran.code, told["exit_code"], told["exit_reason"]) == (130, 130, "interrupted")
    assert told["stop_reason"] == "interrupted"
    assert [(call["outcome"], call["estimated"]) for call in told["calls"]] == [
        ("ok", False),
        ("cancelled", True),
    ]


def test_a_budget_stop_says_so(agent: Program, tmp_path: Path) -> None:
    model = script(tmp_path, use(("ls", {}), **FULL), say("never"))
    ran = agent.ask("go", "-m", str(model), "--max-turns", "1", *ASKED)
    told = left(agent)
    assert (ran.code, told["exit_code"], told["exit_reason"], told["model_calls"]) == (3, 3, "budget", 1)


FALSE_STARTS = {
    "no key": (("-m", "anthropic/claude-sonnet-5-5"), "ANTHROPIC_API_KEY"),
    "no such provider": (("-m", "nobody/x"), "No provider named 'nobody'"),
    "no model": (("-m", "sonnet"), "sonnet"),
    "no folder": (("-C", "/no/such/folder"), "/no/such/folder"),
    "no such tool": (("--allow-tool", "fly"), "fly"),
    "no script": (("-m", "scripted/gone.json"), "gone.json"),
}


@pytest.mark.parametrize(("words", "named"), FALSE_STARTS.values(), ids=FALSE_STARTS)
def test_a_start_that_fails_leaves_why(agent: Program, words: tuple[str, ...], named: str) -> None:
    ran = agent("-p", "go", *words, *ASKED)
    told = left(agent)
    assert (told["exit_code"], told["exit_reason"], told["is_error"]) == (ran.code, "usage", True)
    assert ran.code == 2
    assert named in told["result"]
    assert told["result"] == ran.complaint
    assert (told["cost_usd"], told["usage"]["total_tokens"]) == (0.0, 0)


def test_a_configuration_that_cannot_be_read_leaves_why(agent: Program) -> None:
    agent.home.mkdir()
    (agent.home / "config.toml").write_text("model = ")
    ran = agent("-p", "go", *ASKED)
    told = left(agent)
    assert (ran.code, told["exit_reason"], told["session_id"], told["calls"]) == (2, "usage", None, [])


# --- the file itself ----------------------------------------------------------------------------------------


def test_an_older_file_is_replaced_in_one_step_and_keeps_its_permissions(
    agent: Program, tmp_path: Path
) -> None:
    path = agent.project / "usage.json"
    path.write_text("x" * 1_000_000)
    path.chmod(0o640)
    before = path.stat().st_ino
    agent.ask("go", "-m", str(script(tmp_path, say("done"))), *ASKED)
    assert left(agent)["exit_code"] == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_ino != before


def test_a_link_stays_one_and_its_target_is_replaced(agent: Program, tmp_path: Path) -> None:
    link, target = agent.project / "usage.json", tmp_path / "elsewhere.json"
    link.symlink_to(target)
    agent.ask("go", "-m", str(script(tmp_path, say("done"))), *ASKED)
    assert link.is_symlink()
    assert json.loads(target.read_text())["exit_code"] == 0


def test_what_is_no_file_is_written_to(agent: Program, tmp_path: Path) -> None:
    model = str(script(tmp_path, say("done")))
    assert agent("-p", "go", "-m", model, "--usage-file", "/dev/stderr").err.startswith("{\n")
    assert agent("-p", "go", "-m", model, "--usage-file", os.devnull).code == 0


def test_a_place_that_cannot_be_written_fails_the_run_after_its_result(
    agent: Program, tmp_path: Path
) -> None:
    model = str(script(tmp_path, say("done")))
    ran = agent("-p", "go", "-m", model, "--usage-file", "nowhere/usage.json")
    assert (ran.code, ran.out) == (1, "done\n")
    assert "Cannot write --usage-file nowhere/usage.json: No such file or directory" in ran.complaint
