"""Keeps a session's cache entry alive while its person is away, as long as that can pay for itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf

from agent.cache import chooses_lifetime, lifetime
from agent.diagnosis import response_of, told_cause
from agent.digests import Chain
from agent.host import CallReport
from agent.lifetimes import LONG
from agent.reuse import CacheRecord, Sent
from agent.settled import settled
from agent.warming import MARGIN, Stakes, Verdict, weigh
from providers.errors import CachetError, ProviderError, RequestRejected
from providers.pricing import price
from providers.types import Message, Prefix, Request, Usage
from sessions.bill import Bill
from sessions.cachebook import CacheBook
from sessions.chronicle import Chronicle
from sessions.dialogue import Dialogue
from sessions.journal import JournalError
from sessions.outlook import outlook
from sessions.records import CallLine
from sessions.setup import Limits

WIRES_TAKING_NOTHING = frozenset({"anthropic"})
"""Wires on which an answer may be limited to no token at all (`max_tokens: 0`, "Pre-warming the cache" in
Anthropic's prompt-caching documentation)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The next request that would keep the entry alive, and whether it will be made."""

    at: float
    """Seconds since the epoch."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Warmed:
    """What was done since the last turn."""

    times: int
    cost: float | None
    """US dollars; None where a part is unknown."""


class Warming:
    """One session's. Nothing happens by itself: whoever waits for the person asks for a plan, and for a call.

    Only where the provider names the time after which an entry expires and bills what is read and written:
    elsewhere there is nothing to be timed, or nothing to be saved.
    """

    def __init__(self, dialogue: Dialogue, chronicle: Chronicle, bill: Bill, cache: CacheBook) -> None:
        self._dialogue = dialogue
        self._chronicle = chronicle
        self._bill = bill
        self._cache = cache
        self._chain = Chain()
        self._nothing_refused = False
        """Whether the endpoint wants an answer of at least one token."""
        self._call: asyncio.Task[bool] | None = None

    @property
    def possible(self) -> bool:
        """Whether the model's entries live for a known time, which a request that costs little lengthens."""
        return _can_be_kept(self._dialogue.prefix)

    @property
    def done(self) -> Warmed:
        """What the requests since the last turn came to."""
        calls = self._since_last_turn()
        costs = [call.cost for call in calls]
        known = [cost for cost in costs if cost is not None]
        return Warmed(len(calls), sum(known) if len(known) == len(costs) else None)

    async def plan(self, now: float) -> Plan | None:
        """When to keep the entry alive next, and whether that pays; `now` in seconds since the epoch.

        None where there is nothing to keep alive: no entry, none that expires at a known time, or no price.
        The first price that is asked for takes a moment.
        """
        last, prefix, messages = self._bill.latest, self._dialogue.prefix, self._sent()
        if last is None or not messages or not _can_be_kept(prefix):
            return None
        entry = self._record.longest(prefix, self._chain.of(messages), now)
        expires = self._cache.warm_until(prefix, messages, now)
        if entry is None or entry.keeps is None or expires is None or expires <= now:
            return None
        at = max(now, expires - MARGIN)
        stakes = await self._stakes(last, entry, now, at + entry.keeps)
        if stakes is None:
            return None
        verdict = weigh(
            self._cache.habits.between_turns,
            stakes,
            expires=expires - last.started,
            kept=at + entry.keeps - last.started,
        )
        return Plan(at, verdict)

    async def keep(self) -> bool:
        """Read the entry once more, and book it; whether that went well. Raises nothing.

        Whoever waits for it may be cancelled: a request that is on its way is booked as what it comes to.
        """
        if self._call is None or self._call.done():
            self._call = asyncio.create_task(self._kept_alive())
        return await asyncio.shield(self._call)

    async def close(self) -> None:
        """Wait for nobody: a request that is on its way is given up, and booked."""
        if self._call is not None:
            self._call.cancel()
            await asyncio.gather(self._call, return_exceptions=True)

    # --- what it would bring --------------------------------------------------------------------------------

    async def _stakes(self, last: CallLine, entry: Sent, now: float, until: float) -> Stakes | None:
        """What a turn after the entry's end costs more than one before it; None where no price is known."""
        prefix, messages = self._dialogue.prefix, self._dialogue.state.messages
        rates = self._bill.rates
        size = last.usage.total_tokens
        warm = outlook(self._cache, prefix, messages, size, now)
        cold = outlook(self._cache, prefix, messages, size, until)
        spent = self.done.cost
        once = Usage(
            cache_read_tokens=entry.kept,
            input_tokens=max(0, entry.usage.prompt_tokens - entry.kept),
            output_tokens=self._least_answer,
        )
        paid = await asyncio.to_thread(price, prefix.model, once, at=now, overrides=rates)
        dear = await asyncio.to_thread(cold.cost, rates, now)
        cheap = await asyncio.to_thread(warm.cost, rates, now)
        if paid is None or dear is None or cheap is None:
            return None
        return Stakes(saves=dear - cheap, price=paid.cost, spent=inf if spent is None else spent)

    def _since_last_turn(self) -> tuple[CallLine, ...]:
        calls = self._bill.calls
        last = max((place for place, call in enumerate(calls) if call.purpose != "warm"), default=-1)
        return tuple(calls[last + 1 :])

    # --- the request ----------------------------------------------------------------------------------------

    async def _kept_alive(self) -> bool:
        messages = self._held(time.time())
        if not messages:
            return False
        try:
            return await self._call_once(messages)
        except RequestRejected:
            if self._nothing_refused or self._least_answer:
                return False
        except (CachetError, JournalError):
            return False
        self._nothing_refused = True
        with suppress(CachetError, JournalError):
            return await self._call_once(messages)
        return False

    async def _call_once(self, messages: tuple[Message, ...]) -> bool:
        """Make the call and book it. Raises CachetError, JournalError."""
        prefix, request = self._dialogue.prefix, self._request(messages, time.time())
        if self._bill.limits != Limits():
            await asyncio.to_thread(self._bill.allowance, request, time.time())
        call = self._dialogue.provider.stream(request)
        outcome = "cancelled"
        try:
            async with call:
                async for _ in call:
                    pass
            outcome = "ok"
        except ProviderError as error:
            outcome = type(error).__name__
            raise
        finally:
            await settled(self._book(CallReport.of(call, prefix, "warm", outcome), prefix, messages))
        return True

    def _request(self, messages: tuple[Message, ...], now: float) -> Request:
        """An earlier request once more: nothing of it is asked to be kept for longer than it is."""
        prefix, chain = self._dialogue.prefix, self._chain.of(messages)
        long = self._record.longest(prefix, chain, now, lifetime=LONG)
        return Request(
            prefix=prefix,
            messages=messages,
            previous_end=messages[-1].id,
            kept_until=messages[chain.index(long.digest)].id if long else None,
            compared_with=self._record.compared_with(prefix, chain, now),
            max_output_tokens=self._least_answer,
        )

    async def _book(self, report: CallReport, prefix: Prefix, messages: Sequence[Message]) -> None:
        chain, usage, miss, kept = self._chain.of(messages), report.usage, None, ""
        if report.answered:
            told = told_cause(report.raw_usage)
            miss = self._record.miss(prefix, chain, report.started, usage, told=told)
            long = self._record.longest(prefix, chain, report.started, lifetime=LONG)
            kept = "1h" if usage.cache_write_1h_tokens or (long and long.digest == chain[-1]) else "5m"
            keeps, response = lifetime(prefix, kept), response_of(report.raw_usage)
            sent = Sent(prefix, chain[-1], report.started, usage, keeps, response=response)
            self._cache.add(sent, chain, messages, chain.index(long.digest) if long else None)
        line = await self._chronicle.priced(report, prefix.model, kept=kept, miss=miss)
        line = replace(line, parent=messages[-1].id)
        self._bill.calls.append(line)
        self._dialogue.state.add(usage)
        await self._chronicle.book(line)

    @property
    def _record(self) -> CacheRecord:
        return self._cache.record

    @property
    def _least_answer(self) -> int:
        """The shortest answer that the wire takes, in tokens."""
        nothing = self._dialogue.prefix.wire in WIRES_TAKING_NOTHING and not self._nothing_refused
        return 0 if nothing else 1

    def _held(self, now: float) -> tuple[Message, ...]:
        """The messages whose entry is alive: what lies behind them would be written, at no planned price."""
        messages = self._sent()
        chain = self._chain.of(messages)
        entry = self._record.longest(self._dialogue.prefix, chain, now)
        return () if entry is None else messages[: chain.index(entry.digest) + 1]

    def _sent(self) -> tuple[Message, ...]:
        """The messages that the last call on this prefix sent."""
        messages, end = self._dialogue.state.messages, self._dialogue.state.previous_end
        place = next((place for place, message in enumerate(messages) if message.id == end), None)
        return () if place is None else tuple(messages[: place + 1])


def _can_be_kept(prefix: Prefix) -> bool:
    """On Bedrock a model that thinks may do so for thousands of tokens whatever limit its answer has."""
    thinks = prefix.parameters.effort not in (None, "none")
    return chooses_lifetime(prefix) and not (prefix.wire == "bedrock" and thinks)
