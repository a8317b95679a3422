"""The chat: the session, the screen and the input line put together."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections import deque
from collections.abc import Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from checkpoint.types import CheckpointError
from cli.approval import Approval
from cli.attach import attach
from cli.commands import COMMANDS, find
from cli.completion import CommandName, LineCompleter
from cli.desk import Desk
from cli.failure import explain
from cli.footer import Fragment, footer
from cli.input import Prompt, Wiring
from cli.mentions import ShellCommand, SlashCommand, Words, parse
from cli.paint import Painter
from cli.paste import pasted, plain
from cli.screen import Screen
from cli.shell import run_shell
from cli.vitals import vitals
from providers.errors import CachetError
from providers.types import ModelRef
from sessions import begin
from sessions.setup import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a chat begins. `session` is a file to resume, or to fork; `model` is then only a wish to switch."""

    setup: Setup
    model: ModelRef | None
    prompt: str | None = None
    """Sent first; nothing in it is a mention or a command."""
    session: Path | None = None
    fork: bool = False


async def chat(opening: Opening) -> int:
    """Chat until the person leaves; the exit code. Raises CachetError when no session could be opened."""
    return await Chat(opening).run()


class Chat:
    """Takes lines from the prompt one after the other and turns them into turns, commands and shell runs."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._lines: deque[str] = deque()
        self._arrived = asyncio.Event()
        self._job: asyncio.Task[None] | None = None
        self._began: float | None = None
        self._beside: set[asyncio.Task[None]] = set()
        self._desk: Desk | None = None
        self._window: int | None = None
        names = tuple(CommandName(command.name, command.summary) for command in COMMANDS)
        completer = LineCompleter(opening.setup.workspace.root, names)
        self._prompt = Prompt(self._wiring(), completer, opening.setup.home / "history")
        self._screen = Screen(Painter(lambda: self._prompt.width, opening.setup.environ), self._prompt.print)
        approval = Approval(self._prompt, self._screen, self._stop)
        self._setup = replace(opening.setup, ask=approval.ask)

    async def run(self) -> int:
        reading = asyncio.create_task(self._prompt.run(lambda: self._aside(self._warm_up())))
        working = asyncio.create_task(self._work())
        try:
            await asyncio.wait({reading, working}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end(reading, working)
        return 0

    # --- the prompt's side ----------------------------------------------------------------------------------

    def _wiring(self) -> Wiring:
        return Wiring(
            live=lambda rows: self._screen.live(rows),
            footer=self._footer,
            queued=lambda: tuple(self._lines),
            submit=self._submit,
            recall=lambda: self._lines.pop(),
            working=lambda: self._job is not None,
            stop=self._stop,
            quit=lambda: self._prompt.exit(),
        )

    def _footer(self, width: int) -> tuple[Fragment, ...]:
        working = None if self._began is None else time.monotonic() - self._began
        session = self._desk.session if self._desk else None
        wish = self._opening.model.name if self._opening.model else "…"
        values = vitals(session, wish, self._setup.policy, window=self._window, now=time.time())
        return footer(replace(values, working=working, streamed=self._screen.streamed), width)

    def _submit(self, line: str) -> None:
        match parse(line):
            case SlashCommand(name=name, argument=argument) if self._desk and self._job:
                command = find(name)
                if command is not None and command.anytime:
                    self._aside(self._guarded(command.run(self._desk, argument)))
                    return
            case _:
                pass
        self._lines.append(line)
        self._arrived.set()
        self._prompt.refresh()

    def _stop(self) -> None:
        """End the turn, command or shell run at work; lines that waited come back to the input."""
        if self._job is None:
            return
        self._job.cancel()
        if self._lines:
            self._prompt.fill("\n".join(self._lines))
            self._lines.clear()

    # --- the work -------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Open the session, then do line after line."""
        desk = await self._open()
        if self._opening.prompt:
            self._lines.appendleft(pasted(self._opening.prompt))
            self._arrived.set()
        while True:
            await self._arrived.wait()
            while self._lines:
                await self._do(desk, self._lines.popleft())
            self._arrived.clear()

    async def _open(self) -> Desk:
        setup, model, path = self._setup, self._opening.model, self._opening.session
        if path is None:
            assert model is not None, "a new session needs a model"
            session = await begin.start(setup, model)
        elif self._opening.fork:
            session = await begin.fork(setup, path, model=model)
        else:
            session = await begin.resume(setup, path, model=model)
        self._desk = Desk(session, self._screen, self._prompt, self._settled, self._prompt.exit)
        for repair in session.repairs:
            self._screen.note(repair)
        if path is not None:
            turns = session.state.turn_count
            self._screen.note(f"Resumed {session.id}: {session.title or f'{turns} turns'}, {session.model}")
        self._settled()
        return self._desk

    async def _do(self, desk: Desk, line: str) -> None:
        self._job = asyncio.create_task(self._guarded(self._understand(desk, line)))
        self._began = time.monotonic()
        try:
            await asyncio.wait({self._job})
        finally:
            if not self._job.done():
                self._job.cancel()
                await asyncio.wait({self._job})
            self._job, self._began = None, None
            self._prompt.refresh()

    async def _understand(self, desk: Desk, line: str) -> None:
        match parse(line):
            case SlashCommand(name=name, argument=argument):
                self._screen.prompt(plain(line))
                command = find(name)
                if command is None:
                    self._screen.error(f"No command /{name}. /help lists them.")
                else:
                    await command.run(desk, argument)
            case ShellCommand(command="") | Words(text=""):
                self._screen.note(
                    "Nothing to run. !command runs a command, !!command without telling the model."
                )
            case ShellCommand(command=text, shared=shared):
                self._screen.prompt(plain(line))
                await run_shell(desk, text, shared=shared)
            case Words() as words:
                await self._turn(desk, words)

    async def _turn(self, desk: Desk, words: Words) -> None:
        self._screen.prompt(words.text)
        attached = await asyncio.to_thread(attach, words.mentions, desk.session.setup.workspace)
        for note in attached.notes:
            self._screen.note(note)
        for text in attached.texts:
            desk.session.add_context(text)
        for path in attached.paths:
            desk.session.saw(path)
        async with aclosing(desk.session.turn(words.text, attached.images)) as events:
            async for event in events:
                self._screen.show(event)
                self._prompt.refresh()

    # --- beside the work ------------------------------------------------------------------------------------

    def _aside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def _settled(self) -> None:
        """The session or its model is another one."""
        self._window = None
        self._aside(self._get_ready())
        self._prompt.refresh()

    async def _get_ready(self) -> None:
        """Import the SDK and ask for the context window while the person types."""
        assert self._desk is not None
        session = self._desk.session
        try:
            await session.provider.prepare()
            self._window = await session.context_window()
        except (CachetError, OSError) as error:
            self._screen.error(str(error))
        self._prompt.refresh()

    async def _warm_up(self) -> None:
        """Load what the first answer needs, now that the prompt stands."""
        for module in ("rich.markdown", "rich.table", "rich.padding"):
            await asyncio.to_thread(importlib.import_module, module)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        """Do it; whatever goes wrong is one line, and the chat goes on."""
        try:
            await work
        except asyncio.CancelledError:
            self._screen.stopped("Stopped. What came so far is kept.")
            raise
        except (CachetError, CheckpointError, OSError) as error:
            self._screen.stopped("")
            self._screen.error(explain(error))
        except Exception as error:  # a fault of ours must not take the session along
            self._screen.stopped("")
            self._screen.error(
                f"{type(error).__name__}: {error}. This is a fault in Cachet; the session goes on."
            )

    async def _end(self, reading: asyncio.Task[None], working: asyncio.Task[None]) -> None:
        """Stop what runs, close the session, and say how to come back. Raises what ended the chat."""
        failed = working.done()
        self._prompt.exit()
        working.cancel()
        for task in self._beside:
            task.cancel()
        await asyncio.gather(reading, working, *self._beside, return_exceptions=True)
        if self._desk is not None:
            session = self._desk.session
            await session.close()
            if session.path.exists() and not isinstance(reading.exception(), EOFError):
                print(f"Resume with: agent resume {session.id}")
        if failed:
            working.result()
