"""A session: the one place where the loop, the journal and the checkpoints meet."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from agent.events import Event
from agent.lifetimes import Choice
from agent.parts import Part
from agent.permissions import Policy
from agent.room import Room
from agent.secrets import Redactor
from agent.settled import settled
from agent.state import AgentState
from agent.summary import is_summary
from checkpoint.types import Snapshot
from providers.provider import Provider
from providers.types import Image, Message, ModelRef, Prefix, Usage
from sessions.affinity import Affinity
from sessions.bill import Bill, Cost, cost_of
from sessions.cachebook import CacheBook
from sessions.chronicle import Chronicle
from sessions.dialogue import Dialogue
from sessions.gate import Gate
from sessions.keeper import Keeper, RewindPlan, Rewound
from sessions.mainlane import MainLane
from sessions.milestones import Milestones
from sessions.outlook import Outlook, outlook_live
from sessions.preface import Preface
from sessions.records import CallLine
from sessions.reversal import Reversal
from sessions.seen import Versions
from sessions.setup import Setup
from sessions.switch import Switch
from sessions.traffic import Reached
from sessions.turns import Turns
from sessions.warming import Warming


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
        self._cache = cache or CacheBook(setup.home)
        self._dialogue = Dialogue(state, prefix, provider, reached or {}, self._cache)
        self._chronicle = chronicle
        self._keeper = keeper
        self._affinity = affinity
        self._bill = Bill(session_id, calls, setup.limits, setup.rates, setup.paid)
        scratch = setup.home.resolve() / "scratch" / session_id
        self._gate = Gate(setup, replace(policy, readable=(*policy.readable, scratch)), chronicle)
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
        self._turns = Turns(
            setup,
            scratch,
            dialogue=self._dialogue,
            chronicle=chronicle,
            keeper=keeper,
            lane=self._lane,
            preface=self._preface,
            milestones=self._milestones,
            bill=self._bill,
            cache=self._cache,
        )

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
        return self._dialogue.filled

    @property
    def sent_at(self) -> float | None:
        """When a call last sent it, seconds since the epoch; a fork's at first one of the other session."""
        return self._cache.latest.started if self._cache.latest else None

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
        return outlook_live(self._cache, self._dialogue, prefix, now)

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

    def turn(self, prompt: str, images: tuple[Image, ...] = ()) -> AsyncGenerator[Event, None]:
        """Send a prompt and do what the model wants until it is done (`Turns.take`)."""
        return self._turns.take(prompt, images)

    def compact(self, keep: str = "") -> AsyncGenerator[Event, None]:
        """Put a summary in the conversation's place; `keep` says what it must hold (`Turns.compact`)."""
        return self._turns.compact(keep)

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
        with self._turns.alone():
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
        with self._turns.alone():
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
        """End the session but leave its provider open for another.

        A cancellation is raised once the journal is whole and free, whatever of this fails.
        """
        await settled(self._let_go())

    async def close(self) -> None:
        """End the session: its engine, its connections, its lock. The journal stays.

        A cancellation is raised as by `release`; one more gives up waiting for the provider.
        """
        try:
            await self.release()
        finally:
            await self._part_with(self.provider)

    async def discard(self) -> None:
        """End a new session that did not come to be: its journal goes, too."""
        try:
            self._chronicle.discard()
        finally:
            await self.close()

    async def _let_go(self) -> None:
        async with AsyncExitStack() as last_first:
            last_first.callback(self._affinity.release)
            last_first.callback(self._chronicle.close)
            last_first.push_async_callback(self._keeper.close)
            await self.warming.close()

    async def _part_with(self, provider: Provider) -> None:
        if not self._setup.shared_providers:
            await provider.aclose()
