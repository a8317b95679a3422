"""What the next call will find in the provider's cache, and what it will cost, if it is made now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.cache import chooses_lifetime
from providers.pricing import Rates, price
from providers.types import Message, Prefix, Usage
from sessions.cachebook import CacheBook
from sessions.dialogue import Dialogue
from sessions.rehydrate import Conversation
from sessions.traffic import filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Before the person's next words: they are new in any case."""

    prefix: Prefix
    prompt: int
    """Tokens that the next call sends: the last prompt and its answer, or what a summary is estimated at."""
    held: int
    """Tokens of them that the cache should still have; 0 where nothing is known of it."""
    expires: float | None
    """When what is kept expires, seconds since the epoch; None where the provider doesn't say."""
    doubtful: bool
    """Whether it may be gone all the same: unused for long, at a provider that names no time."""
    reported: bool
    """Whether the provider has said anything about caching."""
    hour: bool
    """Whether what is new would be kept for an hour."""
    writes: bool
    """Whether the provider bills what it writes to its cache."""

    @property
    def new(self) -> int:
        """Tokens to be read at full price, or written to the cache."""
        return self.prompt - self.held

    @property
    def usage(self) -> Usage:
        """The next call's prompt as it will be billed."""
        if not self.writes:
            return Usage(input_tokens=self.new, cache_read_tokens=self.held)
        long = self.new if self.hour else 0
        return Usage(cache_write_tokens=self.new, cache_write_1h_tokens=long, cache_read_tokens=self.held)

    def cost(self, rates: Mapping[str, Rates], now: float) -> float | None:
        """US dollars for the next call's prompt; None where no price is known."""
        priced = price(self.prefix.model, self.usage, at=now, overrides=rates)
        return priced.cost if priced else None


def outlook(
    book: CacheBook,
    prefix: Prefix,
    messages: Sequence[Message],
    size: int,
    now: float,
) -> Outlook:
    """For a conversation of `size` tokens that would go on with this prefix."""
    prompt = size if messages else book.beginnings.bare(prefix)
    told = book.latest.usage if book.latest else Usage()
    choice = book.choice_for(prefix, messages, prompt, now)
    return Outlook(
        prefix=prefix,
        prompt=prompt,
        held=min(book.expected(prefix, messages, now), prompt),
        expires=book.warm_until(prefix, messages, now),
        doubtful=book.doubtful(prefix, messages, now),
        reported=told.cache_reported,
        hour=choice is not None and choice.lifetime == "1h",
        writes=chooses_lifetime(prefix) or told.cache_write_tokens > 0,
    )


def outlook_live(book: CacheBook, dialogue: Dialogue, prefix: Prefix, now: float) -> Outlook:
    """For a session at work, whose conversation would go on with this prefix."""
    return outlook(book, prefix, dialogue.state.messages, dialogue.filled, now)


def outlook_of(told: Conversation, home: Path, now: float) -> Outlook | None:
    """For a session that a journal tells of, its provider not asked; None where nothing was ever sent."""
    if told.prefix is None:
        return None
    book = CacheBook(home)
    book.remember(told.traffic)
    messages = told.state.messages
    return outlook(book, told.prefix, messages, book.length(told.prefix, messages, filled(told.reached)), now)
