"""What the provider's cache should hold of a session: planned before each call, checked after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.cache import chooses_lifetime, lifetime
from agent.diagnosis import reloaded, response_of, told_cause
from agent.digests import Chain
from agent.host import CallReport
from agent.lifetimes import LONG, Choice, Habits, Lifetime, choose
from agent.reuse import CacheRecord, Miss, Sent
from providers.call import estimate
from providers.types import Message, Prefix, Request
from sessions import habits as stored
from sessions.records import MAIN
from sessions.rehydrate import Conversation


@dataclass(slots=True)
class _Latest:
    """The call that is on its way, or was booked last."""

    started: float
    turn: str | None


class CacheBook:
    """One session's calls as its provider's cache saw them."""

    def __init__(self, home: Path, lane: str = MAIN) -> None:
        self._home = home
        self._lane = lane
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
        chain: list[str] = []
        messages: tuple[Message, ...] = ()
        for sending in told.sent:
            if sending.messages is not messages:
                messages, chain = sending.messages, self._chain.of(sending.messages)
            call, prefix, sent = sending.call, sending.prefix, chain[: sending.count]
            keeps = lifetime(prefix, call.kept)
            response = response_of(call.raw_usage)
            self.record.add(
                Sent(prefix, sent[-1], call.started, call.usage, keeps, call.lane, response), sent
            )
            self._latest = _Latest(call.started, None)
        if messages[:1] != tuple(told.state.messages[:1]):
            self.record.compacted()  # no call has sent the summary yet

    def beside(self, lane: str) -> CacheBook:
        """The book of a sub-agent's calls, on the same record.

        They know only the pauses within turns: nobody comes back to a sub-agent's conversation later.
        """
        book = CacheBook(self._home, lane)
        book.record = self.record
        book._habits = replace(self.habits, between_turns=self.habits.within_turns)
        return book

    def planned(self, request: Request, now: float) -> Request:
        """The request with the lifetime that its end shall have, and the answer that it goes on from."""
        prefix = request.prefix
        self._planned = self.choice = None
        if not request.messages:
            return request
        chain = self._chain.of(request.messages)
        before = self.record.compared_with(prefix, chain, now, lane=self._lane)
        request = replace(request, compared_with=before)
        if not chooses_lifetime(prefix):
            return request
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
        if self._lane == MAIN:
            self._learn(report.started, turn)
        if not chain or not report.answered:
            return None, None
        told = told_cause(report.raw_usage)
        miss = self.record.miss(
            prefix,
            chain,
            report.started,
            report.usage,
            lane=self._lane,
            told=told,
            reloaded=reloaded(report.raw_usage),
        )
        given = self._planned
        if given == "1h" and not report.usage.cache_write_1h_tokens:
            # All of it was read, and an entry keeps the lifetime with which it was written; or the model
            # sells no hour, and wrote for five minutes.
            given = "5m"
        keeps = lifetime(prefix, given or "")
        response = response_of(report.raw_usage)
        sent = Sent(prefix, chain[-1], report.started, report.usage, keeps, self._lane, response)
        self.record.add(sent, chain)
        return given, miss

    def expected(self, prefix: Prefix, messages: Sequence[Message], now: float) -> int:
        """Tokens that a call with these messages should read from the cache."""
        return self.record.alive(prefix, self._chain.of(messages), now)

    def warm_until(
        self, prefix: Prefix, messages: Sequence[Message], now: float | None = None
    ) -> float | None:
        """When the longest entry of the conversation expires; None where the provider doesn't say.

        With `now` the longest one that is alive then, if any is.
        """
        return self.record.expires(prefix, self._chain.of(messages), now)

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
        return (None, 0) if found is None else (chain.index(found.digest), found.kept)

    def _size(self, request: Request, chain: Sequence[str], now: float) -> int:
        """Tokens of the prompt, estimated: the last call's, and what came since."""
        last = self.record.longest(request.prefix, chain, now)
        if last is None:
            return estimate(request, 0).input_tokens
        place = chain.index(last.digest)
        bare = estimate(replace(request, messages=()), 0).input_tokens
        came = estimate(replace(request, messages=request.messages[place + 1 :]), 0).input_tokens - bare
        return last.usage.prompt_tokens + came
