"""What a call could have read from the provider's cache, what it did, and why the two differ.

Only answered calls count: one that failed tells of no cache. Where a provider says nothing about caching,
nothing is expected of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from agent.cache import forgets_after, granularity, identity, kept, longest_lifetime
from agent.diagnosis import Cause
from providers.types import Prefix, Usage

BY_PROVIDER = "the provider says so"


@dataclass(frozen=True, slots=True)
class Sent:
    """One answered call of the session, as far as a later one may read what it left in the cache."""

    prefix: Prefix
    digest: str
    """Of all the messages that it sent, in order; see `digests`."""
    started: float
    """Seconds since the epoch."""
    usage: Usage
    keeps: float | None
    """Seconds that the entry of its end lives from its last use; None where the provider doesn't say."""
    lane: str = "main"
    response: str = ""
    """The endpoint's own id of the answer, where it is known."""

    @property
    def kept(self) -> int:
        """Tokens that the provider's cache holds since."""
        return kept(self.prefix, self.usage)

    @property
    def most(self) -> float:
        """Seconds from its last use for which its provider could keep the entry at most."""
        return longest_lifetime(self.prefix, self.keeps)


@dataclass(frozen=True, slots=True)
class Miss:
    """Tokens that an earlier call had sent and this one paid for again, or read anew after a break."""

    cause: Cause
    detail: str
    """What exactly, for a person: `idle 7 min`, the names of tools, the number of a message."""
    expected: int
    """Tokens."""
    read: int
    """Tokens."""

    @property
    def tokens(self) -> int:
        return self.expected - self.read


