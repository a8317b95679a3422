"""The loop on the scripted model, with the real tools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.events import CallFinished, Event, Retrying, ToolFinished, ToolStarted, TurnFinished
from agent.host import Verdict
from agent.loop import run
from agent.state import AgentState
from agent.tools.contract import Intent
from providers.errors import ContextOverflow, KeyRefused, ServerFault
from providers.types import TextDelta, ToolCall
from tests.support.hosting import ListHost, prompt, results, rig
from tests.support.script import say, script, use


async def play(
    folder: Path, *steps: dict[str, Any], host: ListHost | None = None
) -> tuple[AgentState, list[Event]]:
    state = AgentState()
    events = [
        event
        async for event in run(state, prompt("go"), host or ListHost(), rig(folder, script(folder, *steps)))
    ]
    return state, events


async def test_a_plain_answer_ends_the_turn(tmp_path: Path) -> None:
    state, events = await play(tmp_path, say("hello", input_tokens=5, output_tokens=2))
    assert [message.role for message in state.messages] == ["user", "assistant"]
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].text == "hello"
    assert state.turn_count == 1


async def test_state_totals_are_the_sum_of_all_calls_of_the_turn(tmp_path: Path) -> None:
    state, events = await play(
        tmp_path,
        use(("ls", {}), input_tokens=10, cache_write_tokens=100, output_tokens=4, reported_prompt_tokens=110),
        say("done", input_tokens=1, cache_read_tokens=110, output_tokens=2, reported_prompt_tokens=111),
    )
    assert state.total_input_tokens == 11
    assert state.total_cache_read_tokens == 110
    assert state.total_cache_write_tokens == 100
    assert state.total_output_tokens == 6
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].usage == state.usage


async def test_a_provider_that_sets_nothing_leaves_zeros_and_no_rate(tmp_path: Path) -> None:
    state, _ = await play(tmp_path, say("hello"))
    assert state.usage.cache_hit_rate is None
    assert state.usage.total_tokens == 0


async def test_the_call_and_its_message_are_recorded_before_any_tool_runs(tmp_path: Path) -> None:
    host = ListHost()
    await play(tmp_path, use(("bash", {"command": "true"})), say("done"), host=host)
    assert host.order == ["user", "call", "assistant", "before bash", "tool", "call", "assistant"]


async def test_tools_that_only_read_run_side_by_side_and_each_is_answered(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("alpha\n")
    (tmp_path / "b.txt").write_text("beta\n")
    state, events = await play(
        tmp_path, use(("read", {"path": "a.txt"}), ("read", {"path": "b.txt"})), say("done")
    )
    kinds = [type(event) for event in events if isinstance(event, ToolStarted | ToolFinished)]
    assert kinds == [ToolStarted, ToolStarted, ToolFinished, ToolFinished]
    assert {"alpha" in result.text or "beta" in result.text for result in results(state.messages)} == {True}


async def test_an_edit_sees_the_file_as_the_call_before_it_left_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    await play(
        tmp_path,
        use(("read", {"path": "a.txt"})),
        use(
            ("edit", {"path": "a.txt", "old": "one", "new": "two"}),
            ("edit", {"path": "a.txt", "old": "two", "new": "three"}),
        ),
        say("done"),
    )
    assert (tmp_path / "a.txt").read_text() == "three\n"


async def test_a_refused_tool_is_answered_and_the_turn_goes_on(tmp_path: Path) -> None:
    state, events = await play(
        tmp_path, use(("bash", {"command": "touch x"})), say("then not"), host=ListHost(frozenset({"bash"}))
    )
    assert not (tmp_path / "x").exists()
    assert results(state.messages)[0].text == "not here"
    assert isinstance(events[-1], TurnFinished)


@dataclass(slots=True)
class SwappingHost(ListHost):
    """Permits everything, and while it thinks it over a folder becomes a link to another place."""

    swap: Callable[[], None] = lambda: None

    async def permit(self, call: ToolCall, intent: Intent) -> Verdict:
        self.swap()
        return Verdict(True)


@pytest.mark.parametrize(
    ("tool", "arguments"), [("write", {"path": "sub/x", "content": "x"}), ("read", {"path": "sub/secret"})]
)
async def test_a_link_laid_while_the_question_stood_does_not_lead_a_tool_astray(
    tmp_path: Path, tool: str, arguments: dict[str, Any]
) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    (project / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("needle")

    def swap() -> None:
        (project / "sub").rmdir()
        (project / "sub").symlink_to(outside)

    state, _ = await play(project, use((tool, arguments)), say("I see"), host=SwappingHost(swap=swap))
    (result,) = results(state.messages)
    assert result.is_error
    assert "came to lead somewhere else" in result.text
    assert [path.name for path in outside.iterdir()] == ["secret"]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("read", '{"path": "a', "can't be used"),
        ("teleport", "{}", "no longer available"),
        ("read", "[]", "object"),
        ("read", '{"path":' + "[" * 100_000, "can't be used"),
    ],
)
async def test_a_call_that_cannot_run_is_answered_with_the_reason(
    tmp_path: Path, name: str, arguments: str, said: str
) -> None:
    step = {"text": "", "tool_calls": [{"name": name, "arguments": arguments}]}
    state, _ = await play(tmp_path, step, say("I see"))
    (result,) = results(state.messages)
    assert result.is_error
    assert said in result.text


async def test_no_tool_runs_from_an_answer_that_was_cut_off(tmp_path: Path) -> None:
    step = {**use(("bash", {"command": "touch x"})), "stop_reason": "max_tokens"}
    state, events = await play(tmp_path, step)
    assert not (tmp_path / "x").exists()
    asked = [call.id for message in state.messages for call in message.tool_calls]
    assert [result.call_id for result in results(state.messages)] == asked
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].stop_reason == "max_tokens"


async def test_secrets_in_a_tools_output_are_masked_before_they_are_recorded(tmp_path: Path) -> None:
    host = ListHost()
    state, _ = await play(tmp_path, use(("bash", {"command": "echo hunter2"})), say("done"), host=host)
    assert "hunter2" not in results(state.messages)[0].text
    assert "[secret]" in results(state.messages)[0].text


async def test_a_refused_key_ends_the_turn_and_books_the_call(tmp_path: Path) -> None:
    host = ListHost()
    with pytest.raises(KeyRefused):
        await play(tmp_path, {"error": {"status": 401, "message": "no"}}, host=host)
    assert [fact.report.outcome for fact in host.calls] == ["KeyRefused"]


async def test_a_failing_server_is_asked_again_until_the_attempts_are_used_up(tmp_path: Path) -> None:
    host = ListHost()
    model = script(tmp_path, {"error": {"status": 503, "message": "x"}})
    turn = run(AgentState(), prompt("go"), host, rig(tmp_path, model))
    events: list[Event] = []

    async def follow() -> None:
        async for event in turn:
            events.append(event)

    with pytest.raises(ServerFault):
        await follow()
    assert len(host.calls) == 6
    assert sum(isinstance(event, Retrying) for event in events) == 5
    assert sum(isinstance(event, CallFinished) for event in events) == 6


async def test_a_full_context_is_named_and_loses_nothing(tmp_path: Path) -> None:
    state = AgentState()
    step = {**say("partial", input_tokens=9), "stop_reason": "model_context_window_exceeded"}
    with pytest.raises(ContextOverflow, match="/new"):
        async for _ in run(state, prompt("go"), ListHost(), rig(tmp_path, script(tmp_path, step))):
            pass
    assert state.messages[-1].text == "partial"
    assert state.total_input_tokens == 9


async def test_cancelling_while_a_tool_runs_answers_every_open_call(tmp_path: Path) -> None:
    state = AgentState()
    host = ListHost()
    started = asyncio.Event()
    steps = script(tmp_path, use(("bash", {"command": "sleep 60"}), ("bash", {"command": "touch never"})))

    async def turn() -> None:
        async for event in run(state, prompt("go"), host, rig(tmp_path, steps)):
            if isinstance(event, ToolStarted):
                started.set()

    task = asyncio.create_task(turn())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [result.is_error for result in results(state.messages)] == [True, True]
    assert all("Interrupted" in result.text for result in results(state.messages))
    assert not (tmp_path / "never").exists()
    assert host.order[-2:] == ["tool", "tool"]


async def test_cancelling_while_the_model_speaks_keeps_what_came(tmp_path: Path) -> None:
    state = AgentState()
    host = ListHost()
    heard = asyncio.Event()
    steps = script(
        tmp_path, {"text": "one two three", "chunk": 4, "pause_s": 30, "usage": {"input_tokens": 7}}
    )

    async def turn() -> None:
        async for event in run(state, prompt("go"), host, rig(tmp_path, steps)):
            if isinstance(event, TextDelta):
                heard.set()

    task = asyncio.create_task(turn())
    await heard.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert state.messages[-1].role == "assistant"
    assert state.messages[-1].text == "one "
    assert [fact.report.outcome for fact in host.calls] == ["cancelled"]


async def test_the_next_request_names_the_previous_calls_end(tmp_path: Path) -> None:
    state, _ = await play(tmp_path, use(("ls", {})), say("done"))
    assert state.previous_end == state.messages[2].id
