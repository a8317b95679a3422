"""What two providers bill for a request, by their published rules, on a clock that the benchmark sets.

Nothing of Cachet is used here: the bills are checked against traces whose sums were worked out by hand. A
token is four characters of a block's JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Self

LOOKBACK = 20
"""Blocks that an Anthropic breakpoint looks back over."""

LIFETIMES = {"5m": 300.0, "1h": 3600.0}
"""Seconds."""

OPENAI_LIFETIME = 600.0
"""Seconds without use after which OpenAI's in-memory cache is taken to have dropped an entry."""


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars for a million tokens."""

    input: float = 3.0
    output: float = 15.0
    read: float = 0.3
    write: float = 3.75
    write_1h: float = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Tokens of one request, in disjoint buckets; `write_1h` is a part of `write`."""

    uncached: int = 0
    read: int = 0
    write: int = 0
    write_1h: int = 0
    output: int = 0

    @property
    def prompt(self) -> int:
        return self.uncached + self.read + self.write

    def cost(self, rates: Rates) -> float:
        """US dollars."""
        return (
            self.uncached * rates.input
            + self.read * rates.read
            + (self.write - self.write_1h) * rates.write
            + self.write_1h * rates.write_1h
            + self.output * rates.output
        ) / 1e6

    def __add__(self, other: Bill) -> Bill:
        return Bill(
            uncached=self.uncached + other.uncached,
            read=self.read + other.read,
            write=self.write + other.write,
            write_1h=self.write_1h + other.write_1h,
            output=self.output + other.output,
        )


