"""Says before a model call what it will cost, as far as that can be known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite

from agent.cache import lifetime
from providers.call import estimate
from providers.pricing import MILLION, Rates, price
from providers.types import ModelRef, Request, Usage
from sessions.records import CallLine

ASSUMED_LIFETIME = 300.0
"""Seconds that an entry is taken to live where the provider doesn't say. Of its own OpenAI's guide to prompt
caching says five to ten minutes without use."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What the next call will cost, in US dollars: its prompt, and each token of its answer."""

    prompt: float
    answer_token: float

    def affordable(self, dollars: float) -> int | None:
        """Tokens of an answer that this much pays for after the prompt, below 0 where not even that; None
        where any answer can be paid for."""
        left = dollars - self.prompt
        if self.answer_token <= 0:
            return None if left >= 0 else -1
        tokens = left / self.answer_token
        return int(tokens) if isfinite(tokens) else None


def project(
    request: Request, calls: Iterable[CallLine], *, now: float, rates: Mapping[str, Rates]
) -> Projection | None:
    """What this request will cost; None where no price is known. `calls` are those before it, in order.

    A token counts as read from the cache where the call before read or wrote it and its entry still lives.
    Any other counts at the dearest rate that a new token of the prompt may have: how much of it the provider
    will write to its cache isn't known before.
    """
    model = request.prefix.model
    read, new = _prompt(request, _before(request, calls), now)
    prompts = [
        Usage(input_tokens=new, cache_read_tokens=read),
        Usage(cache_write_tokens=new, cache_read_tokens=read),
    ]
    if request.prefix.parameters.cache_ttl != "5m":
        prompts.append(replace(prompts[1], cache_write_1h_tokens=new))
    priced = [(cost, usage) for usage in prompts if (cost := _cost(model, usage, now, rates)) is not None]
    if not priced:
        return None
    prompt, usage = max(priced, key=lambda each: each[0])
    whole = _cost(model, replace(usage, output_tokens=MILLION), now, rates)
    return None if whole is None else Projection(prompt, (whole - prompt) / MILLION)


def _before(request: Request, calls: Iterable[CallLine]) -> CallLine | None:
    """The call that this request goes on from: the one that ended where it says that the previous one did."""
    end, model = request.previous_end, str(request.prefix.model)
    if end is None:
        return None
    found = (call for call in reversed([*calls]) if call.parent == end and call.model == model)
    return next((call for call in found if call.answered), None)


def _prompt(request: Request, before: CallLine | None, now: float) -> tuple[int, int]:
    """Tokens of the prompt that will be read from the cache, and all others, estimated."""
    if before is None:
        return 0, estimate(request, 0).input_tokens
    usage = before.usage
    size = usage.total_tokens + _grown(request, counted=before.purpose != "warm")
    warm = usage.cache_reported and now < before.started + (lifetime(request.prefix) or ASSUMED_LIFETIME)
    return (held, size - held) if warm and (held := _held(usage)) else (0, size)


def _held(usage: Usage) -> int:
    """Tokens that a call left in the cache: what it read and wrote, or where writes go unsaid all it sent."""
    if usage.cache_write_tokens:
        return usage.cache_read_tokens + usage.cache_write_tokens
    return usage.prompt_tokens if usage.cache_read_tokens else 0


def _grown(request: Request, *, counted: bool) -> int:
    """Tokens, estimated, by which the conversation grew since the previous call.

    Its answer is none of them where the provider `counted` that as the call's output.
    """
    places = [message.id for message in request.messages]
    rest = (
        request.messages[places.index(request.previous_end) + 1 :] if request.previous_end in places else ()
    )
    answered = counted and bool(rest) and rest[0].role == "assistant"
    bare = replace(request, messages=())
    grown = replace(request, messages=rest[1:] if answered else rest)
    return estimate(grown, 0).input_tokens - estimate(bare, 0).input_tokens


def _cost(model: ModelRef, usage: Usage, at: float, rates: Mapping[str, Rates]) -> float | None:
    known = price(model, usage, at=at, overrides=rates)
    return known.cost if known else None
