"""Opening a session in the chat, stopped half-way: one session is open, and it is the one that goes on."""

from __future__ import annotations

import asyncio
import os
import pty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest

from cli import switching
from cli.chat import Chat, Opening
from cli.desk import Desk
from cli.front import Front
from cli.paint import Painter
from cli.screen import Screen
from providers.registry import open_provider
from providers.scripted import ScriptedProvider
from providers.settings import ProviderSettings
from providers.types import ModelRef
from sessions import begin
from sessions.journal import Journal, JournalError
from sessions.session import Session
from sessions.setup import Setup
from tests.sessions.test_session import Lingering
from tests.support.anthropic_server import AnthropicServer, text
from tests.support.script import say, script
from tests.support.setups import setup

pytestmark = pytest.mark.slow

CLAUDE = ModelRef("anthropic", "claude-sonnet-4-5")
MOMENTS = range(0, 60, 2)


async def tell(session: Session, words: str) -> None:
    async for _ in session.turn(words):
        pass


class Place:
    """A desk with a session of one turn, and another session in the same project."""

    def __init__(self, given: Setup, front: Front, desk: Desk, other: Path) -> None:
        self.setup = given
        self.front = front
        self.desk = desk
        self.other = other

    @property
    def journals(self) -> set[Path]:
        return set(self.setup.home.glob("sessions/*/*.jsonl"))

    def open(self) -> set[Path]:
        """The journals that somebody writes."""
        return {path for path in self.journals if _taken(path)}


def _taken(path: Path) -> bool:
    try:
        Journal.open(path).close()
    except JournalError:
        return True
    return False


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    with ExitStack() as stack:
        server = stack.enter_context(AnthropicServer(repeat((text("Fine."),))))
        settings = {"anthropic": ProviderSettings(base_url=server.url, api_key="k")}
        given = setup(
            tmp_path,
            providers=lambda name, encoder="": open_provider(
                name, settings, {}, tmp_path / "home", encoder=encoder
            ),
        )
        other = await begin.start(given, CLAUDE)
        await tell(other, "elsewhere")
        await other.close()
        session = await begin.start(given, CLAUDE)
        await tell(session, "here")
        master, slave = pty.openpty()
        stack.callback(os.close, master)
        with redirect_stdout(stack.enter_context(os.fdopen(slave, "w"))):
            front = Front(given.home, tmp_path)
        screen = Screen(Painter(lambda: 80, {}), lambda words: None)
        desk = Desk(session, screen, front.prompt, lambda: None, lambda: None)
        yield Place(given, front, desk, other.path)
        await desk.session.close()


Command = Callable[[Desk, str], Awaitable[None]]
COMMANDS: tuple[Command, ...] = (switching.new, switching.fork, switching.resume)


async def stopped(place: Place, command: Command, moment: int, *, times: int = 1) -> None:
    """Do the command, and stop it after it had its turn so many times, then at each that follows."""
    there = place.desk.session.path
    target = str(place.other if there != place.other else min(place.journals - {there}))
    work = asyncio.ensure_future(command(place.desk, target if command is switching.resume else ""))
    for _ in range(moment):
        await asyncio.sleep(0)
    for _ in range(times - 1):
        work.cancel()
        await asyncio.sleep(0)
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
async def test_whenever_it_is_stopped_the_desks_session_is_the_one_that_is_open(
    place: Place, command: Command
) -> None:
    for moment in MOMENTS:
        await stopped(place, command, moment)
        session = place.desk.session
        assert place.open() <= {session.path}, f"stopped at moment {moment}"
        await tell(session, "go on")
        assert place.open() == {session.path}


@pytest.mark.parametrize("command", [switching.fork, switching.resume], ids=["fork", "resume"])
async def test_stopped_while_the_one_before_is_closed_it_has_moved_and_left_nothing_open(
    place: Place, command: Command
) -> None:
    before = place.desk.session
    target = str(place.other) if command is switching.resume else ""
    work = asyncio.ensure_future(command(place.desk, target))
    while place.desk.session is before:  # noqa: ASYNC110  no event of ours: any moment may be the awkward one
        await asyncio.sleep(0)
    assert not work.done()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert place.desk.session is not before
    assert place.open() == {place.desk.session.path}


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_fork_that_is_stopped_however_often_leaves_no_session(place: Place, times: int) -> None:
    for moment in MOMENTS:
        before, journals = place.desk.session, place.journals
        await stopped(place, switching.fork, moment, times=times)
        assert place.open() == {place.desk.session.path}, f"stopped at moment {moment}"
        if place.desk.session is before:
            assert place.journals == journals, f"stopped at moment {moment}"


async def test_a_chat_that_is_left_while_it_opens_leaves_its_session_to_others(place: Place) -> None:
    haiku = ModelRef("anthropic", "claude-haiku-4-5")  # another model, so that its price is told first
    opening = Opening(setup=place.setup, model=haiku, session=place.other)
    for moment in MOMENTS:
        work = asyncio.ensure_future(Chat.open(place.front, opening))
        for _ in range(moment):
            await asyncio.sleep(0)
        work.cancel()
        with suppress(asyncio.CancelledError):
            await (await work).close()
        assert place.open() == {place.desk.session.path}, f"left at moment {moment}"


async def test_a_switch_that_is_stopped_while_the_old_engine_ends_is_one_for_the_footer_too(
    place: Place, tmp_path: Path
) -> None:
    first, second = Lingering(tmp_path), ScriptedProvider("scripted", tmp_path)
    opened = iter([first])
    given = replace(place.setup, providers=lambda name, encoder="": next(opened, second))
    await place.desk.session.close()
    place.desk.session = await begin.start(given, script(tmp_path, say("one")))
    told: list[ModelRef] = []
    place.desk.settled = lambda: told.append(place.desk.session.model)
    other = script(tmp_path, say("two"), name="two.json")
    work = asyncio.ensure_future(switching.model(place.desk, str(other)))
    await first.closing.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert told == [other]
