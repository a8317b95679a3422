"""Sub-agents in a session: their calls in its ledger, their messages in its journal, its files kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from agent.events import CacheMissed, Event, ToolFinished, ToolOutput, TurnFinished
from agent.permissions import Mode, PermissionAnswer, PermissionRequest
from benchmarks.cache.server import Answer, AnthropicBench, Clock, OpenAIBench, Say, Server, Use
from providers.errors import BudgetReached
from providers.pricing import Rates
from providers.registry import open_provider
from providers.types import Message, ModelRef, Usage
from sessions import begin
from sessions.catalog import summary
from sessions.journal import read
from sessions.records import CallLine, MessageLine
from sessions.rehydrate import rehydrate
from sessions.session import Session
from sessions.setup import Limits, Setup
from sessions.stats import collect, summarise
from tests.support.hosting import results
from tests.support.script import say, script, use
from tests.support.setups import setup

CLAUDE = ModelRef("anthropic", "claude-sonnet-4-5")
GPT = ModelRef("openai", "gpt-4.1")


def job(name: str) -> tuple[str, dict[str, Any]]:
    """A call of `task` whose sub-agent is told `name`."""
    return ("task", {"description": f"the {name}", "prompt": name})


class Cast:
    """Answers each conversation by the prompt that it begins with, step by step."""

    def __init__(self, plays: Mapping[str, Sequence[Answer]]) -> None:
        self._plays = plays
        self.arrived = {prompt: threading.Event() for prompt in plays}

    def __call__(self, body: Any) -> Answer:
        before = []
        for message in body["messages"]:
            if message["role"] == "assistant":
                break
            content = message["content"]
            before += [content] if isinstance(content, str) else [block["text"] for block in content]
        (prompt,) = (each for each in self._plays if before[-1].endswith(each))
        self.arrived[prompt].set()
        return self._plays[prompt][sum(message["role"] == "assistant" for message in body["messages"])]


def claude(folder: Path, **plays: Sequence[Answer]) -> AnthropicBench:
    return AnthropicBench(Clock(folder / "clock"), Cast(plays))


def served(folder: Path, server: Server, **more: Any) -> Setup:
    """A session's setup on this server, in a project with much to say at a conversation's beginning."""
    made = setup(
        folder,
        providers=lambda name, encoder="": open_provider(
            name, {}, server.environ(), folder / "home", encoder=encoder
        ),
        **more,
    )
    made.workspace.root.joinpath("AGENTS.md").write_text("Mind the gap. " * 500)
    return made


async def told(session: Session, prompt: str = "go") -> list[Event]:
    return [event async for event in session.turn(prompt)]


def billed(server: Server) -> Usage:
    """All that the server billed."""
    bills = [call.bill for call in server.billing.calls]
    return Usage(
        input_tokens=sum(bill.uncached for bill in bills),
        output_tokens=sum(bill.output for bill in bills),
        cache_read_tokens=sum(bill.read for bill in bills),
        cache_write_tokens=sum(bill.write for bill in bills),
        cache_write_1h_tokens=sum(bill.write_1h for bill in bills),
        reported_prompt_tokens=sum(bill.prompt for bill in bills),
    )


def lanes(path: Path) -> dict[str, list[Message]]:
    """The journal's messages by lane, but for the main conversation's."""
    found: dict[str, list[Message]] = {}
    for record in read(path).records:
        if isinstance(record, MessageLine) and record.lane != "main":
            found.setdefault(record.lane, []).append(record.message)
    return found


# --- the bill ----------------------------------------------------------------------------------------------


async def test_what_the_server_billed_is_what_every_total_says(tmp_path: Path) -> None:
    plays = {
        "go": [Use((job("search"), job("review"))), Say("Both done.")],
        "search": [Use((("ls", {}),)), Say("Found.")],
        "review": [Say("Fine.")],
    }
    with claude(tmp_path, **plays) as server:
        made = served(tmp_path, server)
        session = await begin.start(made, CLAUDE)
        events = await told(session)
        await session.close()
    assert len(server.billing.calls) == 5
    assert session.usage == billed(server)
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].usage == session.usage
    assert rehydrate(read(session.path).records).state.usage == session.usage
    assert session.checkpoints()[-1].token_snapshot["cache_read"] == session.usage.cache_read_tokens
    tables = {row.key: row for row in summarise(collect(made.home), "purpose").rows}
    assert {key: row.calls for key, row in tables.items()} == {"main": 2, "task": 3}
    assert tables["main"].usage + tables["task"].usage == session.usage


async def test_each_call_names_its_lane_and_follows_its_messages(tmp_path: Path) -> None:
    plays = {"go": [Use((job("search"),)), Say("Done.")], "search": [Use((("ls", {}),)), Say("Found.")]}
    with claude(tmp_path, **plays) as server:
        session = await begin.start(served(tmp_path, server), CLAUDE)
        await told(session)
        await session.close()
    ((lane, messages),) = lanes(session.path).items()
    calls = [record for record in read(session.path).records if isinstance(record, CallLine)]
    assert [(call.purpose, call.lane) for call in calls] == [
        ("main", "main"),
        ("task", lane),
        ("task", lane),
        ("main", "main"),
    ]
    assert [message.role for message in messages] == ["user", "user", "assistant", "tool", "assistant"]
    assert [call.parent for call in calls[1:3]] == [messages[1].id, messages[3].id]


# --- the cache ---------------------------------------------------------------------------------------------


def first_calls(session: Session, server: Server) -> list[tuple[int, int]]:
    """Of each sub-agent's first call, in the order they were billed: what it read, and what it could have."""
    found = []
    for made in server.billing.calls[1:]:
        tools = len(session.prefix.tools)
        if len(made.segments.lengths) == tools + 3:  # the system prompt, the place, the job
            found.append((made.bill.read, sum(made.segments.lengths[: tools + 2])))
    return found


