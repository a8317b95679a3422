"""Sub-agents: each does one job in a conversation of its own, and hands back one answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

from agent.cache import lifetime
from agent.events import (
    CallFinished,
    Compacted,
    Compacting,
    Event,
    NotCompacted,
    Retrying,
    ToolStarted,
    TurnFinished,
)
from agent.host import Host, Lane, LaneHost, MessageAdded
from agent.prompt import opening_of
from agent.rig import Rig
from agent.state import AgentState
from agent.tools.contract import FilesSeen, Job, Outcome
from agent.tools.read import failure
from providers.call import new_id
from providers.errors import ContextOverflow, ProviderError
from providers.types import (
    Message,
    StopReason,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)

SIDE_BY_SIDE = 4
"""Sub-agents at work at once: more run into rate limits."""

ASSUMED_LIFETIME = 300.0
"""Seconds that a provider which doesn't say is taken to keep what it was sent."""

CUT_OFF = "\n[The answer was cut off at its output limit.]"

Run: TypeAlias = Callable[[AgentState, Message, Host, Rig], AsyncGenerator[Event]]
"""What `agent.loop.run` is."""


class Crew:
    """The sub-agents of one turn. `usage` is what those that are done were billed."""

    def __init__(self, run: Run, state: AgentState, host: Host, rig: Rig) -> None:
        self._run = run
        self._state = state
        self._host = host
        self._rig = rig
        self._seats = asyncio.Semaphore(SIDE_BY_SIDE)
        self._gate = _Gate(lifetime(rig.prefix) or ASSUMED_LIFETIME)
        self.usage = Usage()

    async def work(
        self, call: ToolCall, job: Job, tell: Callable[[str], None], booked: Callable[[CallFinished], None]
    ) -> Outcome:
        """Do the job that a tool call asked for.

        `tell` shows lines of what goes on to the person, `booked` is told of each model call. A model
        call that fails for good is an outcome. Raises what the host raises.
        """
        async with self._seats, self._gate.passed() as answering:
            lane = Lane(new_id("task"), job.description, call.id)
            errand = _Errand(self._state, self._host.lane(lane), tell, booked, answering)
            try:
                return await errand.outcome(self._run, self._rig, job)
            finally:
                self.usage += errand.state.usage


class _Gate:
    """Lets one sub-agent go ahead until its answer begins, and then all others.

    They begin with the same bytes: tools, system prompt, the block that tells of the place. A provider's
    cache has these once an answer to them has begun; asked all at once, each would pay for writing them.
    """

    def __init__(self, keeps: float) -> None:
        self._keeps = keeps
        self._one = asyncio.Lock()
        self._answered: float | None = None
        """When an answer last began, seconds since the epoch."""

    @asynccontextmanager
    async def passed(self) -> AsyncIterator[Callable[[], None]]:
        """Enter when it is one's turn; call what this gives when an answer to oneself begins."""
        await self._one.acquire()
        ahead = True

        def let_others_pass() -> None:
            nonlocal ahead
            if ahead:
                self._one.release()
            ahead = False

        def answering() -> None:
            self._answered = time.time()
            let_others_pass()

        try:
            if self._answered is not None and time.time() - self._answered < self._keeps:
                let_others_pass()
            yield answering
        finally:
            let_others_pass()


class _Errand:
    """One sub-agent at work."""

    def __init__(
        self,
        parent: AgentState,
        host: LaneHost,
        tell: Callable[[str], None],
        booked: Callable[[CallFinished], None],
        answering: Callable[[], None],
    ) -> None:
        self.state = AgentState(parent=parent, patience=parent.patience)
        self._opening = opening_of(parent.messages)
        self._host = host
        self._tell = tell
        self._booked = booked
        self._answering = answering
        self._calls = 0
        self._finished: TurnFinished | None = None

    async def outcome(self, run: Run, rig: Rig, job: Job) -> Outcome:
        await self._open()
        prompt = Message(new_id("msg"), "user", (Text(job.prompt),))
        gauge = self._host.room if rig.gauge else None
        own = replace(rig, purpose="task", seen=FilesSeen(), gauge=gauge)
        try:
            async with aclosing(run(self.state, prompt, self._host, own)) as events:
                async for event in events:
                    self._follow(event)
        except ContextOverflow:
            return self._failed("The task filled the context window. Divide the job into smaller tasks.")
        except ProviderError as error:
            return self._failed(f"The task failed: {error}")
        return self._answered()

    async def _open(self) -> None:
        """Begin as the main conversation does. A message of its own, so that a breakpoint can stand there."""
        if self._opening:
            opening = Message(new_id("msg"), "user", self._opening)
            await self._host.record(MessageAdded(opening))
            self.state.messages.append(opening)
            self.state.previous_end = opening.id

    def _follow(self, event: Event) -> None:
        match event:
            case TextDelta() | ThinkingDelta() | ToolCallStarted() | ToolCallDelta():
                self._answering()
            case CallFinished(report):
                self._calls += 1
                self._booked(event)
                if report.answered:
                    self._answering()
            case ToolStarted(summary=summary):
                self._tell(f"{summary}\n")
            case Retrying(seconds, reason):
                self._tell(f"{reason}; again in {seconds:.0f} s\n")
            case Compacting(reason):
                self._tell(f"compacting: {reason}\n")
            case Compacted(before, after):
                self._tell(f"compacted: ~{before:,} → ~{after:,} tokens\n")
            case NotCompacted(reason):
                self._tell(f"not compacted: {reason}\n")
            case TurnFinished():
                self._finished = event
            case _:
                pass

    def _answered(self) -> Outcome:
        finished = self._finished
        if finished is None or not finished.text.strip():
            reason = f" ({finished.stop_reason})" if finished else ""
            return self._failed(f"The task ended without an answer{reason}.")
        if finished.stop_reason in (StopReason.REFUSAL, StopReason.INTERRUPTED):
            return self._failed(f"The task's answer broke off ({finished.stop_reason}): {finished.text}")
        cut = CUT_OFF if finished.stop_reason == StopReason.MAX_TOKENS else ""
        return Outcome(text=finished.text + cut, display=self._told())

    def _failed(self, text: str) -> Outcome:
        return replace(failure(text), display=f"{text} · {self._told()}")

    def _told(self) -> str:
        """What it came to, for the person."""
        usage, cost = self.state.usage, self._host.cost
        rate = usage.cache_hit_rate
        parts = [
            f"{self._calls} model call{'' if self._calls == 1 else 's'}",
            f"{usage.total_tokens:,} tokens" + ("" if rate is None else f", cache {rate:.0%}"),
            "cost unknown" if cost is None else f"${cost:.4f}",
        ]
        return " · ".join(parts)
