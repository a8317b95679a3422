"""A sub-agent's end of a session: its messages in a lane of the journal, its calls in the same ledger."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from agent.host import (
    CallMade,
    CallReport,
    Fact,
    HistoryCompacted,
    Host,
    Lane,
    LaneHost,
    MessageAdded,
    Verdict,
)
from agent.tools.contract import Intent
from providers.types import Message, Prefix, Request, ToolCall
from sessions.bill import Bill, cost_of
from sessions.cachebook import CacheBook
from sessions.chronicle import Chronicle
from sessions.gate import Gate
from sessions.records import CallLine
from sessions.setup import Limits


@dataclass(slots=True, kw_only=True)
class Beside:
    """What one sub-agent's loop awaits (`agent.host.LaneHost`).

    Where a limit is set, the calls of all sub-agents are made one after the other: each is weighed against
    what those before it cost.
    """

    lane_of: Lane
    session: Host
    """The main conversation's end."""
    prefix: Prefix
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
    _calling: bool = False
    """Whether this lane holds `one_call`."""

    @property
    def cost(self) -> float | None:
        return cost_of(self._calls).exact

    async def record(self, fact: Fact) -> None:
        match fact:
            case MessageAdded(message, call_id):
                await self.chronicle.message(message, call=call_id, turn=self.turn, lane=self.lane_of.id)
                self._messages.append(message)
            case CallMade(report):
                try:
                    await self._book(report)
                finally:
                    self._called()
            case HistoryCompacted():
                raise AssertionError("a sub-agent's conversation is not compacted")

    async def before_call(self, request: Request) -> Request:
        request = self.cache.planned(request, time.time())
        if self.bill.limits == Limits():
            return request
        await self.one_call.acquire()
        self._calling = True
        try:
            limit = await asyncio.to_thread(self.bill.allowance, request, time.time())
        except BaseException:
            self._called()
            raise
        return replace(request, max_output_tokens=limit)

    async def permit(self, call: ToolCall, intent: Intent) -> Verdict:
        return await self.gate.permit(call, intent, task=self.lane_of.title)

    async def before_tool(self, call: ToolCall, intent: Intent) -> None:
        await self.session.before_tool(call, intent)

    def redact(self, text: str) -> str:
        return self.session.redact(text)

    def lane(self, lane: Lane) -> LaneHost:
        return self.session.lane(lane)

    async def _book(self, report: CallReport) -> None:
        kept, miss = self.cache.booked(report, self.prefix, self._messages, self.turn)
        line = await self.chronicle.priced(
            report, self.prefix.model, kept=kept or "", miss=miss, lane=self.lane_of.id
        )
        self.bill.calls.append(line)
        self._calls.append(line)
        await self.chronicle.book(line)

    def _called(self) -> None:
        if self._calling:
            self._calling = False
            self.one_call.release()
