"""What the same calls would have cost: with hindsight, with one lifetime, without a cache, in a bare loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from benchmarks.cache.billing import LIFETIMES, OPENAI_LIFETIME, AnthropicCache, Bill, Rates, Segments

FIVE_MINUTES, HOUR = LIFETIMES["5m"], LIFETIMES["1h"]

BARE_OPENING = 209
"""Tokens of the first prompt of a loop that has nothing but a shell and a sentence to begin with."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a provider's cache is like."""

    minimum: int
    """Tokens below which nothing is cached."""
    step: int = 1
    """Tokens in which reads are counted."""
    longest: float = HOUR
    """Seconds: the longest lifetime that can be had."""
    writes: bool = True
    """Whether writing costs more than input does."""

    @classmethod
    def of_openai(cls, minimum: int) -> Rules:
        return cls(minimum, step=128, longest=OPENAI_LIFETIME, writes=False)

    def readable(self, shared: int) -> int:
        """How many of so many tokens that were sent before can be read."""
        return shared // self.step * self.step if shared >= self.minimum else 0


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


def best(calls: Sequence[Made], rates: Rates, rules: Rules) -> float:
    """US dollars with a breakpoint behind every block, and for each call the lifetime that turns out to fit.

    A call is written for an hour where the next one that goes on from it comes after more than five minutes,
    for five minutes where it comes sooner, and not at all where none comes.
    """
    heirs: dict[int, float] = {}
    reads: list[int] = []
    for place, call in enumerate(calls):
        parent, shared = _parent(calls, place, rules)
        reads.append(rules.readable(shared))
        if parent is not None and reads[-1]:
            pause = call.at - calls[parent].at
            heirs[parent] = max(heirs.get(parent, 0.0), pause)
    return sum(
        _ideal(call, read, heirs.get(place), rates, rules)
        for place, (call, read) in enumerate(zip(calls, reads, strict=True))
    )


def floor(calls: Iterable[Made], rates: Rates, rules: Rules) -> float:
    """US dollars of a bare loop that says the same: its first prompt has `BARE_OPENING` tokens."""
    bare = [replace(call, segments=call.segments.opened_with(BARE_OPENING)) for call in calls]
    return best(bare, rates, rules)


def _parent(
    calls: Sequence[Made],
    place: int,
    rules: Rules,
    common: Callable[[Segments, Segments], int] = Segments.shared_with,
) -> tuple[int | None, int]:
    """The earlier call that this one shares most with, the latest of equals, within the longest lifetime."""
    found: tuple[int | None, int] = (None, 0)
    for earlier in range(place):
        shared = common(calls[place].segments, calls[earlier].segments)
        if shared >= max(1, found[1]) and calls[place].at - calls[earlier].at <= rules.longest:
            found = earlier, shared
    return found


def _ideal(call: Made, read: int, pause: float | None, rates: Rates, rules: Rules) -> float:
    new, output = call.segments.tokens - read, call.bill.output
    if not rules.writes or pause is None:
        return Bill(read=read, uncached=new, output=output).cost(rates)
    return Bill(read=read, write=new, write_1h=new if pause > FIVE_MINUTES else 0, output=output).cost(rates)


def with_lifetime(calls: Iterable[Made], lifetime: str, rates: Rates, rules: Rules) -> float:
    """US dollars of the same Anthropic requests, every breakpoint with this lifetime."""
    now = [0.0]
    cache = AnthropicCache(lambda: now[0], rules.minimum)
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


def rebilled(calls: Sequence[Made], rules: Rules) -> dict[str, int]:
    """Tokens that an earlier call had sent and a later one did not read, by why that was allowed ("" if not).

    As long as the longest lifetime the provider sells; below its minimum, and in parts of a step, there is
    nothing to read. Where it was allowed, what another model had read counts too.
    """
    found: dict[str, int] = {}
    for place, call in enumerate(calls):
        common = Segments.repeated_from if call.allowed else Segments.shared_with
        _, shared = _parent(calls, place, rules, common)
        lost = max(0, rules.readable(shared) - call.bill.read)
        if lost:
            found[call.allowed] = found.get(call.allowed, 0) + lost
    return found