@pytest.mark.parametrize("bench", [AnthropicBench, OpenAIBench])
async def test_tasks_of_one_step_read_what_the_first_of_them_wrote(
    tmp_path: Path, bench: type[AnthropicBench] | type[OpenAIBench]
) -> None:
    names = ["one", "two", "three", "four", "five", "six"]
    plays: dict[str, Sequence[Answer]] = {name: [Say(f"{name} is done")] for name in names}
    cast = Cast({"go": [Use(tuple(map(job, names))), Say("All done.")], **plays})
    with bench(Clock(tmp_path / "clock"), cast) as server:
        session = await begin.start(served(tmp_path, server), CLAUDE if bench is AnthropicBench else GPT)
        events = await told(session)
        await session.close()
    _, *others = first_calls(session, server)
    assert len(others) == 5
    step = 128 if bench is OpenAIBench else 1
    assert all(read >= shared // step * step for read, shared in others)
    assert [event for event in events if isinstance(event, CacheMissed)] == []
    assert [call.miss for call in session.calls] == [None] * len(session.calls)


async def test_a_task_reads_tools_system_prompt_and_the_place_that_the_agent_wrote(tmp_path: Path) -> None:
    plays = {"go": [Use((job("search"),)), Say("Done.")], "search": [Say("Found.")]}
    with AnthropicBench(Clock(tmp_path / "clock"), Cast(plays), minimum=1) as server:
        session = await begin.start(served(tmp_path, server), CLAUDE)
        await told(session)
        await session.close()
    made = server.billing.calls[1]
    assert made.bill.read == sum(made.segments.lengths[: len(session.prefix.tools) + 2])


async def test_a_task_of_a_later_step_begins_at_once_and_reads_what_the_earlier_wrote(tmp_path: Path) -> None:
    plays = {
        "go": [Use((job("one"),)), Use((job("two"), job("three"))), Say("Done.")],
        "one": [Say("1")],
        "two": [Say("2")],
        "three": [Say("3")],
    }
    with claude(tmp_path, **plays) as server:
        session = await begin.start(served(tmp_path, server), CLAUDE)
        await told(session)
        await session.close()
    _, *others = first_calls(session, server)
    assert [read for read, _ in others] == [shared for _, shared in others]


async def test_what_a_task_misses_is_told_as_it_happens(tmp_path: Path) -> None:
    forgotten = Use((("ls", {}),), pause=4000.0)  # by the server's clock more than it keeps anything
    plays = {"go": [Use((job("search"),)), Say("Done.")], "search": [forgotten, Say("Found.")]}
    with claude(tmp_path, **plays) as server:
        session = await begin.start(served(tmp_path, server), CLAUDE)
        events = await told(session)
        await session.close()
    _, _, task, main = session.calls
    assert (task.purpose, main.purpose) == ("task", "main")
    assert task.miss is not None
    missed, _ = [event for event in events if isinstance(event, CacheMissed)]
    assert (missed.tokens, missed.cost) == (task.miss.tokens, task.miss.cost)
    kinds = [type(event) for event in events]
    assert kinds.index(CacheMissed) < kinds.index(ToolFinished)


# --- permissions and files ---------------------------------------------------------------------------------


async def test_a_question_says_which_task_asks(tmp_path: Path) -> None:
    asked: list[PermissionRequest] = []

    async def ask(request: PermissionRequest) -> PermissionAnswer:
        asked.append(request)
        return PermissionAnswer(allow=True)

    tasks = {"search": [use(("bash", {"command": "touch x"})), say("Found.")]}
    model = script(
        tmp_path, use(job("search")), use(("bash", {"command": "touch y"})), say("ok"), tasks=tasks
    )
    session = await begin.start(setup(tmp_path, mode=Mode.ASK, ask=ask), model)
    await told(session)
    await session.close()
    assert [request.reason for request in asked] == [
        "runs a command, for the task “the search”",
        "runs a command",
    ]


async def test_plan_mode_holds_inside_a_task(tmp_path: Path) -> None:
    tasks = {"search": [use(("bash", {"command": "touch x"})), say("Refused.")]}
    made = setup(tmp_path, mode=Mode.PLAN)
    session = await begin.start(made, script(tmp_path, use(job("search")), say("ok"), tasks=tasks))
    await told(session)
    await session.close()
    assert results(session.state.messages)[0].text == "Refused."
    assert not (made.workspace.root / "x").exists()


async def test_what_tasks_change_side_by_side_comes_back_with_a_rewind(tmp_path: Path) -> None:
    made = setup(tmp_path)
    project = made.workspace.root
    names = ["one", "two", "three"]
    for name in names:
        (project / name).write_text("before\n")
    tasks = {name: [use(("write", {"path": f"{name}.new", "content": "x"}))] for name in names}
    for name in names:
        tasks[name] += [use(("bash", {"command": f"echo after > {name}"})), say("ok")]
    session = await begin.start(made, script(tmp_path, use(*map(job, names)), say("ok"), tasks=tasks))
    await told(session)
    assert {(project / name).read_text() for name in names} == {"after\n"}
    await session.rewind(0)
    assert {(project / name).read_text() for name in names} == {"before\n"}
    assert not list(project.glob("*.new"))
    await session.close()


# --- being stopped -----------------------------------------------------------------------------------------


async def test_stopping_a_turn_stops_its_tasks_and_answers_their_open_calls(tmp_path: Path) -> None:
    tasks = {"search": [use(("bash", {"command": "sleep 600"}), input_tokens=5), say("never")]}
    model = script(tmp_path, use(job("search"), input_tokens=3), say("never"), tasks=tasks)
    session = await begin.start(setup(tmp_path), model)
    async with aclosing(session.turn("go")) as events:
        async for event in events:
            if isinstance(event, ToolOutput):
                break
    (messages,) = lanes(session.path).values()
    assert "Interrupted" in results(messages)[0].text
    assert "Interrupted" in results(session.state.messages)[0].text
    assert session.usage.input_tokens == 8
    await session.close()


async def test_a_tasks_call_that_is_stopped_half_way_is_booked(tmp_path: Path) -> None:
    search = Say("Found.")
    cast = Cast({"go": [Use((job("search"),)), Say("never")], "search": [search]})

    def slow(body: Any) -> Answer:
        answer = cast(body)
        if answer is search:
            server.closing.wait()
        return answer

    with AnthropicBench(Clock(tmp_path / "clock"), slow) as server:
        session = await begin.start(served(tmp_path, server), CLAUDE)
        turn = asyncio.create_task(told(session))
        await asyncio.to_thread(cast.arrived["search"].wait)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        await session.close()
    assert [(call.purpose, call.outcome) for call in session.calls] == [("main", "ok"), ("task", "cancelled")]
    assert rehydrate(read(session.path).records).state.usage == session.usage


# --- limits ------------------------------------------------------------------------------------------------


async def test_a_limit_that_is_reached_inside_a_task_ends_the_turn(tmp_path: Path) -> None:
    tasks = {"search": [use(("ls", {})), say("never")]}
    model = script(tmp_path, use(job("search")), say("never"), tasks=tasks)
    session = await begin.start(setup(tmp_path, limits=Limits(max_turns=2)), model)
    with pytest.raises(BudgetReached, match="--max-turns is 2"):
        await told(session)
    assert len(session.calls) == 2
    (result,) = results(session.state.messages)
    assert "Interrupted" in result.text
    await session.close()


async def test_tasks_side_by_side_make_no_more_calls_than_the_limit(tmp_path: Path) -> None:
    names = ["one", "two", "three", "four"]
    tasks = {name: [say("ok")] for name in names}
    model = script(tmp_path, use(*map(job, names)), say("never"), tasks=tasks)
    session = await begin.start(setup(tmp_path, limits=Limits(max_turns=3)), model)
    with pytest.raises(BudgetReached):
        await told(session)
    assert len(session.calls) == 3
    await session.close()


async def test_tasks_side_by_side_spend_no_more_than_the_limit(tmp_path: Path) -> None:
    dear = {"input_tokens": 200_000, "output_tokens": 100}
    names = ["one", "two", "three", "four"]
    tasks = {name: [use(("ls", {}), **dear), say("ok", **dear)] for name in names}
    model = script(tmp_path, use(*map(job, names)), say("never"), tasks=tasks)
    rates = {str(model): Rates(input=1, output=5)}
    session = await begin.start(setup(tmp_path, limits=Limits(max_cost=0.5), rates=rates), model)
    with pytest.raises(BudgetReached, match="--max-cost"):
        await told(session)
    assert session.cost.known < 0.5 + 0.2005  # a call's price is known only once it was made
    assert len(session.calls) == 4
    await session.close()


async def test_without_a_limit_tasks_are_at_work_side_by_side(tmp_path: Path) -> None:
    """Each waits for what the other one does."""
    project = setup(tmp_path).workspace.root
    wait = "until test -e {other}; do sleep 0.01; done"
    tasks = {
        name: [use(("bash", {"command": f"touch {name}; {wait.format(other=other)}"})), say("ok")]
        for name, other in (("one", "two"), ("two", "one"))
    }
    model = script(tmp_path, use(job("one"), job("two")), say("ok"), tasks=tasks)
    session = await begin.start(setup(tmp_path), model)
    await told(session)
    await session.close()
    assert [result.text for result in results(session.state.messages)] == ["ok", "ok"]
    assert (project / "two").exists()


# --- the journal -------------------------------------------------------------------------------------------


async def test_a_resumed_session_has_the_main_conversation_and_the_whole_bill(tmp_path: Path) -> None:
    tasks = {"search": [use(("ls", {}), input_tokens=5), say("Found.", input_tokens=6)]}
    model = script(tmp_path, use(job("search"), input_tokens=1), say("ok"), say("again"), tasks=tasks)
    session = await begin.start(setup(tmp_path), model)
    await told(session)
    before, usage = list(session.state.messages), session.usage
    await session.close()
    again = await begin.resume(setup(tmp_path), session.path)
    assert again.state.messages == before
    assert again.usage == usage == Usage(input_tokens=12)
    assert again.repairs == ()
    await told(again, "more")
    assert again.state.messages[-1].text == "again"
    await again.close()
    listed = summary(session.path)
    assert (listed.turns, listed.prompt) == (2, "go")


async def test_a_journal_that_ends_inside_a_task_goes_on_behind_the_call_that_asked_for_it(
    tmp_path: Path,
) -> None:
    tasks = {"search": [use(("ls", {})), say("Found.")]}
    model = script(tmp_path, use(job("search")), say("Never mind."), tasks=tasks)
    session = await begin.start(setup(tmp_path), model)
    await told(session)
    await session.close()
    lines = session.path.read_text().splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if '"lane":"task_' in line and '"message"' in line]
    for cut in range(places[0], places[-1] + 1):
        session.path.write_text("".join(lines[: cut + 1]))
        again = await begin.resume(setup(tmp_path), session.path)
        assert [message.role for message in again.state.messages] == ["user", "assistant", "tool"]
        assert "Interrupted" in results(again.state.messages)[0].text
        await again.close()


async def test_a_reader_that_knows_no_lanes_finds_the_call_before_a_task(tmp_path: Path) -> None:
    tasks = {"search": [say("Found.")]}
    session = await begin.start(setup(tmp_path), script(tmp_path, use(job("search")), say("ok"), tasks=tasks))
    await told(session)
    await session.close()
    lines = [line for line in read(session.path).records if isinstance(line, MessageLine)]
    first = next(line for line in lines if line.lane != "main")
    asked = next(line for line in lines if line.message.tool_calls)
    assert first.parent == asked.id
    assert next(line for line in lines if line.message.role == "tool").parent == asked.id


async def test_a_finished_task_shows_its_tokens_and_dollars(tmp_path: Path) -> None:
    tasks = {"search": [say("Found.", input_tokens=1000, output_tokens=200)]}
    model = script(tmp_path, use(job("search")), say("ok"), tasks=tasks)
    rates = {str(model): Rates(input=1, output=5)}
    session = await begin.start(setup(tmp_path, rates=rates), model)
    events = await told(session)
    await session.close()
    (finished,) = [event for event in events if isinstance(event, ToolFinished)]
    assert finished.display == "1 model call · 1,200 tokens · $0.0020"
