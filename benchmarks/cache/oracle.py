"""What the same calls would have cost: with hindsight, with one lifetime, without a cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchmarks.cache.billing import LIFETIMES, AnthropicCache, Bill, Rates, Segments

FIVE_MINUTES, HOUR = LIFETIMES["5m"], LIFETIMES["1h"]


@dataclass(frozen=True, slots=True)
class Made:
    """One model call as the server saw it."""

    at: float
    """Seconds on the benchmark's clock."""
    segments: Segments
    key: str
    """OpenAI's `prompt_cache_key`; empty on Anthropic's wire."""
    bill: Bill
    allowed: str = ""
    """Why this call may pay again for what was sent: `compaction`, `model switch`; empty if it may not."""


def best(calls: Sequence[Made], rates: Rates, *, minimum: int, step: int, writes: bool) -> float:
    """US dollars with a breakpoint behind every block, and for each call the lifetime that turns out to fit.

    A call is written for an hour where the next one that goes on from it comes after more than five minutes,
    for five minutes where it comes sooner, and not at all where none comes. With `writes` false writing costs
    what input costs.
    """
    heirs: dict[int, float] = {}
    reads: list[int] = []
    for place, call in enumerate(calls):
        parent, shared = _parent(calls, place)
        reads.append(shared // step * step if shared >= minimum else 0)
        if parent is not None and reads[-1]:
            pause = call.at - calls[parent].at
            heirs[parent] = max(heirs.get(parent, 0.0), pause)
    return sum(
        _ideal(call, read, heirs.get(place), rates, writes=writes)
        for place, (call, read) in enumerate(zip(calls, reads, strict=True))
    )


def _parent(calls: Sequence[Made], place: int) -> tuple[int | None, int]:
    """The earlier call that this one shares most with, the latest of equals, within the longest lifetime."""
    found: tuple[int | None, int] = (None, 0)
    for earlier in range(place):
        shared = calls[place].segments.shared_with(calls[earlier].segments)
        if shared >= max(1, found[1]) and calls[place].at - calls[earlier].at <= HOUR:
            found = earlier, shared
    return found


def _ideal(call: Made, read: int, pause: float | None, rates: Rates, *, writes: bool) -> float:
    new = call.segments.tokens - read
    if not writes or pause is None:
        bill = Bill(read=read, uncached=new, output=call.bill.output)
    else:
        bill = Bill(
            read=read, write=new, write_1h=new if pause > FIVE_MINUTES else 0, output=call.bill.output
        )
    return bill.cost(rates)


def with_lifetime(calls: Iterable[Made], lifetime: str, rates: Rates, *, minimum: int) -> float:
    """US dollars of the same Anthropic requests, every breakpoint with this lifetime."""
    now = [0.0]
    cache = AnthropicCache(lambda: now[0], minimum)
    cost = 0.0
    for call in calls:
        now[0] = call.at
        marked = replace(call.segments, marks=dict.fromkeys(call.segments.marks, lifetime))
        bill, keep = cache.bill(marked)
        keep()
        cost += replace(bill, output=call.bill.output).cost(rates)
    return cost


def without_cache(calls: Iterable[Made], rates: Rates) -> float:
    """US dollars where nothing is read nor written."""
    return sum(Bill(uncached=call.segments.tokens, output=call.bill.output).cost(rates) for call in calls)


def rebilled(calls: Sequence[Made], *, minimum: int, step: int = 1) -> dict[str, int]:
    """Tokens that an earlier call had sent and a later one did not read, by why that was allowed ("" if not).

    As long as the longest lifetime the provider sells; below its minimum, and in parts of a step, there is
    nothing to read.
    """
    found: dict[str, int] = {}
    for place, call in enumerate(calls):
        _, shared = _parent(calls, place)
        reusable = shared // step * step if shared >= minimum else 0
        lost = max(0, reusable - call.bill.read)
        if lost:
            found[call.allowed] = found.get(call.allowed, 0) + lost
    return found
