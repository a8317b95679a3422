"""The chat: the session, the screen and the person's lines put together."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from agent.settled import settled
from checkpoint.types import CheckpointError
from cli import figures
from cli.approval import Approval
from cli.attach import attach
from cli.commands import COMMANDS, find
from cli.completion import CommandName
from cli.desk import Desk
from cli.failure import explain
from cli.footer import Fragment, footer
from cli.front import Front
from cli.keepwarm import KeepWarm
from cli.mentions import ShellCommand, SlashCommand, Words, parse
from cli.paint import Painter
from cli.paste import plain
from cli.rereading import expired, rereading
from cli.screen import Screen
from cli.shell import run_shell
from cli.vitals import vitals
from providers.effort import Effort
from providers.errors import CachetError
from providers.settings import NO_KEY_MODEL
from providers.types import ModelRef
from sessions import begin
from sessions.session import Session
from sessions.setup import Setup
from sessions.switch import Switch

SMALLEST = ModelRef.parse(NO_KEY_MODEL)
CAUTION = (
    "This model runs on your machine, without a key. It is far too small to code; it shows the chat and the "
    "cache at work. Its first answer takes longest. For real work set a key or start Ollama: agent models"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a chat begins. `session` is a file to resume, or to fork.

    `model` and `effort` are then only wishes to switch; a new session's effort is its setup's.
    """

    setup: Setup
    model: ModelRef | None
    effort: Effort | None = None
    session: Path | None = None
    fork: bool = False


class Chat:
    """Turns lines into turns, commands and shell runs."""

    def __init__(self, front: Front, desk: Desk) -> None:
        self._front = front
        self._desk = desk
        self._keep_warm = KeepWarm(front.prompt.refresh)
        self._began: float | None = None
        self._window: int | None = None

    @classmethod
    async def open(cls, front: Front, opening: Opening) -> Chat:
        """The chat on the opening's session. Raises CachetError."""
        prompt = front.prompt
        screen = Screen(Painter(lambda: prompt.width, opening.setup.environ), prompt.print)
        approval = Approval(prompt, screen, front.stop)
        session = await _session(opening, replace(opening.setup, ask=approval.ask))
        try:
            await _tell(screen, opening, session)
        except BaseException:
            await settled(session.close())
            raise
        front.completer.commands = tuple(CommandName(each.name, each.summary) for each in COMMANDS)
        made = cls(front, Desk(session, screen, prompt, lambda: made.settled(), prompt.exit))
        front.aside(_warm_up())
        made.settled()
        made._keep_warm.start(session)
        return made

    # --- what the front asks (cli.front.Worker) -------------------------------------------------------------

    def live(self, rows: int) -> str:
        return self._desk.screen.live(rows)

    def footer(self, width: int) -> tuple[Fragment, ...]:
        working = None if self._began is None else time.monotonic() - self._began
        values = vitals(self._desk.session, window=self._window, now=time.time())
        return footer(replace(values, working=working, streamed=self._desk.screen.streamed), width)

    def at_once(self, line: str) -> Coroutine[None, None, None] | None:
        match parse(line):
            case SlashCommand(name=name, argument=argument):
                command = find(name)
                if command is not None and command.anytime:
                    return self._guarded(command.run(self._desk, argument))
            case _:
                pass
        return None

    async def do(self, line: str) -> None:
        self._keep_warm.stop()
        try:
            await self._guarded(self._understand(line))
        finally:
            self._began = None
            self._keep_warm.start(self._desk.session)

    async def close(self) -> str:
        session = self._desk.session
        self._keep_warm.stop()
        await session.close()
        return f"Resume with: agent resume {session.id}" if session.path.exists() else ""

    # --- the work -------------------------------------------------------------------------------------------

    async def _understand(self, line: str) -> None:
        screen = self._desk.screen
        match parse(line):
            case SlashCommand(name=name, argument=argument):
                screen.prompt(plain(line))
                command = find(name)
                if command is None:
                    screen.error(f"No command /{name}. /help lists them.")
                else:
                    await command.run(self._desk, argument)
            case ShellCommand(command="") | Words(text=""):
                screen.note("Nothing to run. Try !command, or !!command to keep it from the model.")
            case ShellCommand(command=text, shared=shared):
                screen.prompt(plain(line))
                self._began = time.monotonic()
                await run_shell(self._desk, text, shared=shared)
            case Words() as words:
                screen.prompt(words.text)
                self._began = time.monotonic()
                await self._turn(words)

    async def _turn(self, words: Words) -> None:
        session, screen = self._desk.session, self._desk.screen
        attached = await asyncio.to_thread(attach, words.mentions, session.setup.workspace)
        for note in attached.notes:
            screen.note(note)
        for text in attached.texts:
            session.add_context(text)
        for path in attached.paths:
            session.saw(path)
        if cost := await expired(session):
            screen.note(f"{cost} · Esc stops it, /new begins without it")
        async with aclosing(session.turn(words.text, attached.images)) as events:
            async for event in events:
                screen.show(event)
                self._front.prompt.refresh()

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        """Do it; whatever goes wrong is one line, and the chat goes on."""
        screen = self._desk.screen
        try:
            await work
        except asyncio.CancelledError:
            screen.stopped("Stopped. What came so far is kept.")
            raise
        except (CachetError, CheckpointError, OSError) as error:
            screen.stopped("")
            screen.error(explain(error))
        except Exception as error:  # a fault of ours must not take the session along
            screen.stopped("")
            screen.error(f"{type(error).__name__}: {error}. A fault in Cachet; the session goes on.")

    def settled(self) -> None:
        """The session or its model is another one."""
        self._window = None
        self._front.aside(self._get_ready(self._desk.session))
        self._front.prompt.refresh()

    async def _get_ready(self, session: Session) -> None:
        """Import the SDK and ask for the context window while the person types."""
        try:
            await session.provider.prepare()
            window = await session.context_window()
        except (CachetError, OSError) as error:
            self._desk.screen.error(explain(error))
            return
        if session is self._desk.session:
            self._window = window
            self._front.prompt.refresh()


async def _session(opening: Opening, setup: Setup) -> Session:
    if opening.session is None:
        assert opening.model is not None, "a new session needs a model"
        return await begin.start(setup, opening.model)
    opened = begin.fork if opening.fork else begin.resume
    return await opened(setup, opening.session, switch=Switch(model=opening.model, effort=opening.effort))


async def _tell(screen: Screen, opening: Opening, session: Session) -> None:
    """What a person has to know before they go on with the session."""
    for repair in session.repairs:
        screen.note(repair)
    if opening.session is not None:
        screen.note(_resumed(session))
    if session.left is not None and (cost := await rereading(session, session.prefix, session.left)):
        screen.note(f"{cost}.")
    if session.model == SMALLEST:
        screen.note(CAUTION)


def _resumed(session: Session) -> str:
    what = session.title or figures.plural(session.state.turn_count, "turn")
    return f"Resumed {session.id}: {what}, {session.model}"


async def _warm_up() -> None:
    """Load what the first answer needs, now that the prompt stands."""
    for module in ("rich.markdown", "rich.table", "rich.padding"):
        await asyncio.to_thread(importlib.import_module, module)
