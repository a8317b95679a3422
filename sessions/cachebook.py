"""What the provider's cache should hold of a session: planned before each call, checked after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.cache import lifetime
from agent.host import CallReport
from agent.lifetimes import LONG, Choice, Habits, Lifetime, choose
from agent.reuse import CacheRecord, Chain, Miss, Sent, kept, told_cause
from providers.call import estimate
from providers.types import Message, Prefix, Request
from sessions import habits as stored
from sessions.rehydrate import Conversation

TWO_LIFETIMES = ("anthropic", "bedrock")
"""The wires on which an entry's lifetime can be chosen."""


@dataclass(slots=True)
class _Latest:
    """The call that is on its way, or was booked last."""

    started: float
    turn: str | None


class CacheBook:
    """One session's calls as its provider's cache saw them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._habits: Habits | None = None
        self.record = CacheRecord()
        self.choice: Choice | None = None
        """How the last call's lifetime was chosen; None where the provider doesn't let one choose."""
        self._chain = Chain()
        self._latest: _Latest | None = None
        self._planned: Lifetime | None = None

    @property
    def habits(self) -> Habits:
        if self._habits is None:
            self._habits = stored.load(self._home)
        return self._habits

    def remember(self, told: Conversation) -> None:
        """Take over what a journal tells of the calls before."""
        places = {message.id: place for place, message in enumerate(told.state.messages)}
        chain = self._chain.of(told.state.messages)
        for call, prefix, end in told.sent:
            place = places.get(end)
            if place is not None:
                keeps = _keeps(prefix, call.kept)
                sent = Sent(prefix, chain[place], call.started, call.usage, keeps, call.lane)
                self.record.add(sent, chain[: place + 1])
                self._latest = _Latest(call.started, None)

    def planned(self, request: Request, now: float) -> Request:
        """The request with the lifetime that its end shall have."""
        prefix = request.prefix
        self._planned = self.choice = None
        if prefix.encoder.partition("/")[0] not in TWO_LIFETIMES or not request.messages:
            return request
        chain = self._chain.of(request.messages)
        border, safe = self._border(prefix, chain, now)
        there = self.record.alive(prefix, chain, now)
        prompt = self._size(request, chain, now)
        self.choice = choose(
            prefix.parameters.cache_ttl,
            self.habits,
            unkept=max(1, prompt - safe),
            new=max(1, prompt - there),
        )
        self._planned = self.choice.lifetime
        if self.choice.lifetime == "1h":
            return replace(request, kept_until=request.messages[-1].id)
        if border is not None:
            return replace(request, kept_until=request.messages[border].id)
        return request

    def booked(
        self, report: CallReport, prefix: Prefix, messages: Sequence[Message], turn: str | None
    ) -> tuple[Lifetime | None, Miss | None]:
        """Book a call that was answered: the lifetime its end was given, and what it missed, if anything."""
        chain = self._chain.of(messages)
        self._learn(report.started, turn)
        if not chain or not report.answered:
            return None, None
        miss = self.record.miss(
            prefix, chain, report.started, report.usage, told=told_cause(report.raw_usage)
        )
        given = self._planned
        if given == "1h" and not report.usage.cache_write_tokens:
            given = "5m"  # all of it was read: an entry keeps the lifetime with which it was written
        keeps = _keeps(prefix, given or "")
        self.record.add(Sent(prefix, chain[-1], report.started, report.usage, keeps), chain)
        return given, miss

    def expected(self, prefix: Prefix, messages: Sequence[Message], now: float) -> int:
        """Tokens that a call with these messages should read from the cache."""
        return self.record.alive(prefix, self._chain.of(messages), now)

    def warm_until(self, prefix: Prefix, messages: Sequence[Message]) -> float | None:
        """When the longest entry of the conversation expires; None where the provider doesn't say."""
        return self.record.expires(prefix, self._chain.of(messages))

    def turn_ended(self) -> None:
        """Keep what was learned of this person's pauses."""
        if self._habits is not None:
            stored.save(self._home, self._habits)

    def _learn(self, started: float, turn: str | None) -> None:
        if self._latest is not None and started > self._latest.started:
            within = turn is not None and turn == self._latest.turn
            pause = started - self._latest.started
            self._habits = self.habits.after(pause, within_turn=within)
        self._latest = _Latest(started, turn)

    def _border(self, prefix: Prefix, chain: Sequence[str], now: float) -> tuple[int | None, int]:
        """The place of the last message that is kept for the long lifetime, and the tokens up to its end."""
        found = self.record.longest(prefix, chain, now, lifetime=LONG)
        return (None, 0) if found is None else (chain.index(found.digest), kept(found))

    def _size(self, request: Request, chain: Sequence[str], now: float) -> int:
        """Tokens of the prompt, estimated: the last call's, and what came since."""
        last = self.record.longest(request.prefix, chain, now)
        if last is None:
            return estimate(request, 0).input_tokens
        place = chain.index(last.digest)
        bare = estimate(replace(request, messages=()), 0).input_tokens
        came = estimate(replace(request, messages=request.messages[place + 1 :]), 0).input_tokens - bare
        return last.usage.prompt_tokens + came


def _keeps(prefix: Prefix, chosen: str) -> float | None:
    """Seconds that a call's entry lives."""
    if prefix.encoder.partition("/")[0] in TWO_LIFETIMES:
        return LONG if chosen == "1h" else lifetime(prefix)
    return lifetime(prefix)