@dataclass(slots=True)
class CacheRecord:
    """What a session's calls left in the provider's cache, as far as can be known from here."""

    sent: list[Sent] = field(default_factory=list)
    _ending: dict[str, list[Sent]] = field(default_factory=dict)
    """The calls again, by their digest."""
    _used: dict[str, float] = field(default_factory=dict)
    """When a call last read the entry with this digest."""
    _keeps: float = 0.0
    """Seconds: the longest time for which any of the entries lives."""
    _breaks: dict[str, Literal["compacted", "rewound"]] = field(default_factory=dict)
    """By lane, what is known to have changed its history since its last call."""

    def compacted(self, lane: str = "main") -> None:
        """A summary took the place of messages: the lane's next call has a history that begins anew."""
        self._breaks[lane] = "compacted"

    def rewound(self) -> None:
        """The conversation was taken back: the next call's history is a shorter one."""
        self._breaks["main"] = "rewound"

    def add(self, call: Sent, chain: Sequence[str] = ()) -> None:
        """Book an answered call whose messages had these digests. Of two at once either may come first."""
        for digest in (call.digest, *(digest for digest in chain if digest in self._used)):
            self._used[digest] = max(call.started, self._used.get(digest, call.started))
        self.sent.append(call)
        self._ending.setdefault(call.digest, []).append(call)
        self._keeps = max(self._keeps, inf if call.keeps is None else call.keeps)
        self._breaks.pop(call.lane, None)

    def reusable(self, prefix: Prefix, chain: Sequence[str], now: float) -> tuple[int, Sent | None]:
        """Tokens of the longest beginning of a request that the provider could still have, and of which call.

        It could have what would be alive under the longest lifetime that it sells.
        """
        best = self._best(prefix, chain, lambda call: self._idle(call, now) <= call.most)
        return (0, None) if best is None else (best.kept, best)

    def longest(
        self, prefix: Prefix, chain: Sequence[str], now: float, *, lifetime: float = 0.0
    ) -> Sent | None:
        """The call with the longest beginning of a request whose entry has not expired.

        With `lifetime` only entries count that live at least so many seconds from their last use.
        """
        if self._keeps < lifetime:
            return None

        def lives(call: Sent) -> bool:
            if call.keeps is not None and call.keeps < lifetime:
                return False
            idle = self._idle(call, now)
            return idle <= call.most and (call.keeps is None or idle <= call.keeps)

        return self._best(prefix, chain, lives)

    def alive(self, prefix: Prefix, chain: Sequence[str], now: float) -> int:
        """Tokens that a request should read now."""
        best = self.longest(prefix, chain, now)
        return best.kept if best else 0

    def expires(self, prefix: Prefix, chain: Sequence[str], now: float | None = None) -> float | None:
        """When the latest entry of this conversation expires, seconds since the epoch, used or not by then.

        None where there is none, or its provider doesn't say. With `now` an entry that is alive then goes
        before a longer one that isn't: the last messages may be kept for less time than those before them.
        """
        best = None if now is None else self.longest(prefix, chain, now)
        best = best or self._best(prefix, chain, lambda call: True)
        if best is None or best.keeps is None:
            return None
        return max(best.started, self._used.get(best.digest, 0.0)) + best.keeps

    def idle(self, prefix: Prefix, chain: Sequence[str], now: float) -> float | None:
        """Seconds for which nobody used the entry that `longest` finds; None where it finds none."""
        best = self.longest(prefix, chain, now)
        return None if best is None else self._idle(best, now)

    def compared_with(
        self, prefix: Prefix, chain: Sequence[str], now: float, *, lane: str = "main"
    ) -> str | None:
        """The endpoint's id of the answer that a request goes on from.

        That is the call whose entry it should read; where there is none, the lane's last: what changed since.
        """
        _, best = self.reusable(prefix, chain, now)
        best = best or self._before(lane)
        if best is None or (best.prefix.model.provider, best.prefix.wire) != (
            prefix.model.provider,
            prefix.wire,
        ):
            return None
        return best.response or None

    def _before(self, lane: str) -> Sent | None:
        return next((call for call in reversed(self.sent) if call.lane == lane), None)

    def _best(self, prefix: Prefix, chain: Sequence[str], fits: Callable[[Sent], bool]) -> Sent | None:
        """The call with the longest beginning of a request, of those that fit.

        It goes from the longest to shorter ones, and stops where none can be longer than what was found:
        a shorter beginning has fewer tokens than the call that sent more.
        """
        best: Sent | None = None
        for digest in reversed(chain):
            for call in self._ending.get(digest, ()):
                if not fits(call) or not _same(call.prefix, prefix):
                    continue
                if best is None or call.kept > best.kept:
                    best = call
                elif call.usage.prompt_tokens < best.kept:
                    return best
        return best

    def miss(
        self,
        prefix: Prefix,
        chain: Sequence[str],
        now: float,
        usage: Usage,
        *,
        lane: str = "main",
        told: Cause | None = None,
        reloaded: bool = False,
    ) -> Miss | None:
        """Why a call read less than it could, None where it did not. Ask before the call is booked.

        `told` is the provider's own diagnosis; it goes before what is found here. `reloaded` says that the
        model had to be loaded for this call.
        """
        if not usage.cache_reported:
            return None
        expected, whose = self.reusable(prefix, chain, now)
        read = usage.cache_read_tokens
        if whose is None:
            return self._broken(prefix, now, usage, lane, told)
        if expected - read <= granularity(whose.prefix):
            return None
        idle = self._idle(whose, now)
        if told is not None:
            return Miss(told, BY_PROVIDER, expected, read)
        if whose.keeps is not None and idle > whose.keeps:
            return Miss("expired", f"idle {_minutes(idle)}, kept {_minutes(whose.keeps)}", expected, read)
        if whose.keeps is None and idle > forgets_after(whose.prefix):
            return Miss("expired", f"idle {_minutes(idle)}, the provider names no time", expected, read)
        why = "the model was loaded anew" if reloaded else "the same bytes were sent"
        return Miss("affinity_or_eviction", why, expected, read)

    def _broken(self, prefix: Prefix, now: float, usage: Usage, lane: str, told: Cause | None) -> Miss | None:
        """The beginning itself is another one than the lane's last call had, or all of it is long gone."""
        before, changed = self._before(lane), self._breaks.get(lane)
        if before is None or changed == "rewound" or self._idle(before, now) > before.most:
            return None  # nobody keeps it so long: that is not paying twice, but coming back
        expected, read = min(before.kept, usage.prompt_tokens), usage.cache_read_tokens
        if expected - read <= granularity(before.prefix):
            return None
        if not _same(before.prefix, prefix):
            cause, detail = _difference(before.prefix, prefix)
        elif changed == "compacted":
            cause, detail = "compacted", "a summary took the place of messages"
        else:
            cause, detail = "history_changed", "the first message is another one"
        # The provider's word goes first, but of what is the same to it more is known here.
        if told not in (None, cause) and (told, cause) != ("history_changed", "compacted"):
            return Miss(told, BY_PROVIDER, expected, read)
        return Miss(cause, detail, expected, read)

    def _idle(self, call: Sent, now: float) -> float:
        return now - max(call.started, self._used.get(call.digest, 0.0))


def _same(one: Prefix, other: Prefix) -> bool:
    return one is other or identity(one) == identity(other)


def _difference(before: Prefix, now: Prefix) -> tuple[Cause, str]:
    if before.model != now.model or before.encoder != now.encoder:
        return "model_changed", f"{before.model} before, {now.model} now"
    if before.tools != now.tools:
        changed = sorted({tool.name for tool in {*before.tools} ^ {*now.tools}})
        return "tools_changed", ", ".join(changed) or "their order"
    if before.system != now.system:
        return "system_changed", "the system prompt"
    return "parameters_changed", f"effort {now.parameters.effort or 'default'}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
