"""A sub-agent's end of a session: its messages in a lane of the journal, its calls in the same ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace

from agent.host import (
    CallMade,
    Fact,
    HistoryCompacted,
    Host,
    Lane,
    LaneHost,
    MessageAdded,
    Verdict,
)
from agent.room import Room
from agent.tools.contract import Intent
from providers.types import Message, Request, ToolCall
from sessions.bill import Bill, cost_of
from sessions.cachebook import CacheBook
from sessions.chronicle import Chronicle
from sessions.dialogue import Dialogue
from sessions.gate import Gate
from sessions.records import CallLine
from sessions.setup import Limits
from sessions.traffic import Reached


@dataclass(slots=True, kw_only=True)
class Beside:
    """What one sub-agent's loop awaits (`agent.host.LaneHost`).

    Where a limit is set, the calls of all sub-agents are made one after the other: each is weighed against
    what those before it cost.
    """

    lane_of: Lane
    session: Host
    """The main conversation's end."""
    dialogue: Dialogue
    """The main conversation, whose model and window are the sub-agent's too."""
    turn: str | None
    """Id of the person's message that the work is done for."""
    chronicle: Chronicle
    bill: Bill
    cache: CacheBook
    """Of this lane's calls alone."""
    gate: Gate
    one_call: asyncio.Lock
    """Held from when a call is weighed until it is booked, by one lane of the session at a time."""
    _messages: list[Message] = field(default_factory=list)
    _calls: list[CallLine] = field(default_factory=list)
    _reached: Reached | None = None
    """How far the conversation was sent last."""

    @property
    def cost(self) -> float | None:
        return cost_of(self._calls).exact

    async def record(self, fact: Fact) -> None:
        match fact:
            case MessageAdded(message, call_id):
                await self.chronicle.message(message, call=call_id, turn=self.turn, lane=self.lane_of.id)
                self._messages.append(message)
            case HistoryCompacted(summary, replaced):
                await self.chronicle.compaction(summary, replaced, turn=self.turn, lane=self.lane_of.id)
                fact.apply(self._messages)
                self.cache.record.compacted(self.lane_of.id)
            case CallMade():
                await self._book(fact)

    @asynccontextmanager
    async def calling(self, request: Request) -> AsyncIterator[Request]:
        limited = self.bill.limits != Limits()
        turn: AbstractAsyncContextManager[object] = self.one_call if limited else nullcontext()
        async with turn:
            yield await allowed(self.cache.planned(request, time.time()), self.bill)

    async def room(self, request: Request) -> Room:
        return await self.dialogue.room_of(request, self._reached)

    async def permit(self, call: ToolCall, intent: Intent) -> Verdict:
        return await self.gate.permit(call, intent, task=self.lane_of.title)

    async def before_tool(self, call: ToolCall, intent: Intent) -> None:
        await self.session.before_tool(call, intent)

    def redact(self, text: str) -> str:
        return self.session.redact(text)

    def lane(self, lane: Lane) -> LaneHost:
        return self.session.lane(lane)

    async def _book(self, made: CallMade) -> None:
        prefix, messages = self.dialogue.prefix, self._messages if made.sent is None else made.sent
        kept, miss = self.cache.booked(made.report, prefix, messages, self.turn)
        line = await self.chronicle.priced(
            made.report, prefix.model, kept=kept or "", miss=miss, lane=self.lane_of.id
        )
        self.bill.calls.append(line)
        self._calls.append(line)
        if made.sent is None and line.answered:
            self._reached = Reached(line, self._messages[-1].id)
        await self.chronicle.book(line)


async def allowed(request: Request, bill: Bill) -> Request:
    """The request with no longer an answer than the limits allow. Raises what `Bill.allowance` raises."""
    if bill.limits == Limits():
        return request
    limit = await asyncio.to_thread(bill.allowance, request, time.time())
    return request if limit is None else replace(request, max_output_tokens=limit)
