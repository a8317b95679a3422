"""What a conversation has in common with earlier ones of its session, and whether the cache still has that.

After a summary, or back at its start, a conversation has no message in common with a call before. What it
reads all the same is the tools and the system prompt, and the block before the first prompt with them. Taken
back to the end of a turn it ends with an answer, which no call ended with; but the turn after it began so.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.cache import (
    answer_before_prompt,
    chooses_lifetime,
    identity,
    longest_lifetime,
    marks_answer,
    marks_opening,
    readable,
)
from agent.lifetimes import LONG, SHORT
from agent.prompt import opening_of
from agent.reuse import Sent
from providers.call import CHARACTERS, characters, estimate
from providers.types import Message, Prefix, Request

NEARLY = 0.9
"""Of an estimated length: a read of so much of it is taken for one of all of it."""

GONE = 0.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A beginning in the provider's cache."""

    used: float
    """When a call last wrote or read it, seconds since the epoch."""
    keeps: float | None
    """Seconds that it lives from its last use; None where the provider doesn't say."""

    def alive(self, prefix: Prefix, now: float) -> bool:
        idle = now - self.used
        return idle <= longest_lifetime(prefix, self.keeps) and (self.keeps is None or idle <= self.keeps)

    @property
    def expires(self) -> float | None:
        """Seconds since the epoch; None where the provider doesn't say."""
        return None if self.keeps is None else self.used + self.keeps


@dataclass(frozen=True, slots=True)
class Length:
    """How long a beginning is."""

    tokens: int
    """As a call read it alone; until one did, estimated from the shortest that began so."""
    shortest: int
    """Tokens of the prompt by which that was estimated; 0 where it is no estimate."""


class Beginnings:
    """Those of one session, sub-agents included.

    Each is known by what its prefix is looked up by, and by the opening block's text; of the tools and the
    system prompt alone that is empty.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[Hashable, str], Entry] = {}
        self._lengths: dict[tuple[Hashable, str], Length] = {}
        self._uncached: dict[Hashable, int] = {}
        """Tokens of the longest prompt that proved to be too short for the provider's cache."""
        self._ends: dict[str, Sent] = {}
        """The calls by their digests; of two with the same one the later."""
        self._answers: dict[Hashable, dict[str, tuple[int, Entry]]] = {}
        """By what a prefix is looked up by and the digest of all up to an answer: its tokens, its entry."""

    def add(self, call: Sent, chain: Sequence[str], messages: Sequence[Message], border: int | None) -> None:
        """Book an answered call: the digests of its messages, and these.

        `border` is the place of the last one that it wanted kept for an hour.
        """
        prefix, usage, key = call.prefix, call.usage, identity(call.prefix)
        # What a call read of which none before had sent a message is its beginning, and no more.
        fresh = not any(digest in self._ends for digest in reversed(chain))
        self._ends[call.digest] = call
        if not usage.cache_reported:
            return
        if chooses_lifetime(prefix) and not usage.cache_read_tokens + usage.cache_write_tokens:
            self._uncached[key] = max(usage.prompt_tokens, self._uncached.get(key, 0))
            return
        texts = ["", *(block.text for block in opening_of(messages))]
        lengths = [self._lengths.get((key, text)) for text in texts]
        if fresh or not all(known and known.shortest <= usage.prompt_tokens for known in lengths):
            self._measure(call, messages, fresh=fresh)
        for text in texts if marks_opening(prefix, messages, border) else texts[:1]:
            before = self._entries.get((key, text))
            keeps = call.keeps
            if chooses_lifetime(prefix):
                keeps = _lifetime(before, self._lengths[key, text].tokens, call, border)
            if keeps != GONE:
                used = call.started if before is None else max(before.used, call.started)
                self._entries[key, text] = Entry(used, keeps)
        if marks_answer(prefix, messages, border):
            self._add_answer(call, chain, answer_before_prompt(messages), border)

    def _add_answer(self, call: Sent, chain: Sequence[str], place: int, border: int | None) -> None:
        """Book that a request may go on from the answer at this place, where its length is known."""
        key, before, keeps = identity(call.prefix), self._ends.get(chain[place - 1]), call.keeps
        if before is None or identity(before.prefix) != key:
            return  # another model counts otherwise
        if chooses_lifetime(call.prefix):
            keeps = LONG if border is not None and place <= border else SHORT
        tokens = min(before.usage.total_tokens, call.usage.prompt_tokens)  # not all that was thought is sent
        self._answers.setdefault(key, {})[chain[place]] = tokens, Entry(call.started, keeps)

    def _measure(self, call: Sent, messages: Sequence[Message], *, fresh: bool) -> None:
        """Take from the call how long its beginnings are, where that is better known than before."""
        key, prompt, read = identity(call.prefix), call.usage.prompt_tokens, call.usage.cache_read_tokens
        lengths = _estimated(call, messages)
        alone = _read_alone(lengths, read) if fresh and chooses_lifetime(call.prefix) else None
        for text, tokens in lengths.items():
            known = self._lengths.get((key, text))
            if text == alone:
                self._lengths[key, text] = Length(read, 0)
            elif known is None or prompt < known.shortest:
                self._lengths[key, text] = Length(tokens, prompt)

    def found(
        self, prefix: Prefix, messages: Sequence[Message], now: float | None = None
    ) -> tuple[int, Entry | None]:
        """Tokens of the beginning that a request with these messages should read, and its entry.

        It is one that is alive at `now`; without that, one that was ever there.
        """
        key = identity(prefix)
        for text in (*(block.text for block in opening_of(messages)), ""):
            entry = self._entries.get((key, text))
            if entry is None or (now is not None and not entry.alive(prefix, now)):
                continue
            tokens = self._lengths[key, text].tokens
            if tokens > self._uncached.get(key, 0) and readable(prefix, tokens):
                return readable(prefix, tokens), entry
        return 0, None

    def answered(self, prefix: Prefix, chain: Sequence[str], now: float) -> int:
        """Tokens up to the last answer of a request that another one, since taken back, went on from.

        `chain` are the request's digests. 0 where none did whose entry is alive.
        """
        answers = self._answers.get(identity(prefix), {})
        found = (answers[digest] for digest in reversed(chain) if digest in answers)
        return next((readable(prefix, tokens) for tokens, entry in found if entry.alive(prefix, now)), 0)

    def size(self, request: Request, scale: float) -> int:
        """Tokens of a request: its beginning's, where one is known, and of the rest an estimate.

        `scale` is how many there are for each that `estimate` finds.
        """
        whole, key = estimate(request, 0).input_tokens, identity(request.prefix)
        for text, part in _shares(request).items():
            if (known := self._lengths.get((key, text))) is not None:
                return known.tokens + round((whole - part) * scale)
        return round(whole * scale)

    def bare(self, prefix: Prefix) -> int:
        """Tokens of the tools and the system prompt; 0 where no call with them was answered."""
        known = self._lengths.get((identity(prefix), ""))
        return known.tokens if known else 0


