"""Sub-agents in the program: what a script reads of them, and what a killed process leaves."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from benchmarks.cache.server import Say
from tests.support.program import program_in
from tests.support.script import say, script, use
from tests.support.windows import GO, LONG_JOB, Bench, ChatBench, ClaudeBench, Play, ResponsesBench, fill, on

pytestmark = pytest.mark.slow

JOB = ("task", {"description": "the search", "prompt": "search"})


def test_a_limit_inside_a_task_ends_the_run_with_its_own_code(tmp_path: Path) -> None:
    agent = program_in(tmp_path)
    tasks = {"search": [use(("ls", {}), input_tokens=5), say("never")]}
    model = script(tmp_path, use(JOB, input_tokens=3), say("never"), tasks=tasks)
    ran = agent.ask("go", "-m", str(model), "--max-turns", "2")
    assert (ran.code, ran.json["exit_reason"]) == (3, "budget")
    assert [call["purpose"] for call in ran.json["calls"]] == ["main", "task"]
    assert ran.json["calls"][1]["lane"].startswith("task_")
    assert ran.json["usage"]["input_tokens"] == 8
    rows = {row["key"]: row["calls"] for row in agent("stats", "--by", "purpose", "--json").json["rows"]}
    assert rows == {"main": 1, "task": 1}


def test_the_stream_has_a_tasks_steps_as_its_tools_output(tmp_path: Path) -> None:
    agent = program_in(tmp_path)
    tasks = {"search": [use(("ls", {}), text="Looking."), say("Found.")]}
    model = script(tmp_path, use(JOB), say("Done."), tasks=tasks)
    words = ("-p", "go", "-m", str(model), "--permission-mode", "auto", "--output-format", "stream-json")
    events = agent(*words).events
    assert [event["text"] for event in events if event["type"] == "text_delta"] == ["Done."]
    assert [event["text"] for event in events if event["type"] == "tool_output"] == ["ls .\n"]
    calls = [event["purpose"] for event in events if event["type"] == "call_finished"]
    assert calls == ["main", "task", "task", "main"]
    assert len(events[-1]["calls"]) == 4


def test_a_process_killed_inside_a_task_leaves_a_session_that_goes_on(tmp_path: Path) -> None:
    agent = program_in(tmp_path)
    begun, gate = agent.project / "begun", agent.project / "gate"
    os.mkfifo(begun)
    os.mkfifo(gate)
    command = {"command": "echo under way > begun; read line < gate"}
    tasks = {"search": [use(("bash", command), input_tokens=5), say("never")]}
    model = script(tmp_path, use(JOB, input_tokens=3), say("Never mind.", input_tokens=1), tasks=tasks)
    with agent.running("-p", "go", "-m", str(model)) as running:
        assert begun.read_text() == "under way\n"
        killed = running.end(signal.SIGKILL)
    gate.open("w").close()  # lets the orphaned shell end
    assert killed.code == -signal.SIGKILL
    ran = agent.ask("go on", "-c")
    assert (ran.code, ran.json["result"]) == (0, "Never mind.")
    lanes = [line.get("lane", "main") != "main" for line in agent.lines("message")]
    # The prompt and the call; of the task the place, its prompt and its call; the answer, and a turn more.
    assert lanes == [False, False, True, True, True, False, False, False]
    answered = agent.lines("message")[5]
    assert "Interrupted" in json.dumps(answered["blocks"])
    assert agent.checkpoint()["token_snapshot"]["input"] == 9


@pytest.mark.parametrize("bench", [ClaudeBench, ChatBench, ResponsesBench])
def test_a_task_that_would_fill_its_window_is_summed_up_and_the_resumed_session_sends_the_same(
    tmp_path: Path, bench: type[Bench]
) -> None:
    with on(tmp_path, bench, Play((*GO, Say("Still done.")), read=LONG_JOB)) as server:
        agent = program_in(tmp_path, **server.environ())
        agent.home.mkdir()
        agent.home.joinpath("config.toml").write_text(server.CONFIG)
        fill(agent.project, bench)
        ran = agent.ask("go", "-m", str(bench.MODEL))
        again = agent.ask("go", "-c")
    assert (ran.json["result"], again.json["result"]) == ("Done.", "Still done.")
    assert server.billing.refused == 0
    assert len(ran.json["calls"]) + 1 == len(server.billing.calls)
    summaries = [call for call in ran.json["calls"] if call["purpose"] == "compaction"]
    assert summaries
    assert {line["lane"] for line in agent.lines("compaction")} == {call["lane"] for call in summaries}
    assert ran.json["usage"]["input_tokens"] == sum(made.bill.uncached for made in server.billing.calls[:-1])
    before, resumed = server.billing.calls[-2:]
    assert resumed.segments.hashes[: len(before.segments.hashes)] == before.segments.hashes
    assert resumed.bill.read >= before.segments.tokens // 128 * 128
