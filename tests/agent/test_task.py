"""Sub-agents on the scripted model: a conversation of their own, one answer, one bill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.crew import SIDE_BY_SIDE, Crew
from agent.events import CallFinished, Event, ToolFinished, ToolOutput, ToolStarted, TurnFinished
from agent.host import CallMade, Lane, MessageAdded
from agent.loop import run
from agent.prompt import OPENS
from agent.state import AgentState
from agent.tools.contract import Job
from providers.types import Message, Request, Text, ToolCall
from tests.support.hosting import ListHost, prompt, results, rig
from tests.support.script import say, script, use

FIND = ("task", {"description": "look for it", "prompt": "find it"})
SPENT = {"input_tokens": 7, "output_tokens": 3, "cache_read_tokens": 90}
PLACE = f"{OPENS}\nDate: 2026-11-22\n</environment>"


async def play(
    folder: Path,
    *steps: dict[str, Any],
    tasks: dict[str, list[dict[str, Any]]],
    host: ListHost | None = None,
    first: Message | None = None,
) -> tuple[AgentState, list[Event]]:
    state = AgentState()
    model = script(folder, *steps, tasks=tasks)
    turn = run(state, first or prompt("go"), host or ListHost(), rig(folder, model))
    return state, [event async for event in turn]


def messages(host: ListHost) -> list[Message]:
    return [fact.message for fact in host.facts if isinstance(fact, MessageAdded)]


async def test_a_task_is_answered_with_its_sub_agents_last_words(tmp_path: Path) -> None:
    (tmp_path / "it.txt").write_text("here\n")
    found = [use(("read", {"path": "it.txt"}), text="Looking."), say("It is in it.txt.")]
    state, _ = await play(tmp_path, use(FIND), say("done"), tasks={"find it": found})
    (result,) = results(state.messages)
    assert (result.text, result.is_error) == ("It is in it.txt.", False)
    assert len(state.messages) == 4


async def test_a_sub_agent_knows_the_place_and_its_prompt_and_nothing_else(tmp_path: Path) -> None:
    host = ListHost()
    first = Message("m1", "user", (Text(PLACE), Text("go")))
    await play(tmp_path, use(FIND), say("done"), tasks={"find it": [say("There.")]}, host=host, first=first)
    said = [(message.role, message.text) for message in messages(host.lanes["look for it"])]
    assert said == [("user", PLACE), ("user", "find it"), ("assistant", "There.")]


async def test_what_a_sub_agent_is_billed_counts_in_the_turn_and_in_the_totals(tmp_path: Path) -> None:
    host = ListHost()
    found = [use(("ls", {}), **SPENT), say("There.", **SPENT)]
    state, events = await play(
        tmp_path, use(FIND, input_tokens=100), say("done"), tasks={"find it": found}, host=host
    )
    assert state.total_input_tokens == 114
    assert state.total_cache_read_tokens == 180
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].usage == state.usage
    reports = [fact.report for fact in host.lanes["look for it"].facts if isinstance(fact, CallMade)]
    assert [report.purpose for report in reports] == ["task", "task"]


async def test_the_persons_stream_has_a_tasks_steps_and_figures_but_none_of_its_text(tmp_path: Path) -> None:
    found = [use(("ls", {}), text="Looking around.", **SPENT), say("There.", **SPENT)]
    _, events = await play(tmp_path, use(FIND), say("done"), tasks={"find it": found})
    started = [event for event in events if isinstance(event, ToolStarted)]
    assert [event.summary for event in started] == ["task: look for it"]
    output = [event for event in events if isinstance(event, ToolOutput)]
    assert [(event.call_id, event.text) for event in output] == [(started[0].call.id, "ls .\n")]
    calls = [event.report.purpose for event in events if isinstance(event, CallFinished)]
    assert calls == ["main", "task", "task", "main"]
    (finished,) = [event for event in events if isinstance(event, ToolFinished)]
    assert finished.display == "2 model calls · 200 tokens, cache 93% · cost unknown"
    assert "Looking around." not in repr(events)


async def test_there_are_no_tasks_inside_a_task(tmp_path: Path) -> None:
    host = ListHost()
    found = [use(FIND), say("I did it myself.")]
    state, _ = await play(tmp_path, use(FIND), say("done"), tasks={"find it": found}, host=host)
    (inner,) = results(messages(host.lanes["look for it"]))
    assert inner.is_error
    assert "not available inside a task" in inner.text
    assert results(state.messages)[0].text == "I did it myself."


async def test_a_tool_that_is_refused_to_the_agent_is_refused_to_its_sub_agents(tmp_path: Path) -> None:
    host = ListHost(frozenset({"bash"}))
    found = [use(("bash", {"command": "touch x"})), say("I may not.")]
    await play(tmp_path, use(FIND), say("done"), tasks={"find it": found}, host=host)
    assert not (tmp_path / "x").exists()


async def test_a_sub_agent_has_not_seen_the_files_that_the_agent_has(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    host = ListHost()
    found = [use(("edit", {"path": "a.txt", "old": "one", "new": "two"})), say("Not read.")]
    await play(
        tmp_path,
        use(("read", {"path": "a.txt"})),
        use(FIND),
        say("done"),
        tasks={"find it": found},
        host=host,
    )
    assert (tmp_path / "a.txt").read_text() == "one\n"


async def test_a_call_that_fails_for_good_inside_a_task_is_the_agents_to_read(tmp_path: Path) -> None:
    found = [{"error": {"status": 400, "message": "no such thing"}}]
    state, events = await play(tmp_path, use(FIND), say("I see"), tasks={"find it": found})
    (result,) = results(state.messages)
    assert result.is_error
    assert "no such thing" in result.text
    assert isinstance(events[-1], TurnFinished)


async def test_a_full_window_inside_a_task_asks_for_smaller_ones(tmp_path: Path) -> None:
    found = [{"error": {"status": 400, "kind": "context_length_exceeded", "message": "too long"}}]
    state, _ = await play(tmp_path, use(FIND), say("I see"), tasks={"find it": found})
    assert "smaller tasks" in results(state.messages)[0].text


async def test_an_answer_that_says_nothing_is_an_error(tmp_path: Path) -> None:
    state, _ = await play(tmp_path, use(FIND), say("I see"), tasks={"find it": [say("")]})
    (result,) = results(state.messages)
    assert result.is_error
    assert "without an answer (end_turn)" in result.text


async def test_an_answer_that_was_cut_off_says_so(tmp_path: Path) -> None:
    found = [{**say("It is in"), "stop_reason": "max_tokens"}]
    state, _ = await play(tmp_path, use(FIND), say("I see"), tasks={"find it": found})
    assert results(state.messages)[0].text == "It is in\n[The answer was cut off at its output limit.]"


async def test_an_empty_prompt_starts_nothing(tmp_path: Path) -> None:
    host = ListHost()
    step = use(("task", {"description": "nothing", "prompt": " "}))
    state, _ = await play(tmp_path, step, say("I see"), tasks={}, host=host)
    assert "want what the sub-agent shall do" in results(state.messages)[0].text
    assert host.lanes == {}


async def test_every_one_of_many_tasks_is_answered(tmp_path: Path) -> None:
    jobs = [str(number) for number in range(3 * SIDE_BY_SIDE)]
    wanted = use(*(("task", {"description": job, "prompt": f"job {job}"}) for job in jobs))
    state, _ = await play(
        tmp_path, wanted, say("done"), tasks={f"job {job}": [say(f"did {job}")] for job in jobs}
    )
    assert sorted(result.text for result in results(state.messages)) == sorted(f"did {job}" for job in jobs)


@dataclass(slots=True)
class HoldingHost(ListHost):
    """Notes which sub-agents call the model, and holds the first such call until `go_on` is set."""

    asked: list[str] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def lane(self, lane: Lane) -> ListHost:
        return HoldingLane(main=self, title=lane.title)


@dataclass(slots=True, kw_only=True)
class HoldingLane(ListHost):
    main: HoldingHost
    title: str

    @asynccontextmanager
    async def calling(self, request: Request) -> AsyncIterator[Request]:
        self.main.asked.append(self.title)
        if len(self.main.asked) == 1:
            await self.main.go_on.wait()
        yield request


@pytest.mark.parametrize("first", [say("ok"), {"error": {"status": 400, "message": "no"}}])
async def test_tasks_of_one_step_wait_for_the_answer_to_the_first(
    tmp_path: Path, first: dict[str, Any]
) -> None:
    names = ["one", "two", "three"]
    wanted = use(*(("task", {"description": name, "prompt": name}) for name in names))
    host = HoldingHost()
    tasks = {"one": [first], "two": [say("ok")], "three": [say("ok")]}
    turn = asyncio.create_task(play(tmp_path, wanted, say("done"), tasks=tasks, host=host))
    for _ in range(100):
        await asyncio.sleep(0)
    assert host.asked == ["one"]
    host.go_on.set()
    state, _ = await turn
    assert host.asked == names
    assert [result.text for result in results(state.messages)[1:]] == ["ok", "ok"]


async def test_a_task_that_is_stopped_before_it_began_lets_the_others_begin(tmp_path: Path) -> None:
    host = HoldingHost()
    model = script(tmp_path, use(FIND), tasks={"find it": [say("ok")]})
    crew = Crew(run, AgentState(), host, rig(tmp_path, model))
    call = ToolCall("c1", "task", "{}")
    first = asyncio.create_task(crew.work(call, Job("one", "find it"), print, print))
    second = asyncio.create_task(crew.work(call, Job("two", "find it"), print, print))
    for _ in range(100):
        await asyncio.sleep(0)
    first.cancel()
    assert (await second).text == "ok"
