"""Writes what happens in a session into its journal, in order, with prices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from agent.host import CallReport
from agent.reuse import Miss
from agent.settled import settled
from checkpoint.types import Snapshot
from providers.call import new_id
from providers.pricing import Rates, price
from providers.readings import billed_cost, hosted
from providers.types import JSON, JSONObject, Message, ModelRef, Prefix
from sessions.chain import made_up
from sessions.fields import timestamp
from sessions.journal import Journal, JournalError, JournalUnwritable
from sessions.records import (
    MAIN,
    CallLine,
    CheckpointLine,
    CompactionLine,
    HeadLine,
    MessageLine,
    MissLine,
    NoteLine,
    PrefixLine,
    Record,
    SessionLine,
)


class Chronicle:
    """The journal's pen. The file begins with the first fact: a chat that was opened and left leaves nothing.

    Every method returns when the line is written; those for a person's message, a call, a checkpoint and a
    repair when it is on disk. They raise JournalError where that failed, and can be called again. A call's
    line that could not be written is owed: it was billed, and is written before anything else that can be.
    """

    def __init__(
        self,
        path: Path,
        *,
        first: SessionLine | None,
        journal: Journal | None,
        head: str | None,
        rates: Mapping[str, Rates],
        client: str = "",
    ) -> None:
        """`first` begins a new journal; an existing one comes opened as `journal`.

        `client` is whom the calls are made for, where the server makes them.
        """
        self.path = path
        self.head = head
        """Id of the live conversation's last message."""
        self._first = first
        self._journal = journal
        self._prefix: Prefix | None = None
        self._owed: list[CallLine] = []
        self._lanes: dict[str, str] = {}
        """Id of each sub-agent's last message, by lane."""
        self._one = asyncio.Lock()
        """One line at a time: sub-agents write side by side."""
        self._rates = rates
        self._client = client

    def begin_with(self, prefix: Prefix) -> None:
        """Write this prefix before the next fact."""
        self._prefix = prefix

    async def message(
        self, message: Message, *, call: str | None = None, turn: str | None = None, lane: str = MAIN
    ) -> None:
        line = MessageLine(
            id=message.id,
            parent=self._end(lane),
            at=_now(),
            message=message,
            call=call,
            turn=turn,
            lane=lane,
        )
        await self._write(line, sync=message.role == "user" and lane == MAIN)
        if lane == MAIN:
            self.head = message.id
        else:
            self._lanes[lane] = message.id

    def _end(self, lane: str) -> str | None:
        """The lane's last message; of one that begins, the main conversation's.

        So a reader that knows no lanes still finds a conversation it can send.
        """
        return self.head if lane == MAIN else self._lanes.get(lane, self.head)

    async def priced(
        self,
        report: CallReport,
        model: ModelRef,
        *,
        kept: str = "",
        miss: Miss | None = None,
        lane: str = MAIN,
    ) -> CallLine:
        """The ledger's line for a call, to be booked. `model` is the one asked for: its price applies."""
        priced = await asyncio.to_thread(
            price,
            model,
            report.usage,
            at=report.started,
            overrides=self._rates,
            billed=billed_cost(report.wire, report.raw_usage, model.provider),
            hosted=hosted(report.wire, report.raw_usage),
        )
        return CallLine(
            id=report.id,
            parent=self._end(lane),
            at=_now(),
            purpose=report.purpose,
            lane=lane,
            model=str(model),
            usage=report.usage,
            raw_usage=report.raw_usage,
            estimated=report.estimated,
            cost=priced.cost if priced else None,
            price=priced.id if priced else None,
            uncached_cost=priced.uncached if priced else None,
            started=report.started,
            duration=report.duration,
            time_to_first_token=report.time_to_first_token,
            stop_reason=report.stop_reason,
            outcome=report.outcome,
            wire=report.wire,
            kept=kept,
            miss=await asyncio.to_thread(self._missed, report, model, miss) if miss else None,
            client=self._client,
        )

    def _missed(self, report: CallReport, model: ModelRef, miss: Miss) -> MissLine:
        """The miss, with what it cost: the call's price, less what it had been had all been read."""
        usage, tokens = report.usage, miss.tokens
        written = min(tokens, usage.cache_write_tokens)
        wished = replace(
            usage,
            cache_read_tokens=usage.cache_read_tokens + tokens,
            cache_write_tokens=usage.cache_write_tokens - written,
            cache_write_1h_tokens=max(0, usage.cache_write_1h_tokens - written),
            input_tokens=max(0, usage.input_tokens - (tokens - written)),
        )
        paid, ideal = (
            price(model, each, at=report.started, overrides=self._rates) for each in (usage, wished)
        )
        cost = None if paid is None or ideal is None else max(0.0, paid.cost - ideal.cost)
        return MissLine(
            cause=miss.cause, detail=miss.detail, expected=miss.expected, read=miss.read, cost=cost
        )

    async def book(self, line: CallLine) -> None:
        """Write the line of a call that was made."""
        self._owed.append(line)
        async with self._one:
            await self._pay()

    async def compaction(
        self,
        summary: Message,
        replaced: Sequence[Message],
        *,
        turn: str | None = None,
        lane: str = MAIN,
    ) -> None:
        """The summary that stands for these messages from now on.

        Its message is written last: until it is there, the line that says what it stands for means nothing,
        so that nothing half done changes the conversation.
        """
        told = [message.id for message in replaced if not made_up(message)] or [summary.id]
        line = CompactionLine(
            id=new_id("compaction"),
            parent=self._end(lane),
            at=_now(),
            summary=summary.id,
            first=told[0],
            last=told[-1],
            lane=lane,
        )
        await self._write(line, sync=False)
        await self.message(summary, turn=turn, lane=lane)

    async def move_head(self, message: str | None, reason: str) -> None:
        line = HeadLine(id=new_id("head"), parent=self.head, at=_now(), message=message, reason=reason)
        await self._write(line, sync=True)
        self.head = message

    async def checkpoint(self, snapshot: Snapshot) -> None:
        line = CheckpointLine(
            id=new_id("ckpt"),
            parent=self.head,
            at=_now(),
            number=snapshot.number,
            message=snapshot.message,
            tree=snapshot.tree,
        )
        await self._write(line, sync=True)

    async def note(self, topic: str, text: str, data: JSONObject | None = None, *, sync: bool = True) -> None:
        body: dict[str, JSON] = dict(data or {})
        line = NoteLine(id=new_id("note"), parent=self.head, at=_now(), topic=topic, text=text, data=body)
        await self._write(line, sync=sync)

    def discard(self) -> None:
        """Remove the journal, if it was begun here. Raises OSError."""
        if self._first is not None and self._journal is not None:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._journal is None:
            return
        with suppress(JournalError):
            for line in self._owed:
                self._journal.append(line, sync=True)
        self._journal.close()

    async def _write(self, record: Record, *, sync: bool) -> None:
        async with self._one:
            await self._pay()
            await self._put(record, sync=sync)

    async def _pay(self) -> None:
        while self._owed:
            try:
                await self._put(self._owed[0], sync=True)
            except JournalUnwritable as error:
                if error.written:
                    del self._owed[0]
                raise
            del self._owed[0]

    async def _put(self, record: Record, *, sync: bool) -> None:
        journal = self._journal or await self._begin()
        if self._prefix is not None:
            line = PrefixLine(id=new_id("prefix"), parent=record.parent, at=_now(), prefix=self._prefix)
            journal.append(line, sync=False)
            self._prefix = None
        if sync:
            await asyncio.to_thread(journal.append, record, sync=True)
        else:
            journal.append(record, sync=False)

    async def _begin(self) -> Journal:
        """The journal, ours from now on. A cancellation comes after that, so that `close` finds it."""
        return await settled(self._created())

    async def _created(self) -> Journal:
        assert self._first is not None, "an existing journal comes opened"
        self._journal = await asyncio.to_thread(Journal.create, self.path, self._first)
        return self._journal


def _now() -> str:
    return timestamp(time.time())
