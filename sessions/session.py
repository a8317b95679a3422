"""A session: the one place where the loop, the journal and the checkpoints meet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from agent.compaction import Compaction
from agent.events import (
    CacheMissed,
    CallFinished,
    CheckpointMade,
    Compacted,
    Event,
    TurnFinished,
    TurnStarted,
)
from agent.host import CallMade, Fact, HistoryCompacted, Lane, LaneHost, MessageAdded, Verdict
from agent.lifetimes import Choice
from agent.loop import run
from agent.parts import Part, shares
from agent.permissions import Policy
from agent.prompt import SYSTEM, opening
from agent.recording import INTERRUPTED, Recorder
from agent.rig import Rig
from agent.room import Room, measured
from agent.secrets import Redactor, child_environment
from agent.settled import settled
from agent.state import AgentState
from agent.summary import is_summary
from agent.tools.contract import FilesSeen, Intent
from checkpoint.types import CheckpointError, Snapshot
from providers.call import new_id
from providers.errors import CachetError, ProviderError
from providers.provider import Provider, Settles
from providers.types import Image, Message, ModelRef, Prefix, Request, Text, ToolCall, Usage
from sessions.bill import Bill, Cost, cost_of
from sessions.cachebook import CacheBook
from sessions.chronicle import Chronicle
from sessions.gate import Gate
from sessions.journal import JournalError, read
from sessions.keeper import Keeper, Moment, RewindPlan, Rewound
from sessions.lane import Beside
from sessions.outlook import Outlook, outlook
from sessions.records import CallLine
from sessions.rehydrate import Reached, rehydrate
from sessions.seen import TOPIC, Versions, news
from sessions.setup import Limits, Setup
from sessions.switch import Switch

SMALLEST_WINDOW = 3_000
"""Tokens. No model that can call tools has a context window smaller than 4,096."""


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
        calls: list[CallLine],
        policy: Policy,
        title: str = "",
        repairs: tuple[str, ...] = (),
        reached: Mapping[Prefix | None, Reached] | None = None,
        cache: CacheBook | None = None,
        left: Prefix | None = None,
        seen: Versions | None = None,
    ) -> None:
        self._setup = setup
        self.id = session_id
        self.prefix = prefix
        self.provider = provider
        self.state = state
        self._scratch = setup.home.resolve() / "scratch" / session_id
        self._bill = Bill(session_id, calls, setup.limits, setup.rates, setup.paid)
        reading = replace(policy, readable=(*policy.readable, self._scratch))
        self._gate = Gate(setup, reading, chronicle)
        self.title = title
        self.repairs = repairs
        """What reading the journal mended or skipped, one line each."""
        self.left = left
        """The prefix that the journal ends with, where this session was opened with another one."""
        self._reached = dict(reached or {})
        self._cache = cache or CacheBook(setup.home)
        self._chronicle = chronicle
        self._keeper = keeper
        self._redactor = Redactor.of(setup.environ, setup.secrets)
        self._environment = child_environment(setup.environ, pass_env=setup.pass_env)
        self._seen = FilesSeen(dict(seen or {}))
        self._seen_noted: Versions = {}
        self._pending_context: list[str] = []
        self._context_sent = 0
        """How many of these stand before the prompt that is being sent."""
        self._one_call = asyncio.Lock()
        self._turn: str | None = None
        self._at_work = False
        self._window: int | None = None

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
    def model(self) -> ModelRef:
        return self.prefix.model

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
        calls = (reached.call for reached in self._reached.values())
        latest = max(calls, key=lambda call: call.started, default=None)
        return latest.usage.total_tokens if latest else measured(self._request(), None, None).filled

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

    def reached(self, prefix: Prefix) -> CallLine | None:
        """The latest answered call of the live conversation on this prefix, whose prompt was cached then."""
        found = self._reached.get(prefix)
        return found.call if found else None

    async def context_window(self) -> int | None:
        """The model's context window in tokens, asked once."""
        if self._window is None:
            self._window = await self.provider.context_window(self.model.name)
        return self._window

    def checkpoints(self) -> tuple[Snapshot, ...]:
        return self._keeper.snapshots()

    # --- a turn ---------------------------------------------------------------------------------------------

    def add_context(self, text: str) -> None:
        """Put this before the next prompt: a command's output, or what a rewind changed."""
        self._pending_context.append(text)

    def saw(self, path: Path) -> None:
        """The model is about to see this file as it is on disk: it may change it without reading it again."""
        self._seen.note(path)

    async def turn(self, prompt: str, images: tuple[Image, ...] = ()) -> AsyncGenerator[Event, None]:
        """Send a prompt and do what the model wants until it is done.

        A checkpoint is made at the end, also of a turn that failed or was cancelled. Raises what `agent.run`
        raises, after everything is recorded, and TurnUnderWay while another turn is at work.
        """
        self._require_idle()
        self._at_work = True
        try:
            async with aclosing(self._take_turn(prompt, images)) as events:
                async for event in events:
                    yield event
        finally:
            self._at_work = False

    async def compact(self, keep: str = "") -> AsyncGenerator[Event, None]:
        """Put a summary in the conversation's place; `keep` says what it must hold above all.

        The messages it stands for stay in the journal, and a rewind to before brings them back. What fails or
        is cancelled changes nothing but the bill. Raises NothingToCompact, CompactionFailed, TurnUnderWay,
        and what a turn raises.
        """
        self._require_idle()
        self._at_work = True
        try:
            self._turn = None
            recorder, rig = Recorder(self.state, self), self._rig()
            await recorder.answer_open(INTERRUPTED)
            compaction = Compaction(self.state, self, rig, recorder)
            room = await self.room()
            async with aclosing(compaction.events(room, "as you asked", self.redact(keep))) as events:
                async for event in events:
                    for told in await self._with_costs(event):
                        yield told
            snapshot = await settled(self._finish_turn("/compact"))
            yield CheckpointMade(snapshot.number, str(snapshot.path), snapshot.files_off)
        finally:
            self._at_work = False

    async def room(self) -> Room:
        """How much of the context window the conversation fills as it is now."""
        return await self._gauge(self._request())

    def parts(self, filled: int) -> dict[Part, int]:
        """Tokens of each part of the conversation, which fills so many; system prompt and tools are parts."""
        return shares(self._request(), filled)

    def _request(self) -> Request:
        """What the next call would send if it were made now."""
        return Request(
            prefix=self.prefix,
            messages=tuple(self.state.messages),
            previous_end=self.state.previous_end,
        )

    async def _gauge(self, request: Request) -> Room:
        found = self._reached.get(self.prefix)
        counted = found.call.usage if found and found.end == request.previous_end else None
        room = measured(request, None, counted)
        if room.filled < SMALLEST_WINDOW:
            return room  # any window has room for it: the endpoint needn't be asked
        with suppress(ProviderError):
            return replace(room, window=await self.context_window())
        return room

    async def _with_costs(self, event: Event) -> tuple[Event, ...]:
        """The event as it is told: a call with what it missed in the cache, a compaction with its dollars."""
        match event:
            case CallFinished():
                missed = self._missed(event)
                return (event, missed) if missed else (event,)
            case Compacted(anew=anew):
                made = [call for call in self.calls if call.purpose == "compaction"][-1:]
                now = time.time()
                next_call = replace(self.outlook(self.prefix, now), prompt=anew, held=0)
                cost = await asyncio.to_thread(next_call.cost, self._bill.rates, now)
                return (replace(event, cost=made[0].cost if made else None, anew_cost=cost),)
            case _:
                return (event,)

    def _missed(self, event: CallFinished) -> CacheMissed | None:
        """What to tell of a call that read less from the cache than it could have."""
        line = self.calls[-1] if self.calls else None
        if line is None or line.id != event.report.id or line.miss is None:
            return None
        miss = line.miss
        return CacheMissed(miss.cause, miss.detail, miss.tokens, miss.cost)

    def _require_idle(self) -> None:
        if self._at_work:
            raise TurnUnderWay("This session is at work on a turn. Wait for its end, or stop it first.")

    async def _take_turn(self, prompt: str, images: tuple[Image, ...]) -> AsyncGenerator[Event, None]:
        await self._settle()
        message = Message(new_id("msg"), "user", (*await self._before_prompt(), *images, Text(prompt)))
        self._turn = message.id
        before = self._moment("")
        events = run(self.state, message, self, self._rig())
        finished: TurnFinished | None = None
        try:
            async with aclosing(events):
                async for event in events:
                    if not isinstance(event, TurnStarted):  # by then the request is on its way
                        self._keeper.begin(before)
                    if isinstance(event, TurnFinished):
                        finished = event
                        continue
                    for told in await self._with_costs(event):
                        yield told
        except BaseException:
            self._keeper.begin(before)
            with suppress(CheckpointError, JournalError):  # what ended the turn is what its caller must hear
                await settled(self._finish_turn(prompt))
            raise
        self._keeper.begin(before)
        snapshot = await settled(self._finish_turn(prompt))
        yield CheckpointMade(snapshot.number, str(snapshot.path), snapshot.files_off)
        if finished is not None:
            self._bill.check_cut(finished.stop_reason)
            yield finished

    async def _settle(self) -> None:
        """Freeze the parameters that only the endpoint can tell, before the first call on a prefix."""
        fixed = self.prefix.parameters.context_window is not None or self.prefix in self._reached
        if fixed or not isinstance(self.provider, Settles):
            return
        parameters = await self.provider.settled(self.model.name, self.prefix.parameters)
        if parameters != self.prefix.parameters:
            self.prefix, self._window = replace(self.prefix, parameters=parameters), None
            self.state.previous_end = self._previous_end()
            self._chronicle.begin_with(self.prefix)

    async def _before_prompt(self) -> list[Text]:
        """The blocks that stand before what the person wrote, in the same message."""
        context = list(self._pending_context)
        self._context_sent = len(context)
        if not self.state.messages:
            now = datetime.now().astimezone()
            text = await asyncio.to_thread(opening, self._setup.workspace, now=now, home=self._setup.home)
            context.insert(0, text)
        return [Text(self._redactor.redact(text)) for text in context]

    def _rig(self) -> Rig:
        return Rig(
            provider=self.provider,
            prefix=self.prefix,
            toolbox=self._setup.toolbox,
            workspace=self._setup.workspace,
            environment=self._environment,
            scratch=self._scratch,
            seen=self._seen,
            retry=self._setup.retry,
            gauge=self._gauge,
        )

    async def _finish_turn(self, prompt: str) -> Snapshot:
        await asyncio.to_thread(self._cache.turn_ended)
        snapshot = await self._keeper.snapshot(self._moment(prompt))
        if told := news(self._seen_noted, self._seen.versions):
            # The line of the checkpoint, which follows, takes it along to the disk.
            await self._chronicle.note(TOPIC, "", told, sync=False)
            self._seen_noted = dict(self._seen.versions)
        await self._chronicle.checkpoint(snapshot)
        return snapshot

    def _moment(self, prompt: str) -> Moment:
        """Where the conversation and the bill stand now."""
        return Moment(
            state=replace(self.state, messages=[]),
            message=self._chronicle.head,
            prompt=prompt,
            model=str(self.model),
            cost=self.cost.exact,
            known_cost=self.cost.known,
        )

    # --- what the loop awaits (agent.host.Host) -------------------------------------------------------------

    async def record(self, fact: Fact) -> None:
        match fact:
            case MessageAdded(message, call_id):
                await self._chronicle.message(message, call=call_id, turn=self._turn)
                if message.id == self._turn:
                    del self._pending_context[: self._context_sent]
            case HistoryCompacted(summary, replaced):
                await self._chronicle.compaction(summary, replaced, turn=self._turn)
                self._cache.record.compacted()
                self._reached = {}
            case CallMade(report, sent):
                messages = self.state.messages if sent is None else sent
                kept, miss = self._cache.booked(report, self.prefix, messages, self._turn)
                line = await self._chronicle.priced(report, self.model, kept=kept or "", miss=miss)
                self.calls.append(line)
                if line.purpose == "main" and line.answered:
                    self._reached[self.prefix] = Reached(line, self.state.previous_end)
                await self._chronicle.book(line)

    async def before_call(self, request: Request) -> Request:
        request = self._cache.planned(request, time.time())
        if self._bill.limits == Limits():
            return request
        limit = await asyncio.to_thread(self._bill.allowance, request, time.time())
        return replace(request, max_output_tokens=limit)

    async def permit(self, call: ToolCall, intent: Intent) -> Verdict:
        return await self._gate.permit(call, intent)

    async def before_tool(self, call: ToolCall, intent: Intent) -> None:
        await self._keeper.before_change(intent.paths)

    def lane(self, lane: Lane) -> LaneHost:
        return Beside(
            lane_of=lane,
            session=self,
            prefix=self.prefix,
            turn=self._turn,
            chronicle=self._chronicle,
            bill=self._bill,
            cache=self._cache.beside(lane.id),
            gate=self._gate,
            one_call=self._one_call,
        )

    def redact(self, text: str) -> str:
        return self._redactor.redact(text)

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
        other ends in a checkpoint: no earlier one has these files at this place. Raises CheckpointError.
        """
        snapshot = self._keeper.load(number)
        rewound = await self._keeper.rewind(number, keep) if files else Rewound.nothing(number)
        if conversation:
            await self._cut_after(snapshot.message, f"rewind to checkpoint {number}")
        if files:
            self._seen.versions, self._seen_noted = {}, {}
        if files and not conversation:
            self.add_context(f"[The person brought the files back to how they were at checkpoint {number}.]")
        if conversation and not files:
            self.add_context(
                f"[The person took the conversation back to checkpoint {number}; the files stayed.]"
            )
        if files != conversation:
            await settled(self._finish_turn(f"/rewind {number} --{'files' if files else 'conversation'}"))
        return rewound

    async def undo(self) -> Rewound:
        """Back to before the latest live turn. Raises CheckpointError when there is none."""
        return await self.rewind(await self.before_last_turn())

    async def before_last_turn(self) -> int:
        """The checkpoint that `undo` goes to. Raises CheckpointError when there is no turn to undo."""
        told = rehydrate((await asyncio.to_thread(read, self.path)).records)
        if told.turn is None:
            raise CheckpointError("There is no turn to undo.")
        before = told.tree.chain(told.turn)[:-1]
        return self._keeper.number_at(before[-1].message.id if before else None)

    async def _cut_after(self, message: str | None, reason: str) -> None:
        """Move the conversation's end, and read back from the journal what is live then."""
        await self._chronicle.move_head(message, reason)
        told = rehydrate((await asyncio.to_thread(read, self.path)).records)
        self.state.messages[:] = told.state.messages
        self.state.turn_count = told.state.turn_count
        self._reached = dict(told.reached)
        self._cache.record.rewound()
        self._seen.versions, self._seen_noted = dict(told.seen), told.seen
        self.state.previous_end = self._previous_end()

    def after(self, switch: Switch) -> Prefix:
        """The prefix that a switch would make. Raises ConfigurationError."""
        return self._after(switch)[0]

    async def switch(self, switch: Switch) -> None:
        """Go on with another model or effort: a new prefix, so its cache starts cold.

        A prefix that the conversation was sent on before is the same again, and reads what is left of it.
        Raises ConfigurationError, and TurnUnderWay.
        """
        self._require_idle()
        prefix, provider = self._after(switch)
        if prefix == self.prefix:
            return
        if provider is not self.provider:
            await self.provider.aclose()
        self.prefix, self.provider, self._window = prefix, provider, None
        self.state.previous_end = self._previous_end()
        self._chronicle.begin_with(prefix)

    def _after(self, switch: Switch) -> tuple[Prefix, Provider]:
        prefix = switch.of(self.prefix)
        if prefix.model == self.model:
            return prefix, self.provider
        provider = self._setup.providers(prefix.model.provider)
        return replace(prefix, encoder=provider.encoder), provider

    def _previous_end(self) -> str | None:
        found = self._reached.get(self.prefix)
        return found.end if found else None

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
        await self._keeper.close()
        self._chronicle.close()

    async def close(self) -> None:
        """End the session: its engine, its connections, its lock. The journal stays."""
        await self.release()
        await self.provider.aclose()


def fresh_prefix(setup: Setup, model: ModelRef, provider: Provider, affinity_key: str) -> Prefix:
    """The prefix of a new session, frozen from now on."""
    return Prefix(
        model=model,
        system=SYSTEM,
        tools=setup.toolbox.specs,
        parameters=setup.parameters,
        encoder=provider.encoder,
        affinity_key=affinity_key,
    )


def new_session_id(now: float | None = None) -> str:
    """An id a person can type the start of: local date and time, then four hex digits."""
    moment = time.localtime(now)
    return time.strftime("%Y%m%d-%H%M%S", moment) + f"-{new_id('s')[-4:]}"