@dataclass(frozen=True, slots=True)
class Segments:
    """A request as a row of blocks: of each its tokens, and the hash of all up to it."""

    lengths: tuple[int, ...]
    hashes: tuple[str, ...]
    marks: dict[int, str] = field(default_factory=dict)
    """The lifetimes of Anthropic's breakpoints, by place."""
    own: tuple[str, ...] = ()
    """Of each block a hash of it alone, whatever stands before it and whatever model reads it."""
    opening: int = 0
    """How many blocks come before the model's first answer: tools, system prompt, the first prompt."""
    model: str = ""

    @property
    def tokens(self) -> int:
        return sum(self.lengths)

    @classmethod
    def of(cls, model: str, parameters: Any, blocks: Iterable[tuple[str, dict[str, Any]]]) -> Self:
        """Model and parameters belong to the key, too; a block comes with its role."""
        digest = hashlib.sha256(_text([model, parameters]).encode("utf-8", "replace"))
        lengths, hashes, own, marks = [], [], [], {}
        opening = None
        for place, (role, block) in enumerate(blocks):
            bare = _text({key: value for key, value in block.items() if key != "cache_control"})
            said = f"{role}:{bare}".encode("utf-8", "replace")
            digest.update(said)
            lengths.append(max(1, len(bare) // 4))
            hashes.append(digest.hexdigest())
            own.append(hashlib.sha256(said).hexdigest())
            if "cache_control" in block:
                marks[place] = block["cache_control"].get("ttl", "5m")
            if opening is None and role == "assistant":
                opening = place
        first = len(lengths) if opening is None else opening
        return cls(tuple(lengths), tuple(hashes), marks, tuple(own), first, model)

    def shared_with(self, other: Segments) -> int:
        """Tokens of the longest common beginning, in whole blocks."""
        shared = 0
        for length, one, another in zip(self.lengths, self.hashes, other.hashes, strict=False):
            if one != another:
                break
            shared += length
        return shared

    def repeated_from(self, other: Segments) -> int:
        """Tokens of the blocks that the other request had, too, whatever stood before them there.

        Of two requests that go on from each other it is what they share; where something before the
        conversation was changed, it is what they could have shared.
        """
        had = Counter(other.own)
        repeated = 0
        for length, block in zip(self.lengths, self.own, strict=True):
            if had[block]:
                had[block] -= 1
                repeated += length
        return repeated

    def opened_with(self, tokens: int) -> Segments:
        """The same conversation, all before the model's first answer being one block of so many tokens."""
        start = max(1, self.opening)
        return Segments(
            (tokens, *self.lengths[start:]),
            self.hashes[start - 1 :],
            own=self.own[start - 1 :],
            opening=1,
            model=self.model,
        )


def anthropic_segments(body: dict[str, Any]) -> Segments:
    """The order is tools, system, messages."""
    blocks = [("tool", tool) for tool in body.get("tools", [])]
    blocks += [("system", block) for block in body.get("system", [])]
    blocks += [(message["role"], block) for message in body["messages"] for block in message["content"]]
    return Segments.of(body["model"], [body.get("output_config"), body.get("thinking")], blocks)


def openai_segments(body: dict[str, Any]) -> Segments:
    """Tools first, then the messages, each one block."""
    blocks = [("tool", tool) for tool in body.get("tools", [])]
    blocks += [(message["role"], message) for message in body["messages"]]
    return Segments.of(body["model"], body.get("reasoning_effort"), blocks)


def responses_segments(body: dict[str, Any]) -> Segments:
    """Tools, the instructions, then the items of the input, each one block."""
    blocks = [("tool", tool) for tool in body.get("tools", [])]
    blocks += [("system", {"text": body["instructions"]})] if body.get("instructions") else []
    blocks += [
        (item.get("role", "tool" if "output" in item else "assistant"), item) for item in body["input"]
    ]
    return Segments.of(body["model"], body.get("reasoning"), blocks)


@dataclass(slots=True)
class AnthropicCache:
    """Anthropic's prompt cache.

    An entry holds all up to a breakpoint. It lives for its own lifetime from the start of the last request
    that read it, and is there for other requests once the answer to the one that wrote it has begun. A
    breakpoint inside what was read writes nothing and lengthens no entry's lifetime.
    """

    now: Callable[[], float]
    minimum: int = 1024
    """Tokens up to a breakpoint below which nothing is kept there."""
    entries: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By hash: the entry's lifetime in seconds, and until when it lives."""

    def bill(self, request: Segments) -> tuple[Bill, Callable[[], None]]:
        """What a request is billed, and what to call once its answer has begun."""
        now = self.now()
        hit = max((self._found(request, place, now) for place in request.marks), default=0)
        read = sum(request.lengths[:hit])
        written = dict.fromkeys(LIFETIMES, 0)
        fresh: dict[str, float] = {}
        border = hit
        for place, lifetime in sorted(request.marks.items()):
            if place < hit or sum(request.lengths[: place + 1]) < self.minimum:
                continue
            written[lifetime] += sum(request.lengths[border : place + 1])
            border = place + 1
            fresh[request.hashes[place]] = LIFETIMES[lifetime]

        def keep() -> None:
            for (
                key,
                seconds,
            ) in fresh.items():  # beside another request's of the same bytes the longer one stays
                written_now = (seconds, now + seconds)
                self.entries[key] = max(self.entries.get(key, written_now), written_now, key=itemgetter(1))

        bill = Bill(
            uncached=sum(request.lengths[border:]),
            read=read,
            write=sum(written.values()),
            write_1h=written["1h"],
        )
        return bill, keep

    def _found(self, request: Segments, place: int, now: float) -> int:
        """How many blocks a breakpoint at `place` reads; what it finds lives on."""
        for back in range(place, max(-1, place - LOOKBACK), -1):
            seconds, until = self.entries.get(request.hashes[back], (0.0, -1.0))
            if until >= now:
                self.entries[request.hashes[back]] = (seconds, now + seconds)
                return back + 1
        return 0


@dataclass(slots=True)
class OpenAICache:
    """OpenAI's: automatic from `minimum` tokens on, in steps of `step`, where a key leads to."""

    now: Callable[[], float]
    minimum: int = 1024
    step: int = 128
    machines: dict[str, list[tuple[float, Segments]]] = field(default_factory=dict)

    def bill(self, request: Segments, key: str) -> tuple[Bill, Callable[[], None]]:
        """What a request is billed, and what to call once its answer has begun.

        Without a key a request may land anywhere: it is taken to land where nobody was.
        """
        now = self.now()
        kept = self.machines.setdefault(key, []) if key else []
        alive = [(at, earlier) for at, earlier in kept if now - at <= OPENAI_LIFETIME]
        shared = max((request.shared_with(earlier) for _, earlier in alive), default=0)
        read = shared // self.step * self.step if shared >= self.minimum else 0

        def keep() -> None:
            kept.append((now, request))

        return Bill(uncached=request.tokens - read, read=read), keep


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
