"""A turn that is cut short at any await: what was paid for is kept, and the next request is whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.events import CallFinished, Event, ToolFinished
from agent.host import CallMade, Fact, MessageAdded
from agent.loop import run
from agent.recording import open_calls
from agent.state import AgentState
from providers.call import Call, StreamedCall
from providers.provider import ModelInfo
from providers.scripted import ScriptedAccumulator
from providers.types import JSONObject, Message, Origin, Request, ToolCall
from tests.support.hosting import ListHost, prompt, results, rig
from tests.support.script import say, script, use

USAGE = {"input_tokens": 7, "output_tokens": 2}


def reading(name: str = "a.txt") -> tuple[str, dict[str, Any]]:
    return ("read", {"path": name})


@dataclass(slots=True)
class SlowHost(ListHost):
    """Stands still while it records what `slow` picks, until `go_on` is set."""

    slow: Callable[[Fact], bool] = lambda fact: True
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def record(self, fact: Fact) -> None:
        if self.slow(fact):
            self.waiting.set()
            await self.go_on.wait()
        await ListHost.record(self, fact)


@dataclass(slots=True)
class FullHost(ListHost):
    """Refuses to write while `full` picks the fact."""

    full: Callable[[Fact], bool] = lambda fact: False

    async def record(self, fact: Fact) -> None:
        if self.full(fact):
            raise OSError(28, "No space left on device")
        await ListHost.record(self, fact)


def is_role(role: str) -> Callable[[Fact], bool]:
    return lambda fact: isinstance(fact, MessageAdded) and fact.message.role == role


def recorded(host: ListHost) -> list[Message]:
    return [fact.message for fact in host.facts if isinstance(fact, MessageAdded)]


async def cut_at(host: SlowHost, state: AgentState, folder: Path, *steps: dict[str, Any], times: int) -> None:
    """Cancel the turn so many times while the host stands still, then let it go on."""

    async def turn() -> None:
        async for _ in run(state, prompt("go"), host, rig(folder, script(folder, *steps))):
            pass

    task = asyncio.create_task(turn())
    await host.waiting.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    host.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("times", [1, 2])
async def test_cancelling_while_a_call_is_booked_loses_neither_the_bill_nor_the_answer(
    tmp_path: Path, times: int
) -> None:
    state, host = AgentState(), SlowHost(slow=lambda fact: isinstance(fact, CallMade))
    await cut_at(host, state, tmp_path, say("paid for", **USAGE), times=times)
    assert [fact.report.usage for fact in host.calls] == [state.usage]
    assert state.usage.input_tokens == 7
    assert state.messages[-1].text == "paid for"
    assert recorded(host) == state.messages


@pytest.mark.parametrize("role", ["user", "assistant", "tool"])
async def test_cancelling_while_a_message_is_written_leaves_state_and_journal_the_same(
    tmp_path: Path, role: str
) -> None:
    state, host = AgentState(), SlowHost(slow=is_role(role))
    await cut_at(host, state, tmp_path, use(reading(), reading("b.txt")), say("done"), times=2)
    assert recorded(host) == state.messages
    assert state.turn_count == 1
    assert open_calls(state.messages) == ()


async def test_leaving_the_turn_before_its_tools_ran_answers_them(tmp_path: Path) -> None:
    state, host = AgentState(), ListHost()
    turn = run(state, prompt("go"), host, rig(tmp_path, script(tmp_path, use(reading()))))
    async with aclosing(turn) as events:
        async for event in events:
            if isinstance(event, CallFinished):
                break
    assert [result.is_error for result in results(state.messages)] == [True]
    assert recorded(host) == state.messages


@pytest.mark.parametrize("role", ["user", "assistant", "tool"])
async def test_what_could_not_be_written_is_not_in_the_state_either(tmp_path: Path, role: str) -> None:
    state, host = AgentState(), FullHost(full=is_role(role))
    with pytest.raises(OSError, match="No space"):
        async for _ in run(state, prompt("go"), host, rig(tmp_path, script(tmp_path, use(reading())))):
            pass
    assert recorded(host) == state.messages
    assert state.turn_count == sum(message.role == "user" for message in state.messages)


async def test_calls_left_open_by_a_full_disk_are_answered_before_the_next_prompt(tmp_path: Path) -> None:
    state, host = AgentState(), FullHost(full=is_role("tool"))
    made = rig(tmp_path, script(tmp_path, use(reading(), reading("b.txt")), say("done")))
    with pytest.raises(OSError, match="No space"):
        async for _ in run(state, prompt("go"), host, made):
            pass
    host.full = lambda fact: False
    async for _ in run(state, prompt("again", "m2"), host, made):
        pass
    assert [message.role for message in state.messages] == [
        *("user", "assistant", "tool", "tool", "user", "assistant")
    ]
    assert recorded(host) == state.messages


async def test_arguments_nested_too_deeply_are_answered_not_raised(tmp_path: Path) -> None:
    step = {"text": "", "tool_calls": [{"name": "read", "arguments": '{"path":' + "[" * 200_000}]}
    state, events = AgentState(), []
    async for event in run(
        state, prompt("go"), ListHost(), rig(tmp_path, script(tmp_path, step, say("I see")))
    ):
        events.append(event)
    (result,) = results(state.messages)
    assert result.is_error
    assert state.messages[-1].text == "I see"
    assert any(isinstance(event, ToolFinished) for event in events)


class Played:
    """A provider of a third party's making: its calls' raw events come from a function."""

    name, encoder = "played", "played/1"

    def __init__(self, play: Callable[[Request], AbstractAsyncContextManager[AsyncIterator[JSONObject]]]):
        self._play = play

    def stream(self, request: Request) -> Call:
        return StreamedCall(request, lambda: self._play(request), Twice(Origin("played", "", "")))

    async def prepare(self) -> None:
        return

    async def context_window(self, model: str) -> int | None:
        return None

    async def models(self) -> tuple[ModelInfo, ...]:
        return ()

    async def aclose(self) -> None:
        return


class Twice(ScriptedAccumulator):
    """Hands out each tool call two times under one id."""

    @property
    def blocks(self) -> tuple[Any, ...]:
        return tuple(
            block for block in super().blocks for _ in range(2 if isinstance(block, ToolCall) else 1)
        )


async def play(folder: Path, provider: Played, host: ListHost) -> tuple[AgentState, list[Event]]:
    state = AgentState()
    made = replace(rig(folder, script(folder, say("unused"))), provider=provider)
    return state, [event async for event in run(state, prompt("go"), host, made)]


async def test_an_id_used_twice_by_a_provider_becomes_two_ids(tmp_path: Path) -> None:
    @asynccontextmanager
    async def opened(request: Request) -> AsyncIterator[AsyncIterator[JSONObject]]:
        async def events() -> AsyncIterator[JSONObject]:
            answers = sum(message.role == "assistant" for message in request.messages)
            if answers < 2:
                yield {"id": "call_0", "name": "read"}
                yield {"id": "call_0", "arguments": '{"path": "a.txt"}'}
                yield {"usage": USAGE, "stop_reason": "tool_use"}
                return
            yield {"text": "done"}
            yield {"usage": USAGE, "stop_reason": "end_turn"}

        yield events()

    state, _ = await play(tmp_path, Played(opened), ListHost())
    asked = [call.id for message in state.messages for call in message.tool_calls]
    assert len(set(asked)) == 4
    assert sorted(result.call_id for result in results(state.messages)) == sorted(asked)


async def test_a_fault_in_a_provider_is_booked_by_its_name(tmp_path: Path) -> None:
    @asynccontextmanager
    async def opened(request: Request) -> AsyncIterator[AsyncIterator[JSONObject]]:
        raise KeyError("content")
        yield

    host = ListHost()
    with pytest.raises(KeyError):
        await play(tmp_path, Played(opened), host)
    assert [fact.report.outcome for fact in host.calls] == ["KeyError"]
