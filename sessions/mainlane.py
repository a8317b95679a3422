"""The main conversation's end of a session: its messages in the journal, its calls in the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.host import CallMade, Fact, HistoryCompacted, Lane, LaneHost, MessageAdded, Verdict
from agent.secrets import Redactor
from agent.tools.contract import Intent
from providers.types import Request, ToolCall
from sessions.bill import Bill
from sessions.cachebook import CacheBook
from sessions.chronicle import Chronicle
from sessions.dialogue import Dialogue
from sessions.gate import Gate
from sessions.keeper import Keeper
from sessions.lane import Beside, allowed
from sessions.preface import Preface


@dataclass(slots=True, kw_only=True)
class MainLane:
    """What the loop of a turn awaits (`agent.host.Host`)."""

    dialogue: Dialogue
    chronicle: Chronicle
    keeper: Keeper
    bill: Bill
    cache: CacheBook
    gate: Gate
    preface: Preface
    redactor: Redactor
    turn: str | None = None
    """Id of the person's message that the work is done for; None where no message asked for it."""
    _one_call: asyncio.Lock = field(default_factory=asyncio.Lock)
    """The sub-agents': see `Beside`."""

    async def record(self, fact: Fact) -> None:
        match fact:
            case MessageAdded(message, call_id):
                await self.chronicle.message(message, call=call_id, turn=self.turn)
                if message.id == self.turn:
                    self.preface.recorded()
            case HistoryCompacted(summary, replaced):
                await self.chronicle.compaction(summary, replaced, turn=self.turn)
                self.cache.record.compacted()
                self.dialogue.summed_up()
            case CallMade():
                await self._book(fact)

    @asynccontextmanager
    async def calling(self, request: Request) -> AsyncIterator[Request]:
        yield await allowed(self.cache.planned(request, time.time()), self.bill)

    async def permit(self, call: ToolCall, intent: Intent) -> Verdict:
        return await self.gate.permit(call, intent)

    async def before_tool(self, call: ToolCall, intent: Intent) -> None:
        await self.keeper.before_change(intent.paths)

    def redact(self, text: str) -> str:
        return self.redactor.redact(text)

    def lane(self, lane: Lane) -> LaneHost:
        return Beside(
            lane_of=lane,
            session=self,
            dialogue=self.dialogue,
            turn=self.turn,
            chronicle=self.chronicle,
            bill=self.bill,
            cache=self.cache.beside(lane.id),
            gate=self.gate,
            one_call=self._one_call,
        )

    async def _book(self, made: CallMade) -> None:
        prefix, messages = self.dialogue.prefix, made.sent
        if messages is None:
            messages = tuple(self.dialogue.state.messages)
        kept, miss = self.cache.booked(made.report, prefix, messages, self.turn)
        line = await self.chronicle.priced(made.report, prefix.model, kept=kept or "", miss=miss)
        self.bill.calls.append(line)
        if line.purpose == "main" and line.answered:
            self.dialogue.answered(line)
        await self.chronicle.book(line)
