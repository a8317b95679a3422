"""What the same calls would have cost: with hindsight, with one lifetime, without a cache, in a bare loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    warms: bool = False
    """Whether it asked for nothing, and only kept an entry alive."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The longest beginning that a call shares with earlier ones whose entries can be alive."""

    tokens: int = 0
    writer: int = 0
    """The first call that sent all of it."""
    used: float = 0.0
    """When the last one did, in seconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How later calls read what a call writes: the most tokens, and the longest pause before one of them."""

    tokens: int = 0
    pause: float = 0.0


def best(calls: Sequence[Made], rates: Rates, rules: Rules) -> float:
    """US dollars with a breakpoint behind every block, and for each call the lifetime that turns out to fit.

    A call is written as far as later ones read it: for an hour where one of them comes more than five minutes
    after the one before it that read as much, else for five minutes.
    """
    readings: dict[int, Reading] = {}
    reads: list[int] = []
    for place, call in enumerate(calls):
        shared = _shared(calls, place, rules)
        reads.append(rules.readable(shared.tokens))
        if reads[-1]:
            known = readings.get(shared.writer, Reading())
            pause = max(known.pause, call.at - shared.used)
            readings[shared.writer] = Reading(max(known.tokens, reads[-1]), pause)
    return sum(
        _ideal(call, read, readings.get(place, Reading()), rates, rules)
        for place, (call, read) in enumerate(zip(calls, reads, strict=True))
    )


def floor(calls: Iterable[Made], rates: Rates, rules: Rules) -> float:
    """US dollars of a bare loop that says the same: its first prompt has `BARE_OPENING` tokens."""
    bare = [replace(call, segments=call.segments.opened_with(BARE_OPENING)) for call in calls]
    return best(bare, rates, rules)


def _shared(calls: Sequence[Made], place: int, rules: Rules) -> Shared:
    found = Shared()
    for earlier in _alive(calls, place, rules):
        tokens = calls[place].segments.shared_with(calls[earlier].segments)
        if tokens > found.tokens:
            found = Shared(tokens, earlier, calls[earlier].at)
        elif tokens == found.tokens:
            found = replace(found, used=calls[earlier].at)
    return found


def _alive(calls: Sequence[Made], place: int, rules: Rules) -> Iterator[int]:
    """The earlier calls whose entries the longest lifetime would have kept until this one."""
    return (earlier for earlier in range(place) if calls[place].at - calls[earlier].at <= rules.longest)


def _ideal(call: Made, read: int, later: Reading, rates: Rates, rules: Rules) -> float:
    new, output = call.segments.tokens - read, call.bill.output
    written = max(0, later.tokens - read) if rules.writes else 0
    hour = written if later.pause > FIVE_MINUTES else 0
    bill = Bill(read=read, uncached=new - written, write=written, write_1h=hour, output=output)
    return bill.cost(rates)


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

    What was sent counts wherever it stood: a changed system prompt, or a tool that comes late, loses all
    behind it. It counts as long as the longest lifetime the provider sells; below its minimum, and in parts
    of a step, there is nothing to read. What only another model had read counts where a switch was allowed.
    """
    found: dict[str, int] = {}
    for place, call in enumerate(calls):
        sent = max(
            (
                call.segments.repeated_from(calls[earlier].segments)
                for earlier in _alive(calls, place, rules)
                if call.allowed or calls[earlier].segments.model == call.segments.model
            ),
            default=0,
        )
        lost = max(0, rules.readable(sent) - call.bill.read)
        if lost:
            found[call.allowed] = found.get(call.allowed, 0) + lost
    return found
