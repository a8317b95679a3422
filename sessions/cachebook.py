"""What the provider's cache should hold of a session: planned before each call, checked after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.beginnings import Beginnings
from agent.cache import chooses_lifetime, forgets_after, lifetime
from agent.diagnosis import reloaded, response_of, told_cause
from agent.digests import Chain
from agent.host import CallReport
from agent.lifetimes import LONG, Choice, Habits, Lifetime, choose, learned
from agent.reuse import CacheRecord, Miss, Sent
from agent.room import measured
from agent.summary import ask
from providers.call import estimate
from providers.types import Message, Prefix, Request
from sessions import habits as stored
from sessions.records import MAIN, CallLine
from sessions.traffic import Traffic


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
        self._lately = Habits()
        """What this session's earlier pauses come to."""
        self.record = CacheRecord()
        self.beginnings = Beginnings()
        self.choice: Choice | None = None
        """How the last call's lifetime was chosen; None where the provider doesn't let one choose."""
        self._chain = Chain()
        self._latest: _Latest | None = None
        self._planned: Lifetime | None = None
        self.latest: Sent | None = None
        """The latest of this lane's answered calls, those that a fork inherits too."""
        self._sent_last: tuple[Message, ...] = ()
        """What it sent."""
        self._scale: float | None = None
        """See `scale`; None until somebody asks."""

    @property
    def habits(self) -> Habits:
        if self._habits is None:
            known = stored.load(self._home)
            self._habits = replace(
                known, lately_between=self._lately.lately_between, lately_within=self._lately.lately_within
            )
        return self._habits

    def remember(self, told: Traffic) -> None:
        """Take over what a journal tells of the calls before, so that the next one is planned as ever.

        The pauses of this session are among that: what all of a person's come to is stored elsewhere.
        """
        chain: list[str] = []
        messages: tuple[Message, ...] = ()
        for sending in told.sendings:
            if sending.prefix is None:
                continue
            if sending.messages is not messages:
                messages, chain = sending.messages, self._chain.of(sending.messages)
            call, sent = sending.call, chain[: sending.count]
            end, whole = sent[-1], sending.sent
            if sending.aside:
                end, whole = call.id, (*whole, ask(""))
            border = self._kept_to(sending.prefix, sent, call.started, call.kept)
            self.add(self._sent(call, sending.prefix, end, call.kept), sent, whole, border)
        match told.change:
            case "compacted":
                self.record.compacted()
            case "rewound":
                self.record.rewound()
            case "":
                pass
        self._latest = None if told.latest is None else _Latest(told.latest, None)
        self._lately = learned(told.pauses)

    def beside(self, lane: str) -> CacheBook:
        """The book of a sub-agent's calls, on the same record.

        They know only the pauses within turns: nobody comes back to a sub-agent's conversation later.
        """
        book = CacheBook(self._home, lane)
        book.record, book.beginnings = self.record, self.beginnings
        known = self.habits
        book._habits = replace(known, between_turns=known.within_turns, lately_between=known.lately_within)
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
        self.choice = self._chosen(prefix, request.messages, self._size(request, chain, now), now)
        self._planned = self.choice.lifetime
        if self.choice.lifetime == "1h":
            return replace(request, kept_until=request.messages[-1].id)
        border, _ = self._border(prefix, chain, now)
        return request if border is None else replace(request, kept_until=request.messages[border].id)

    def choice_for(
        self, prefix: Prefix, messages: Sequence[Message], prompt: int, now: float
    ) -> Choice | None:
        """How the lifetime of a call's end would be chosen if it went on with these messages now.

        `prompt` is what it would send, in tokens. None where the provider sells only one lifetime.
        """
        if not chooses_lifetime(prefix):
            return None
        return self._chosen(prefix, messages, prompt, now)

    def _chosen(self, prefix: Prefix, messages: Sequence[Message], prompt: int, now: float) -> Choice:
        _, safe = self._border(prefix, self._chain.of(messages), now)
        there = self.expected(prefix, messages, now)
        wish = prefix.parameters.cache_ttl
        return choose(wish, self.habits, unkept=max(1, prompt - safe), new=max(1, prompt - there))

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
        border = self._kept_to(prefix, chain, report.started, given or "")
        if given == "1h" and not report.usage.cache_write_1h_tokens:
            # All of it was read, and an entry keeps the lifetime with which it was written; or the model
            # sells no hour, and wrote for five minutes.
            given = "5m"
        self.add(self._sent(report, prefix, chain[-1], given or ""), chain, messages, border)
        return given, miss

    def add(self, call: Sent, chain: Sequence[str], messages: Sequence[Message], border: int | None) -> None:
        """Book what an answered call with these messages left in the provider's cache.

        `chain` are their digests, `border` is the place of the last of them that it wanted kept for an hour.
        """
        self.latest, self._sent_last, self._scale = call, tuple(messages), None
        self.record.add(call, chain)
        self.beginnings.add(call, chain, messages, border)

    def expected(self, prefix: Prefix, messages: Sequence[Message], now: float) -> int:
        """Tokens that a call with these messages should read from the cache."""
        beginning, _ = self.beginnings.found(prefix, messages, now)
        chain = self._chain.of(messages)
        return max(
            self.record.alive(prefix, chain, now), self.beginnings.answered(prefix, chain, now), beginning
        )

    def doubtful(self, prefix: Prefix, messages: Sequence[Message], now: float) -> bool:
        """Whether what is expected was unused so long that a provider that names no time may have lost it."""
        idle = self.record.idle(prefix, self._chain.of(messages), now)
        if idle is None:
            _, beginning = self.beginnings.found(prefix, messages, now)
            idle = 0.0 if beginning is None else now - beginning.used
        return idle > forgets_after(prefix)

    def warm_until(
        self, prefix: Prefix, messages: Sequence[Message], now: float | None = None
    ) -> float | None:
        """When the longest entry of the conversation expires; None where the provider doesn't say.

        With `now` the longest one that is alive then, if any is: be it only what all conversations begin
        with. Of one that no call has sent as it is that is all there can be.
        """
        chain = self._chain.of(messages)
        known = self.record.expires(prefix, chain, now)
        if known is not None and (now is None or known >= now):
            return known
        _, beginning = self.beginnings.found(prefix, messages, now)
        if known is None and beginning is None:
            _, beginning = self.beginnings.found(prefix, messages)
        return known if beginning is None else beginning.expires

    @property
    def scale(self) -> float:
        """Tokens for each that an estimate finds, by how the latest call was counted."""
        if self._scale is None:
            self._scale = 1.0
            if self.latest is not None:
                sent = self._sent_last
                request = Request(prefix=self.latest.prefix, messages=sent, previous_end=sent[-1].id)
                self._scale = measured(request, None, self.latest.usage).scale
        return self._scale

    def estimated(self, prefix: Prefix, messages: Sequence[Message]) -> int:
        """Tokens of a conversation that no call has sent, by how the latest call was counted."""
        return self.beginnings.size(Request(prefix=prefix, messages=tuple(messages)), self.scale)

    def length(self, prefix: Prefix, messages: Sequence[Message], counted: int) -> int:
        """Tokens of a conversation: `counted`, where a call sent it as it is, else estimated.

        0 of one without messages, and before anything was answered.
        """
        return counted or (self.estimated(prefix, messages) if self.latest and messages else 0)

    def turn_ended(self) -> None:
        """Keep what was learned of this person's pauses."""
        if self._habits is not None:
            stored.save(self._home, self._habits)

    def _sent(self, call: CallReport | CallLine, prefix: Prefix, digest: str, given: str) -> Sent:
        return Sent(
            prefix=prefix,
            digest=digest,
            started=call.started,
            usage=call.usage,
            keeps=lifetime(prefix, given),
            lane=self._lane,
            response=response_of(call.raw_usage),
        )

    def _learn(self, started: float, turn: str | None) -> None:
        if self._latest is not None and started > self._latest.started:
            within = turn is not None and turn == self._latest.turn
            pause = started - self._latest.started
            self._habits = self.habits.after(pause, within_turn=within)
        self._latest = _Latest(started, turn)

    def _kept_to(self, prefix: Prefix, chain: Sequence[str], now: float, given: str) -> int | None:
        """The place of the last message that a call wants kept for an hour; `given` is its end's lifetime."""
        if "1h" in (given, prefix.parameters.cache_ttl):
            return len(chain) - 1
        return self._border(prefix, chain, now)[0]

    def _border(self, prefix: Prefix, chain: Sequence[str], now: float) -> tuple[int | None, int]:
        """The place of the last message that is kept for the long lifetime, and the tokens up to its end."""
        found = self.record.longest(prefix, chain, now, lifetime=LONG)
        return (None, 0) if found is None else (chain.index(found.digest), found.kept)

    def _size(self, request: Request, chain: Sequence[str], now: float) -> int:
        """Tokens of the prompt, estimated: the last call's, and what came since."""
        last = self.record.longest(request.prefix, chain, now)
        if last is None:
            return self.estimated(request.prefix, request.messages)
        place = chain.index(last.digest)
        bare = estimate(replace(request, messages=()), 0).input_tokens
        came = estimate(replace(request, messages=request.messages[place + 1 :]), 0).input_tokens - bare
        return last.usage.prompt_tokens + came
