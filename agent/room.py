"""How full a request leaves the model's context window."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from providers.call import estimate
from providers.types import Message, Request, Usage

_LEAST_SCALE, _MOST_SCALE = 0.25, 4.0
"""Bounds for how wrong an estimate may be: text is never that far from four characters a token."""

LEAST_SUMMARY = 1_024
"""Tokens that a summary gets at least, however small the window is."""


@dataclass(frozen=True, slots=True)
class Room:
    """A request in its model's context window, in tokens."""

    window: int | None
    """None where nobody knows it."""
    filled: int
    """What the request fills: the last call's count, and an estimate of what came since."""
    scale: float = 1.0
    """Tokens for each that `estimate` finds, by what the provider counted last."""

    def reserve(self, output_limit: int) -> int:
        """Tokens to keep free for an answer: its limit, but no more than a quarter of a small window."""
        window = self.window or 0
        return max(window // 10, min(output_limit, window // 4))

    def crowded(self, output_limit: int) -> bool:
        """Whether too little is left for an answer. Never where the window isn't known."""
        return self.window is not None and self.filled + self.reserve(output_limit) > self.window

    def longest_summary(self, request: Request) -> int:
        """Tokens that a summary asked for with this request may have; few or none where it won't fit."""
        if self.window is None:
            return request.output_limit
        most = min(request.output_limit, max(LEAST_SUMMARY, self.window // 8))
        return min(most, self.window - self.tokens(request))

    def tokens(self, request: Request) -> int:
        """Tokens of a whole request, estimated."""
        return round(estimate(request, 0).input_tokens * self.scale)

    def tokens_of(self, request: Request, messages: tuple[Message, ...]) -> int:
        """Tokens of these messages alone; `request` names the prefix that they would be sent on."""
        bare, full = replace(request, messages=()), replace(request, messages=messages)
        return round((estimate(full, 0).input_tokens - estimate(bare, 0).input_tokens) * self.scale)


Gauge: TypeAlias = Callable[[Request], Awaitable[Room]]


def measured(request: Request, window: int | None, counted: Usage | None) -> Room:
    """How full this request leaves the window.

    `counted` is the usage of the call that ended at the request's `previous_end`; None where there is none,
    as after a compaction: then all of it is an estimate.
    """
    places = {message.id: place for place, message in enumerate(request.messages)}
    place = places.get(request.previous_end or "")
    if counted is None or place is None or not counted.prompt_tokens:
        return Room(window, estimate(request, 0).input_tokens)
    sent, rest = request.messages[: place + 1], request.messages[place + 1 :]
    if rest and rest[0].role == "assistant":
        rest = rest[1:]  # counted as output
    guess = estimate(replace(request, messages=sent), 0).input_tokens
    room = Room(window, 0, min(max(counted.prompt_tokens / max(1, guess), _LEAST_SCALE), _MOST_SCALE))
    return replace(room, filled=counted.total_tokens + room.tokens_of(request, rest))
