"""What every conversation of a session begins with, and whether the provider's cache still has that.

After a summary, or back at its start, a conversation has no message in common with a call before. What it
reads all the same is the tools and the system prompt, and the block before the first prompt with them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.cache import chooses_lifetime, identity, longest_lifetime, marks_opening, readable
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
class Beginning:
    """One that the provider's cache was given."""

    tokens: int
    """As a call read it alone; until one did, estimated from the shortest that began so."""
    used: float
    """When a call last wrote or read it, seconds since the epoch."""
    keeps: float | None
    """Seconds that it lives from its last use; None where the provider doesn't say."""
    shortest: int
    """Tokens of the prompt by which the length was estimated; 0 where it is no estimate."""

    def alive(self, prefix: Prefix, now: float) -> bool:
        idle = now - self.used
        return idle <= longest_lifetime(prefix, self.keeps) and (self.keeps is None or idle <= self.keeps)

    @property
    def expires(self) -> float | None:
        """Seconds since the epoch; None where the provider doesn't say."""
        return None if self.keeps is None else self.used + self.keeps


class Beginnings:
    """Those of one session, sub-agents included."""

    def __init__(self) -> None:
        self._known: dict[tuple[Hashable, str], Beginning] = {}
        """By what it is looked up by, and the opening block's text; that is empty for the shorter one."""
        self._uncached: dict[Hashable, int] = {}
        """Tokens of the longest prompt that proved to be too short for the provider's cache."""

    def add(self, call: Sent, messages: Sequence[Message], border: int | None, *, fresh: bool) -> None:
        """Book an answered call.

        `border` is the place of the last message that it wanted kept for an hour. It was `fresh` where no
        call before had sent any of its messages: then all that it read is its beginning.
        """
        prefix, usage, key = call.prefix, call.usage, identity(call.prefix)
        if not usage.cache_reported:
            return
        if chooses_lifetime(prefix) and not usage.cache_read_tokens + usage.cache_write_tokens:
            self._uncached[key] = max(usage.prompt_tokens, self._uncached.get(key, 0))
            return
        lengths = _lengths(call, messages)
        read = _read_alone(lengths, usage.cache_read_tokens) if fresh and chooses_lifetime(prefix) else None
        for text, estimated in lengths.items():
            if text and not marks_opening(prefix, messages, border):
                continue
            before = self._known.get((key, text))
            now = Beginning(estimated, call.started, call.keeps, usage.prompt_tokens)
            if text == read:
                now = replace(now, tokens=usage.cache_read_tokens, shortest=0)
            elif before is not None and before.shortest <= now.shortest:
                now = replace(now, tokens=before.tokens, shortest=before.shortest)
            if chooses_lifetime(prefix):
                now = replace(now, keeps=_lifetime(before, now, call, border))
            if now.keeps != GONE:
                used = call.started if before is None else max(before.used, call.started)
                self._known[key, text] = replace(now, used=used)

    def found(
        self, prefix: Prefix, messages: Sequence[Message], now: float | None = None
    ) -> tuple[int, Beginning | None]:
        """Tokens of the beginning that a request with these messages should read, and which that is.

        It is one that is alive at `now`; without that, one that was ever there.
        """
        key = identity(prefix)
        for opening in (*(block.text for block in opening_of(messages)), ""):
            known = self._known.get((key, opening))
            if known is None or known.tokens <= self._uncached.get(key, 0):
                continue
            if now is not None and not known.alive(prefix, now):
                continue
            if tokens := readable(prefix, known.tokens):
                return tokens, known
        return 0, None

    def bare(self, prefix: Prefix) -> int:
        """Tokens of the tools and the system prompt; 0 where no call with them was answered."""
        known = self._known.get((identity(prefix), ""))
        return known.tokens if known else 0


def _lifetime(before: Beginning | None, now: Beginning, call: Sent, border: int | None) -> float:
    """Seconds that it lives from this call on, where lifetimes are sold; GONE where it is no entry any more.

    A read keeps the lifetime that was paid for. One that is gone is written anew only by a call that did not
    read further: a breakpoint inside of what was read writes nothing.
    """
    if before is not None and before.keeps and before.alive(call.prefix, call.started):
        return before.keeps
    if call.usage.cache_read_tokens >= NEARLY * now.tokens:
        return SHORT if before is None else GONE  # another session wrote it: nobody here knows for how long
    return SHORT if border is None else LONG


def _read_alone(lengths: Mapping[str, int], tokens: int) -> str | None:
    """Which of the beginnings was read, by its opening text, where so many tokens were."""
    nearest = min(lengths, key=lambda text: abs(lengths[text] - tokens))
    return nearest if NEARLY * lengths[nearest] <= tokens <= lengths[nearest] / NEARLY else None


def _lengths(call: Sent, messages: Sequence[Message]) -> Mapping[str, int]:
    """The call's beginnings, the shorter one first: the opening block's text, and tokens with that block."""
    request = Request(prefix=call.prefix, messages=tuple(messages))
    whole = max(1, estimate(request, 0).input_tokens)
    bare = estimate(replace(request, messages=()), 0).input_tokens
    scale = call.usage.prompt_tokens / whole
    opened = {
        text.text: round((bare + characters(text) // CHARACTERS) * scale) for text in opening_of(messages)
    }
    return {"": round(bare * scale), **opened}