def _lifetime(before: Entry | None, tokens: int, call: Sent, border: int | None) -> float:
    """Seconds that it lives from this call on, where lifetimes are sold; GONE where it is no entry any more.

    A read keeps the lifetime that was paid for. One that is gone is written anew only by a call that did not
    read further: a breakpoint inside of what was read writes nothing.
    """
    if before is not None and before.keeps and before.alive(call.prefix, call.started):
        return before.keeps
    if call.usage.cache_read_tokens >= NEARLY * tokens:
        return SHORT if before is None else GONE  # another session wrote it: nobody here knows for how long
    return SHORT if border is None else LONG


def _read_alone(lengths: Mapping[str, int], tokens: int) -> str | None:
    """Which of the beginnings was read, by its opening text, where so many tokens were."""
    nearest = min(lengths, key=lambda text: abs(lengths[text] - tokens))
    return nearest if NEARLY * lengths[nearest] <= tokens <= lengths[nearest] / NEARLY else None


def _estimated(call: Sent, messages: Sequence[Message]) -> Mapping[str, int]:
    """Tokens of the call's beginnings, by the opening block's text, as the whole call was counted."""
    request = Request(prefix=call.prefix, messages=tuple(messages))
    scale = call.usage.prompt_tokens / max(1, estimate(request, 0).input_tokens)
    return {text: round(part * scale) for text, part in _shares(request).items()}


def _shares(request: Request) -> Mapping[str, int]:
    """What `estimate` finds in a request's beginnings, by the opening block's text, the longest one first."""
    bare = estimate(replace(request, messages=()), 0).input_tokens
    opened = {text.text: bare + characters(text) // CHARACTERS for text in opening_of(request.messages)}
    return {**opened, "": bare}
