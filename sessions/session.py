"""A session: the one place where the loop, the journal and the checkpoints meet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from agent.compaction import Compaction
from agent.events import CallFinished, Compacted, Event, TurnFinished, TurnStarted
from agent.lifetimes import Choice
from agent.loop import run
from agent.parts import Part
from agent.permissions import Policy
from agent.recording import INTERRUPTED, Recorder
from agent.rig import Rig
from agent.room import Room
from agent.secrets import Redactor, child_environment
from agent.state import AgentState
from agent.summary import is_summary
from checkpoint.types import CheckpointError, Snapshot
from providers.call import new_id
from providers.errors import CachetError
from providers.provider import Provider
from providers.types import Image, Message, ModelRef, Prefix, Text, Usage
from sessions import telling
from sessions.affinity import Affinity
from sessions.bill import Bill, Cost, cost_of
from sessions.cachebook import CacheBook
from sessions.chronicle import Chronicle
from sessions.dialogue import Dialogue
from sessions.gate import Gate
from sessions.journal import JournalError
from sessions.keeper import Keeper, RewindPlan, Rewound
from sessions.mainlane import MainLane
from sessions.milestones import Milestones
from sessions.outlook import Outlook, outlook
from sessions.preface import Preface
from sessions.records import CallLine
from sessions.reversal import Reversal
from sessions.seen import Versions
from sessions.setup import Setup
from sessions.switch import Switch
from sessions.traffic import Reached
from sessions.warming import Warming


class TurnUnderWay(CachetError):
    """A session does one turn at a time."""


class Session:
    """One conversation with its files and its bill. Made by `sessions.begin`; one turn at a time."""

    def __init__(
        self,
        *,
        setup: Setup,
        session_id: str,
        prefix: Prefix,
        provider: Provider,
        state: AgentState,
        chronicle: Chronicle,
        keeper: Keeper,
        affinity: Affinity,
        calls: list[CallLine],
        policy: Policy,
        title: str = "",
        repairs: tuple[str, ...] = (),
        reached: Mapping[Prefix | None, Reached] | None = None,
        cache: CacheBook | None = None,
        left: Prefix | None = None,
        seen: Versions | None = None,
        untold: tuple[str, ...] = (),
    ) -> None:
        self._setup = setup
        self.id = session_id
        self.title = title
        self.repairs = repairs
        """What reading the journal mended or skipped, one line each."""
        self.left = left
        """The prefix that the journal ends with, where this session was opened with another one."""
        self._dialogue = Dialogue(state, prefix, provider, reached or {})
        self._chronicle = chronicle
        self._keeper = keeper
        self._affinity = affinity
        self._bill = Bill(session_id, calls, setup.limits, setup.rates, setup.paid)
        self._cache = cache or CacheBook(setup.home)
        self._scratch = setup.home.resolve() / "scratch" / session_id
        self._gate = Gate(setup, replace(policy, readable=(*policy.readable, self._scratch)), chronicle)
        redactor = Redactor.of(setup.environ, setup.secrets)
        self._preface = Preface(setup.workspace, setup.home, redactor, untold)
        self._lane = MainLane(
            dialogue=self._dialogue,
            chronicle=chronicle,
            keeper=keeper,
            bill=self._bill,
            cache=self._cache,
            gate=self._gate,
            preface=self._preface,
            redactor=redactor,
        )
        self._milestones = Milestones(self._dialogue, chronicle, keeper, self._bill, self._cache, seen or {})
        self._reversal = Reversal(
            self._dialogue, chronicle, keeper, self._cache, self._milestones, self._preface
        )
        self.warming = Warming(self._dialogue, chronicle, self._bill, self._cache)
        self._at_work = False

    # --- faces ----------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The journal's file; it is there once the first prompt was sent."""
        return self._chronicle.path

    @property
    def setup(self) -> Setup:
        """What a session in this one's place begins with: the policy in force now, and what the run paid."""
        return replace(self._setup, policy=self.policy, paid=self._bill.made)

    @property
    def cwd(self) -> Path:
        return self._setup.workspace.root

    @property
    def state(self) -> AgentState:
        return self._dialogue.state

    @property
    def prefix(self) -> Prefix:
        """What every request begins with; `switch` makes another one of it."""
        return self._dialogue.prefix

    @property
    def provider(self) -> Provider:
        return self._dialogue.provider

    @property
    def model(self) -> ModelRef:
        return self.prefix.model

    @property
    def head(self) -> str | None:
        """Id of the conversation's last message in the journal."""
        return self._chronicle.head

    @property
    def usage(self) -> Usage:
        """What was billed to date."""
        return self.state.usage

    @property
    def calls(self) -> list[CallLine]:
        """The ledger: every model call that this session paid for, in order."""
        return self._bill.calls

    @property
    def last_call(self) -> CallLine | None:
        """The latest call of the main conversation that was answered."""
        return self._bill.latest

    @property
    def cost(self) -> Cost:
        return cost_of(self.calls)

    @property
    def policy(self) -> Policy:
        """Who may do what from now on; assign another one to change the mode."""
        return self._gate.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._gate.policy = policy

    @property
    def context_tokens(self) -> int:
        """Tokens that the conversation fills of the context window, as of its last call.

        An estimate where none of its calls sent it as it is now: after a compaction.
        """
        if not self.state.messages or self.last_call is None:
            return 0
        return self._dialogue.filled

    @property
    def warm_until(self) -> float | None:
        """When the provider's cache entry expires, seconds since the epoch; None where it doesn't say.

        None also where this model with this effort has answered nothing yet: what another one keeps is of no
        use to it.
        """
        return self._cache.warm_until(self.prefix, self.state.messages)

    @property
    def cache_choice(self) -> Choice | None:
        """How the lifetime of the last call's end was chosen; None where the provider sells only one."""
        return self._cache.choice

    def outlook(self, prefix: Prefix, now: float) -> Outlook:
        """What the next call would find in the cache on this prefix, and cost. `now`: since the epoch."""
        found = outlook(self._cache, prefix, self.state.messages, self.last_call, now)
        filled = self.context_tokens or found.prompt
        return replace(found, prompt=filled, held=min(found.held, filled))

    def check_cache(self) -> None:
        """Raises BudgetReached where this run used the cache less than its limits demand."""
        self._bill.check_cache()

    async def context_window(self) -> int | None:
        """The model's context window in tokens, asked once."""
        return await self._dialogue.window()

    async def room(self) -> Room:
        """How much of the context window the conversation fills as it is now."""
        return await self._dialogue.room()

    def parts(self, filled: int) -> dict[Part, int]:
        """Tokens of each part of the conversation, which fills so many; system prompt and tools are parts."""
        return self._dialogue.parts(filled)

    def checkpoints(self) -> tuple[Snapshot, ...]:
        return self._keeper.snapshots()

    # --- a turn ---------------------------------------------------------------------------------------------

    def add_context(self, text: str) -> None:
        """Put this before the next prompt: a command's output, or what a rewind changed."""
        self._preface.add(text)

    def redacted(self, text: str) -> str:
        """The text as a model is sent it: without secrets."""
        return self._lane.redact(text)

    def saw(self, path: Path) -> None:
        """The model is about to see this file as it is on disk: it may change it without reading it again."""
        self._milestones.seen.note(path)

    async def turn(self, prompt: str, images: tuple[Image, ...] = ()) -> AsyncGenerator[Event, None]:
        """Send a prompt and do what the model wants until it is done.

        A checkpoint is made at the end, also of a turn that failed or was cancelled. Raises what `agent.run`
        raises, after everything is recorded, and TurnUnderWay while another turn is at work.
        """
        with self._one_at_a_time():
            async with aclosing(self._take_turn(prompt, images)) as events:
                async for event in events:
                    yield event

    async def compact(self, keep: str = "") -> AsyncGenerator[Event, None]:
        """Put a summary in the conversation's place; `keep` says what it must hold above all.

        The messages it stands for stay in the journal, and a rewind to before brings them back. What fails or
        is cancelled changes nothing but the bill. Raises NothingToCompact, CompactionFailed, TurnUnderWay,
        and what a turn raises.
        """
        with self._one_at_a_time():
            self._lane.turn = None
            recorder, rig = Recorder(self.state, self._lane), self._rig()
            await recorder.answer_open(INTERRUPTED)
            compaction = Compaction(self.state, self._lane, rig, recorder)
            room = await self.room()
            async with aclosing(compaction.events(room, "as you asked", self._lane.redact(keep))) as events:
                async for event in events:
                    for told in await self._told(event):
                        yield told
            yield await self._milestones.reached("/compact")

    async def _told(self, event: Event) -> tuple[Event, ...]:
        """The event as it is told: a call with what it missed in the cache, a compaction with its dollars."""
        match event:
            case CallFinished():
                missed = telling.missed(event, self.calls)
                return (event, missed) if missed else (event,)
            case Compacted():
                found = self.outlook(self.prefix, time.time())
                return (await asyncio.to_thread(telling.priced, event, self.calls, found, self._bill.rates),)
            case _:
                return (event,)

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if self._at_work:
            raise TurnUnderWay("This session is at work on a turn. Wait for its end, or stop it first.")
        self._at_work = True
        try:
            yield
        finally:
            self._at_work = False

    async def _take_turn(self, prompt: str, images: tuple[Image, ...]) -> AsyncGenerator[Event, None]:
        if await self._dialogue.settle():
            self._chronicle.begin_with(self.prefix)
        preface = await self._preface.blocks(first=not self.state.messages)
        message = Message(new_id("msg"), "user", (*preface, *images, Text(prompt)))
        self._lane.turn = message.id
        before = self._milestones.moment()
        events = run(self.state, message, self._lane, self._rig())
        finished: TurnFinished | None = None
        try:
            async with aclosing(events):
                async for event in events:
                    if not isinstance(event, TurnStarted):  # by then the request is on its way
                        self._keeper.begin(before)
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

    def _rig(self) -> Rig:
        return Rig(
            provider=self.provider,
            prefix=self.prefix,
            toolbox=self._setup.toolbox,
            workspace=self._setup.workspace,
            environment=child_environment(self._setup.environ, pass_env=self._setup.pass_env),
            scratch=self._scratch,
            seen=self._milestones.seen,
            retry=self._setup.retry,
            answer_tokens=self._setup.answer_tokens,
            gauge=self._dialogue.gauge if self._setup.auto_compact else None,
        )

    # --- going back, going elsewhere ------------------------------------------------------------------------

    async def preview_rewind(self, number: int) -> RewindPlan:
        """What a rewind to this checkpoint would change. Raises CheckpointError."""
        return await self._keeper.plan(number)

    async def rewind(
        self,
        number: int,
        *,
        files: bool = True,
        conversation: bool = True,
        keep: frozenset[str] = frozenset(),
    ) -> Rewound:
        """Bring back a checkpoint's files, conversation, or both; `keep` names files to leave alone.

        The files as they are now are captured first. Nothing billed is refunded. A rewind of one without the
        other ends in a checkpoint: no earlier one has these files at this place. A cancellation is raised
        after all is done. Raises CheckpointError, and TurnUnderWay.
        """
        with self._one_at_a_time():
            await self.warming.close()
            return await self._reversal.rewind(number, files=files, conversation=conversation, keep=keep)

    async def undo(self) -> Rewound:
        """Back to before the latest live turn. Raises CheckpointError when there is none."""
        return await self.rewind(await self.before_last_turn())

    async def before_last_turn(self) -> int:
        """The checkpoint that `undo` goes to. Raises CheckpointError when there is no turn to undo."""
        return await self._reversal.before_last_turn()

    def after(self, switch: Switch) -> Prefix:
        """The prefix that a switch would make. Raises ConfigurationError."""
        return self._after(switch)[0]

    async def switch(self, switch: Switch) -> None:
        """Go on with another model or effort: a new prefix, so its cache starts cold.

        A prefix that the conversation was sent on before is the same again, and reads what is left of it.
        A request that keeps the old one's cache warm is given up, and booked where it belongs. Raises
        ConfigurationError, and TurnUnderWay.
        """
        with self._one_at_a_time():
            prefix, provider = self._after(switch)
            if prefix == self.prefix:
                return
            await self.warming.close()
            before = self.provider
            self._dialogue.continue_on(prefix, provider)
            self._chronicle.begin_with(prefix)
            if provider is not before:
                await self._part_with(before)

    def _after(self, switch: Switch) -> tuple[Prefix, Provider]:
        prefix = switch.of(self.prefix)
        if prefix.model == self.model:
            return prefix, self.provider
        provider = self._setup.providers(prefix.model.provider)
        return replace(prefix, encoder=provider.encoder), provider

    async def set_title(self, title: str) -> None:
        self.title = title
        await self._chronicle.note("title", title)

    async def adopt(self, messages: list[Message]) -> None:
        """Take these messages into the conversation: a fork's, or the answers that a crash left out."""
        for message in messages:
            self.state.messages.append(message)
            if is_summary(message):
                await self._chronicle.compaction(message, ())
            else:
                await self._chronicle.message(message)

    async def release(self) -> None:
        """End the session but leave its provider open for another."""
        try:
            await self.warming.close()
            await self._keeper.close()
            self._chronicle.close()
        finally:
            self._affinity.release()

    async def close(self) -> None:
        """End the session: its engine, its connections, its lock. The journal stays."""
        await self.release()
        await self._part_with(self.provider)

    async def _part_with(self, provider: Provider) -> None:
        if not self._setup.shared_providers:
            await provider.aclose()
