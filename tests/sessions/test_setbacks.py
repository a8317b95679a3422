"""A session when the disk is full, the process died, or only half of a rewind was wanted."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agent.events import Event, ToolStarted, TurnStarted
from agent.permissions import Mode
from providers.errors import KeyRefused
from providers.provider import Provider
from providers.registry import open_provider
from providers.types import ModelRef, Usage
from sessions import begin
from sessions.journal import JournalUnwritable, read
from sessions.records import CallLine
from sessions.rehydrate import rehydrate
from sessions.session import Session
from sessions.switch import Switch
from tests.support.script import say, script, use
from tests.support.setups import setup

USAGE = {"input_tokens": 10, "cache_write_tokens": 90, "output_tokens": 5}


async def tell(session: Session, text: str) -> list[Event]:
    return [event async for event in session.turn(text)]


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: what a full disk looks like to it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


async def tell_until_full(session: Session, text: str) -> None:
    """Send a prompt; right after it is written the disk is full, until the turn has ended."""
    with ExitStack() as stack:
        async for event in session.turn(text):
            if isinstance(event, TurnStarted):
                stack.enter_context(files_end_at(session.path.stat().st_size + 50))


def shell(command: str) -> tuple[str, dict[str, str]]:
    return ("bash", {"command": command})


async def test_a_disk_that_was_full_at_the_first_prompt_doesnt_stop_the_next_one(tmp_path: Path) -> None:
    model = script(tmp_path, say("one", **USAGE))
    session = await begin.start(setup(tmp_path), model)
    with files_end_at(20), pytest.raises(JournalUnwritable):
        await tell(session, "a")
    assert session.state.messages == []
    await tell(session, "b")
    await session.close()
    again = await begin.resume(setup(tmp_path), session.path)
    assert again.model == model
    assert [message.role for message in again.state.messages] == ["user", "assistant"]
    await again.close()


async def test_a_prefix_that_found_no_space_is_written_with_the_next_prompt(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one")))
    with files_end_at(1000), pytest.raises(JournalUnwritable):
        await tell(session, "a")
    await tell(session, "b")
    await session.close()
    assert rehydrate(read(session.path).records).prefix == session.prefix


async def test_a_call_that_found_no_space_in_the_journal_is_booked_once_there_is_some(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one", **USAGE)))
    with pytest.raises(JournalUnwritable):
        await tell_until_full(session, "a")
    assert session.usage == sum((call.usage for call in session.calls), Usage())
    await tell(session, "b")
    await session.close()
    told = rehydrate(read(session.path).records)
    assert told.state.usage == session.usage
    assert len(told.calls) == 2


async def test_a_call_still_owed_is_written_when_the_session_is_closed(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one", **USAGE)))
    with pytest.raises(JournalUnwritable):
        await tell_until_full(session, "a")
    await session.close()
    (line,) = [record for record in read(session.path).records if isinstance(record, CallLine)]
    assert line.usage.input_tokens == 10


async def test_checkpoints_that_could_not_be_written_once_are_tried_again(tmp_path: Path) -> None:
    made = setup(tmp_path)
    session = await begin.start(made, script(tmp_path, say("one"), say("two")))
    checkpoints = made.home / "checkpoints"
    checkpoints.parent.mkdir(parents=True, exist_ok=True)
    checkpoints.write_text("in the way")
    with pytest.raises(OSError, match="checkpoint"):
        await tell(session, "a")
    checkpoints.unlink()
    await tell(session, "b")
    assert session.checkpoints()
    await session.close()


async def test_what_ended_the_turn_is_told_though_its_checkpoint_fails_too(tmp_path: Path) -> None:
    made = setup(tmp_path)
    session = await begin.start(made, script(tmp_path, {"error": {"status": 401, "message": "no"}}))
    checkpoints = made.home / "checkpoints"
    checkpoints.parent.mkdir(parents=True, exist_ok=True)
    checkpoints.write_text("in the way")
    with pytest.raises(KeyRefused):
        await tell(session, "a")
    await session.close()


async def test_context_that_could_not_be_sent_goes_with_the_next_prompt_once(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one"), say("two")))
    session.add_context("what ls said")
    with files_end_at(20), pytest.raises(JournalUnwritable):
        await tell(session, "a")
    await tell(session, "b")
    await tell(session, "c")
    texts = [message.text for message in session.state.messages if message.role == "user"]
    assert ["what ls said" in text for text in texts] == [True, False]
    await session.close()


async def test_a_turn_after_a_crash_can_be_undone(tmp_path: Path) -> None:
    model = script(
        tmp_path, use(shell("echo 1 > one.txt")), say("one"), use(shell("echo 2 > two.txt")), say("two")
    )
    made = setup(tmp_path)
    session = await begin.start(made, model)
    await tell(session, "a")
    await session.close()
    lines = session.path.read_text().splitlines(keepends=True)
    cut = next(place for place, line in enumerate(lines) if '"tool_result"' in line)
    session.path.write_text("".join(lines[:cut]))
    (made.home / "checkpoints" / session.id / "1.json").unlink()
    again = await begin.resume(made, session.path)
    before = list(again.state.messages)
    script(tmp_path, say(""), use(shell("echo 2 > two.txt")), say("two"))
    await tell(again, "b")
    await again.undo()
    assert again.state.messages == before
    assert (made.workspace.root / "one.txt").exists()
    assert not (made.workspace.root / "two.txt").exists()
    await again.close()


@pytest.mark.parametrize(("files", "left"), [(True, ["1.txt"]), (False, ["1.txt", "2.txt"])])
async def test_undo_after_half_a_rewind_brings_back_the_files_of_just_before_the_turn(
    tmp_path: Path, files: bool, left: list[str]
) -> None:
    made = setup(tmp_path)
    step = use(shell("touch $(( $(ls | wc -l) + 1 )).txt"))
    model = script(tmp_path, step, say("one"), step, say("two"), step, say("three"))
    session = await begin.start(made, model)
    await tell(session, "a")
    await tell(session, "b")
    await session.rewind(1, files=files, conversation=not files)
    before = list(session.state.messages)
    await tell(session, "c")
    await session.undo()
    assert session.state.messages == before
    assert sorted(path.name for path in made.workspace.root.iterdir()) == left
    await session.close()


async def test_a_failed_call_keeps_nothing_warm_and_empties_no_context(tmp_path: Path) -> None:
    failing = {"error": {"status": 401, "message": "no"}}
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one", **USAGE), failing))
    await tell(session, "a")
    filled, last = session.context_tokens, session.last_call
    with pytest.raises(KeyRefused):
        await tell(session, "b")
    assert session.context_tokens == filled == 105
    assert session.last_call == last
    await session.close()


async def test_another_models_cache_is_not_warm(tmp_path: Path) -> None:
    def naming_a_lifetime(name: str, encoder: str = "") -> Provider:
        provider = open_provider(name, {}, {}, tmp_path, encoder=encoder)
        provider.encoder = "anthropic/1"
        return provider

    model = script(tmp_path, say("one", **USAGE))
    session = await begin.start(setup(tmp_path, providers=naming_a_lifetime), model)
    await tell(session, "a")
    assert session.warm_until is not None
    await session.switch(Switch(model=ModelRef("scripted", "other.json")))
    assert session.warm_until is None
    await session.close()


async def test_a_session_in_this_ones_place_has_the_mode_in_force(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one")))
    await tell(session, "a")
    session.policy = session.policy.with_mode(Mode.PLAN)
    forked = await begin.fork(session.setup, session.path)
    assert forked.policy.mode is Mode.PLAN
    fresh = await begin.anew(forked)
    assert fresh.policy.mode is Mode.PLAN
    await fresh.close()
    await session.close()


async def test_a_fork_for_another_model_has_no_previous_end(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one", **USAGE)))
    await tell(session, "a")
    same = await begin.fork(setup(tmp_path), session.path)
    assert same.state.previous_end == session.state.previous_end
    other = await begin.fork(
        setup(tmp_path), session.path, switch=Switch(model=ModelRef("scripted", "other.json"))
    )
    assert other.state.previous_end is None
    for one in (same, other, session):
        await one.close()


async def test_a_fork_of_a_running_turn_is_whole_and_the_turn_goes_on(tmp_path: Path) -> None:
    model = script(tmp_path, use(shell("until [ -e go ]; do sleep 0.05; done")), say("done"))
    made = setup(tmp_path)
    session = await begin.start(made, model)
    running = asyncio.Event()

    async def turn() -> None:
        async for event in session.turn("go"):
            if isinstance(event, ToolStarted):
                running.set()

    task = asyncio.create_task(turn())
    await running.wait()
    forked = await begin.fork(made, session.path)
    (made.workspace.root / "go").touch()
    await task
    assert [message.role for message in forked.state.messages] == ["user", "assistant", "tool"]
    assert "Interrupted" in str(forked.state.messages[-1].blocks)
    await tell(forked, "and here")
    assert forked.state.messages[-1].text == session.state.messages[-1].text == "done"
    await forked.close()
    await session.close()


async def test_a_fork_whose_process_died_while_it_copied_says_so_and_how_to_have_it_whole(
    tmp_path: Path,
) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one"), say("two")))
    await tell(session, "a")
    await tell(session, "b")
    await session.close()
    fork = await begin.fork(setup(tmp_path), session.path)
    await fork.close()
    whole = fork.path.read_bytes()
    assert rehydrate(read(fork.path).records).repairs == ()
    fork.path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    again = await begin.resume(setup(tmp_path), fork.path)
    await again.close()
    (said,) = again.repairs
    assert "it has 3 of 4 messages" in said
    assert said.endswith(f"agent resume {session.path} --fork")
