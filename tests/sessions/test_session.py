"""A session on the scripted model: journal, checkpoints, going back, going on in a new process's place."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent.events import CheckpointMade, Event, ToolStarted, TurnFinished
from agent.permissions import Mode, PermissionAnswer, PermissionRequest
from checkpoint.types import CheckpointError
from providers.errors import BudgetReached, KeyRefused
from providers.scripted import ScriptedProvider
from providers.types import ModelRef, ToolResult
from sessions import begin
from sessions.journal import JournalBusy
from sessions.session import Session
from sessions.setup import Limits
from sessions.switch import Switch
from tests.support.script import say, script, use
from tests.support.setups import setup

FIRST = {"input_tokens": 10, "cache_write_tokens": 90, "output_tokens": 5, "reported_prompt_tokens": 100}
LATER = {"input_tokens": 3, "cache_read_tokens": 100, "output_tokens": 7, "reported_prompt_tokens": 103}


async def tell(session: Session, text: str) -> list[Event]:
    return [event async for event in session.turn(text)]


def snapshot_of(events: list[Event]) -> dict[str, object]:
    (made,) = [event for event in events if isinstance(event, CheckpointMade)]
    body = json.loads(Path(made.path).read_text())
    assert isinstance(body, dict)
    return body


async def test_one_turn_ends_in_a_checkpoint_that_counts_cache_reads_and_writes(tmp_path: Path) -> None:
    model = script(tmp_path, use(("ls", {}), **FIRST), say("done", **LATER))
    session = await begin.start(setup(tmp_path), model)
    events = await tell(session, "go")
    tokens = snapshot_of(events)["token_snapshot"]
    assert isinstance(tokens, dict)
    assert tokens["input"] == session.state.total_input_tokens == 13
    assert tokens["output"] == session.state.total_output_tokens == 12
    assert tokens["cache_read"] == session.state.total_cache_read_tokens == 100
    assert tokens["cache_write"] == session.state.total_cache_write_tokens == 90
    assert isinstance(events[-1], TurnFinished)
    await session.close()


async def test_totals_run_on_over_several_turns_and_a_resume(tmp_path: Path) -> None:
    model = script(tmp_path, say("one", **FIRST), say("two", **LATER), say("three", **LATER))
    session = await begin.start(setup(tmp_path), model)
    await tell(session, "a")
    await tell(session, "b")
    path, before = session.path, session.usage
    await session.close()
    again = await begin.resume(setup(tmp_path), path)
    assert again.usage == before
    events = await tell(again, "c")
    tokens = snapshot_of(events)["token_snapshot"]
    assert isinstance(tokens, dict)
    assert (tokens["cache_read"], tokens["cache_write"]) == (200, 90)
    assert again.state.messages[-1].text == "three"
    await again.close()


async def test_a_resumed_session_has_the_same_prefix_and_messages(tmp_path: Path) -> None:
    model = script(tmp_path, use(("ls", {})), say("done"))
    session = await begin.start(setup(tmp_path), model)
    await tell(session, "go")
    await session.close()
    again = await begin.resume(setup(tmp_path), session.path)
    assert again.prefix == session.prefix
    assert again.state.messages == session.state.messages
    assert again.state.previous_end == session.state.previous_end
    await again.close()


async def test_a_chat_that_was_opened_and_left_leaves_no_journal(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("x")))
    await session.close()
    assert not session.path.exists()


async def test_the_prompt_is_in_the_journal_before_the_model_answers(tmp_path: Path) -> None:
    model = script(tmp_path, {"error": {"status": 401, "message": "no"}})
    session = await begin.start(setup(tmp_path), model)
    with pytest.raises(KeyRefused):
        await tell(session, "remember me")
    await session.close()
    assert "remember me" in session.path.read_text()
    assert len(session.checkpoints()) == 2


async def test_rewinding_brings_back_shell_edits_created_files_and_first_edits(tmp_path: Path) -> None:
    made = setup(tmp_path)
    project = made.workspace.root
    (project / "kept.txt").write_text("original\n")
    (project / "gone.txt").write_text("precious\n")
    model = script(
        tmp_path,
        use(("read", {"path": "kept.txt"})),
        use(("edit", {"path": "kept.txt", "old": "original", "new": "changed"})),
        use(("bash", {"command": "rm gone.txt; echo new > made.txt"})),
        say("done", **FIRST),
    )
    session = await begin.start(made, model)
    await tell(session, "go")
    assert not (project / "gone.txt").exists()
    spent = session.usage
    await session.rewind(0)
    assert (project / "kept.txt").read_text() == "original\n"
    assert (project / "gone.txt").read_text() == "precious\n"
    assert not (project / "made.txt").exists()
    assert session.state.messages == []
    assert session.usage == spent
    await session.close()


async def test_undo_takes_back_the_last_turn_only(tmp_path: Path) -> None:
    made = setup(tmp_path)
    model = script(
        tmp_path,
        use(("bash", {"command": "echo 1 > one.txt"})),
        say("first"),
        use(("bash", {"command": "echo 2 > two.txt"})),
        say("second"),
    )
    session = await begin.start(made, model)
    await tell(session, "a")
    await tell(session, "b")
    await session.undo()
    assert (made.workspace.root / "one.txt").exists()
    assert not (made.workspace.root / "two.txt").exists()
    assert session.state.messages[-1].text == "first"
    await session.close()
    again = await begin.resume(setup(tmp_path), session.path)
    assert again.state.messages[-1].text == "first"
    await again.close()


async def test_a_rewind_that_is_stopped_takes_back_files_and_conversation_all_the_same(
    tmp_path: Path,
) -> None:
    made = setup(tmp_path)
    model = script(tmp_path, use(("bash", {"command": "echo 1 > one.txt"})), say("first"))
    session = await begin.start(made, model)
    await tell(session, "a")
    going = asyncio.create_task(session.rewind(0))
    await asyncio.sleep(0)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert not (made.workspace.root / "one.txt").exists()
    assert session.state.messages == []
    await session.close()


async def test_there_is_nothing_to_undo_in_an_empty_conversation(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("x")))
    await tell(session, "a")
    await session.undo()
    with pytest.raises(CheckpointError):
        await session.undo()
    await session.close()


class Lingering(ScriptedProvider):
    """Takes for ever to close."""

    def __init__(self, folder: Path) -> None:
        super().__init__("scripted", folder)
        self.closing = asyncio.Event()

    async def aclose(self) -> None:
        self.closing.set()
        await asyncio.Event().wait()


async def test_a_switch_that_is_stopped_leaves_no_session_on_a_provider_that_was_closed(
    tmp_path: Path,
) -> None:
    first, second = Lingering(tmp_path), ScriptedProvider("scripted", tmp_path)
    opened = iter([first, second])
    made = setup(tmp_path, providers=lambda name, encoder="": next(opened))
    session = await begin.start(made, script(tmp_path, say("one")))
    going = asyncio.create_task(session.switch(Switch(model=script(tmp_path, say("two"), name="two.json"))))
    await first.closing.wait()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert session.provider is second
    await session.close()


async def test_a_rewind_of_files_only_tells_the_model(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("x"), say("y")))
    await tell(session, "a")
    await session.rewind(0, conversation=False)
    await tell(session, "b")
    assert "checkpoint 0" in session.state.messages[2].text
    await session.close()


async def test_a_fork_starts_at_zero_and_goes_on_where_the_other_is(tmp_path: Path) -> None:
    model = script(tmp_path, say("one", **FIRST), say("two", **LATER))
    session = await begin.start(setup(tmp_path), model)
    await tell(session, "a")
    forked = await begin.fork(setup(tmp_path), session.path)
    assert forked.usage.total_tokens == 0
    assert forked.prefix == session.prefix
    assert forked.state.messages == session.state.messages
    await tell(forked, "b")
    assert forked.state.messages[-1].text == "two"
    assert session.state.messages[-1].text == "one"
    await forked.close()
    await session.close()


async def test_a_second_process_may_fork_but_not_write(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one")))
    await tell(session, "a")
    with pytest.raises(JournalBusy):
        await begin.resume(setup(tmp_path), session.path)
    await session.close()


async def test_a_tool_call_left_open_by_a_crash_is_answered_on_resume(tmp_path: Path) -> None:
    model = script(tmp_path, use(("ls", {})), say("done"))
    session = await begin.start(setup(tmp_path), model)
    await tell(session, "go")
    await session.close()
    lines = session.path.read_text().splitlines(keepends=True)
    cut = next(i for i, line in enumerate(lines) if '"tool_result"' in line)
    session.path.write_text("".join(lines[:cut]))
    again = await begin.resume(setup(tmp_path), session.path)
    (block,) = again.state.messages[-1].blocks
    assert isinstance(block, ToolResult)
    assert "Interrupted" in block.text
    await tell(again, "go on")
    assert again.state.messages[-1].text == "done"
    await again.close()


async def test_an_interrupted_turn_keeps_its_bill_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    made = setup(tmp_path)
    session = await begin.start(made, script(tmp_path, use(("bash", {"command": "sleep 60"}), **FIRST)))
    running = asyncio.Event()

    async def turn() -> None:
        async for event in session.turn("go"):
            if isinstance(event, ToolStarted):
                running.set()

    task = asyncio.create_task(turn())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await session.close()
    again = await begin.resume(made, session.path)
    assert again.usage.cache_write_tokens == 90
    assert len(again.checkpoints()) == 2
    await again.close()


async def test_always_grants_a_narrow_rule_and_asks_no_more(tmp_path: Path) -> None:
    asked: list[PermissionRequest] = []

    async def ask(request: PermissionRequest) -> PermissionAnswer:
        asked.append(request)
        return PermissionAnswer(allow=True, remember=True)

    command = ("bash", {"command": "git --version"})
    made = setup(tmp_path, mode=Mode.ASK, ask=ask)
    session = await begin.start(made, script(tmp_path, use(command), use(command), say("done")))
    await tell(session, "go")
    assert len(asked) == (1 if asked[0].rule else 2)
    await session.close()


async def test_where_nobody_can_be_asked_nothing_is_changed(tmp_path: Path) -> None:
    made = setup(tmp_path, mode=Mode.ASK)
    model = script(tmp_path, use(("bash", {"command": "touch x"})), say("I can't"))
    session = await begin.start(made, model)
    await tell(session, "go")
    assert not (made.workspace.root / "x").exists()
    await session.close()


async def test_the_turn_stops_before_the_call_that_goes_over_max_turns(tmp_path: Path) -> None:
    made = setup(tmp_path, limits=Limits(max_turns=1))
    session = await begin.start(made, script(tmp_path, use(("ls", {})), say("done")))
    with pytest.raises(BudgetReached, match="max-turns"):
        await tell(session, "go")
    assert len(session.calls) == 1
    await session.close()


async def test_another_model_goes_on_with_the_same_conversation(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one")))
    await tell(session, "a")
    other = script(tmp_path, say("-"), say("from the other"), name="other.json")
    await session.switch(Switch(model=other))
    await tell(session, "b")
    assert session.state.messages[-1].text == "from the other"
    await session.close()
    again = await begin.resume(setup(tmp_path), session.path)
    assert again.model == ModelRef("scripted", other.name)
    await again.close()


async def test_without_git_the_conversation_is_kept_and_the_files_part_says_it_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "ls"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one")))
    events = await tell(session, "a")
    (made,) = [event for event in events if isinstance(event, CheckpointMade)]
    assert "git" in made.files_off
    await session.rewind(0, files=False)
    assert session.state.messages == []
    await session.close()


async def test_agents_md_reaches_the_model_in_the_first_message_only(tmp_path: Path) -> None:
    made = setup(tmp_path)
    (made.workspace.root / "AGENTS.md").write_text("Use tabs.\n")
    session = await begin.start(made, script(tmp_path, say("one"), say("two")))
    await tell(session, "a")
    await tell(session, "b")
    assert "Use tabs." in session.state.messages[0].text
    assert "Use tabs." not in session.prefix.system
    assert session.state.messages[2].text == "b"
    await session.close()


async def test_the_system_prompt_and_the_tools_stay_under_2000_tokens(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("x")))
    characters = len(session.prefix.system) + sum(
        len(tool.name) + len(tool.description) + len(tool.parameters) for tool in session.prefix.tools
    )
    assert characters / 3.5 < 2000
    await session.close()


class OneThread(ThreadPoolExecutor):
    """Does one job at a time, each once it may."""

    def __init__(self) -> None:
        super().__init__(1)
        self.begun, self.may = threading.Event(), threading.Event()

    def submit(self, job: Any, /, *given: Any, **named: Any) -> Future[Any]:
        def held() -> Any:
            self.begun.set()
            self.may.wait()
            return job(*given, **named)

        return super().submit(held)


async def test_a_resume_that_is_cancelled_leaves_the_journal_to_others(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("One."), say("Two.")))
    await tell(session, "One?")
    await session.close()
    asyncio.get_running_loop().set_default_executor(thread := OneThread())
    resuming = asyncio.create_task(begin.resume(setup(tmp_path), session.path))
    while not thread.begun.is_set():  # noqa: ASYNC110  a thread sets it, and may only be awaited by turns
        await asyncio.sleep(0)
    resuming.cancel()
    thread.may.set()
    with pytest.raises(asyncio.CancelledError):
        await resuming
    resumed = await begin.resume(setup(tmp_path), session.path)
    await resumed.close()
