"""The work of a session, one piece at a time: a turn, or a summary that was asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path

from agent.compaction import Compaction
from agent.events import CallFinished, Compacted, Event, TurnFinished, TurnStarted
from agent.loop import run
from agent.recording import INTERRUPTED, Recorder
from agent.rig import Rig
from agent.secrets import child_environment
from checkpoint.types import CheckpointError
from providers.call import new_id
from providers.errors import CachetError
from providers.types import Image, Message, Text
from sessions import telling
from sessions.bill import Bill
from sessions.cachebook import CacheBook
from sessions.chronicle import Chronicle
from sessions.dialogue import Dialogue
from sessions.journal import JournalError
from sessions.keeper import Keeper, Moment
from sessions.mainlane import MainLane
from sessions.milestones import Milestones
from sessions.outlook import outlook_live
from sessions.preface import Preface
from sessions.setup import Setup


class TurnUnderWay(CachetError):
    """A session does one turn at a time."""


class Turns:
    """Runs the loop for one session, and keeps what each turn came to."""

    def __init__(
        self,
        setup: Setup,
        scratch: Path,
        *,
        dialogue: Dialogue,
        chronicle: Chronicle,
        keeper: Keeper,
        lane: MainLane,
        preface: Preface,
        milestones: Milestones,
        bill: Bill,
        cache: CacheBook,
    ) -> None:
        """`scratch` is the folder that tools may fill with what is too long to be sent."""
        self._setup = setup
        self._scratch = scratch
        self._dialogue = dialogue
        self._chronicle = chronicle
        self._keeper = keeper
        self._lane = lane
        self._preface = preface
        self._milestones = milestones
        self._bill = bill
        self._cache = cache
        self._at_work = False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Around what changes the conversation. Raises TurnUnderWay while something else does."""
        if self._at_work:
            raise TurnUnderWay("This session is at work on a turn. Wait for its end, or stop it first.")
        self._at_work = True
        try:
            yield
        finally:
            self._at_work = False

    async def take(self, prompt: str, images: tuple[Image, ...]) -> AsyncGenerator[Event, None]:
        """Send a prompt and do what the model wants until it is done.

        A checkpoint is made at the end, also of a turn that failed or was cancelled. Raises what `agent.run`
        raises, after everything is recorded, and TurnUnderWay while another turn is at work.
        """
        with self.alone():
            if await self._dialogue.settle():
                self._chronicle.begin_with(self._dialogue.prefix)
            preface = await self._preface.blocks(first=not self._dialogue.state.messages)
            message = Message(new_id("msg"), "user", (*preface, *images, Text(prompt)))
            async with aclosing(self._worked(prompt, message)) as events:
                async for event in events:
                    yield event

    async def compact(self, keep: str) -> AsyncGenerator[Event, None]:
        """Put a summary in the conversation's place; `keep` says what it must hold above all.

        The messages it stands for stay in the journal, and a rewind to before brings them back. What fails or
        is cancelled changes nothing but the bill. Raises NothingToCompact, CompactionFailed, TurnUnderWay,
        and what a turn raises.
        """
        with self.alone():
            self._lane.turn = None
            state = self._dialogue.state
            recorder, rig = Recorder(state, self._lane), self._rig()
            await recorder.answer_open(INTERRUPTED)
            compaction = Compaction(state, self._lane, rig, recorder)
            room = await self._dialogue.room()
            async with aclosing(compaction.events(room, "as you asked", self._lane.redact(keep))) as events:
                async for event in events:
                    for told in await self._told(event):
                        yield told
            yield await self._milestones.reached("/compact")

    async def _worked(self, prompt: str, message: Message) -> AsyncGenerator[Event, None]:
        """The turn that this message begins, to its checkpoint."""
        self._lane.turn = message.id
        before = self._milestones.moment()
        finished: TurnFinished | None = None
        try:
            async with aclosing(self._run(message, before)) as events:
                async for event in events:
                    if isinstance(event, TurnFinished):
                        finished = event
                        continue
                    for told in await self._told(event):
                        yield told
        except BaseException:
            self._keeper.begin(before)
            with suppress(CheckpointError, JournalError):  # what ended the turn is what its caller must hear
                await self._milestones.reached(prompt)
            raise
        self._keeper.begin(before)
        yield await self._milestones.reached(prompt)
        if finished is not None:
            self._bill.check_cut(finished.stop_reason)
            yield finished

    async def _run(self, message: Message, before: Moment) -> AsyncGenerator[Event, None]:
        """What the loop tells; the files are looked at once the request is on its way."""
        async with aclosing(run(self._dialogue.state, message, self._lane, self._rig())) as events:
            async for event in events:
                if not isinstance(event, TurnStarted):
                    self._keeper.begin(before)
                yield event

    async def _told(self, event: Event) -> tuple[Event, ...]:
        """The event as it is told: a call with what it missed in the cache, a compaction with its dollars."""
        match event:
            case CallFinished():
                missed = telling.missed(event, self._bill.calls)
                return (event, missed) if missed else (event,)
            case Compacted():
                found = outlook_live(self._cache, self._dialogue, self._dialogue.prefix, time.time())
                return (
                    await asyncio.to_thread(telling.priced, event, self._bill.calls, found, self._bill.rates),
                )
            case _:
                return (event,)

    def _rig(self) -> Rig:
        setup = self._setup
        return Rig(
            provider=self._dialogue.provider,
            prefix=self._dialogue.prefix,
            toolbox=setup.toolbox,
            workspace=setup.workspace,
            environment=child_environment(setup.environ, pass_env=setup.pass_env),
            scratch=self._scratch,
            seen=self._milestones.seen,
            retry=setup.retry,
            answer_tokens=setup.answer_tokens,
            gauge=self._dialogue.gauge if setup.auto_compact else None,
        )
