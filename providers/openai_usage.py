"""Reads the usage object of OpenAI's wires, and of the many servers that copy them, into disjoint buckets.

The prompt count normally includes what was read from the cache and what was written to it. Some servers count
otherwise and say so nowhere, but their sums give them away: see `_read_prompt` and `_read_total`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from providers.counts import LARGEST_BILL, count, section
from providers.openai_counts import Counts, odd_counts
from providers.types import JSONObject, Usage

TICKS = 10**10
"""In a dollar, of xAI's `cost_in_usd_ticks` (docs.x.ai/developers/cost-tracking)."""

COSTS_IN_DOLLARS = frozenset({"openrouter", "litellm"})
"""Providers whose bare `cost` is in US dollars, as OpenRouter's credits and LiteLLM's sums are."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a usage object comes to, and what in it did not add up: each note one clause for a person."""

    usage: Usage
    notes: tuple[str, ...] = ()


def openai_usage(raw: JSONObject) -> Usage:
    """The usage of one call, in disjoint buckets; what the wire did not say is 0. Never raises.

    Takes a chat completion's or a response's usage object, or `{"timings": {...}}` where a llama.cpp server
    sent no usage.
    """
    return openai_reading(raw).usage


def openai_reading(raw: JSONObject) -> Reading:
    """The same, with notes where the wire contradicted itself. Never raises; no bucket is ever negative."""
    said, timings = Counts.of(raw), section(raw, "timings")
    if timings and not (said.prompt or said.completion):
        return Reading(_from_timings(timings), tuple(odd_counts(timings)))
    prompt = _read_prompt(said)
    answer = _read_total(said, prompt)
    usage = Usage.told(
        answer.uncached,
        answer.output,
        said.read,
        said.write,
        write_1h=said.long_write,
        reasoning=answer.reasoning,
    )
    return Reading(usage, (*odd_counts(raw), *_contradictions(said), *answer.notes))


def openai_cached_read_tokens(usage: JSONObject | None) -> int:
    """Prompt tokens read from the cache; 0 where the wire said nothing. The one reader of that field."""
    return Counts.of(usage or {}).read or 0


def openai_billed_cost(raw: JSONObject, provider: str = "") -> float | None:
    """The US dollars that the endpoint itself says it billed; None where it does not tell, or in what money.

    This wins over any price table. Known to bill in dollars, by the marks in the usage object itself:

    - xAI: `cost_in_usd_ticks`, what was charged after all discounts
    - OpenRouter: `cost` beside `cost_details` or `is_byok`, in credits, which are dollars. With a key of the
      person's own (`is_byok`) `cost` is OpenRouter's fee alone; `cost_details.upstream_inference_cost` is
      what the model's host bills to that key, so both together are what the call cost

    A bare `cost` counts only for a `provider` of `COSTS_IN_DOLLARS`, by its configured name.
    """
    charged = _money(raw.get("cost_in_usd_ticks"), per_dollar=TICKS)
    if charged is not None:
        return charged
    cost = _money(raw.get("cost"))
    marked = "cost_details" in raw or "is_byok" in raw
    if cost is None or not (marked or provider in COSTS_IN_DOLLARS):
        return None
    if raw.get("is_byok") is True:
        return cost + (_money(section(raw, "cost_details").get("upstream_inference_cost")) or 0.0)
    return cost


# --- the rules, in their order -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Prompt:
    """How the prompt count is to be read."""

    uncached: int
    beside: int = 0
    """Tokens of the cache that the prompt count left out."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """How the whole usage object is to be read."""

    uncached: int
    output: int
    reasoning: int
    notes: tuple[str, ...] = ()


def _read_prompt(said: Counts) -> _Prompt:
    """What of the prompt met no cache, from the prompt's own counts."""
    prompt, read, write = said.prompt, said.read or 0, said.write or 0
    if prompt >= read + write:
        return _Prompt(prompt - read - write)  # (1) it includes both
    if prompt >= read:
        return _Prompt(prompt - read, beside=write)  # (2) writes stand outside it
    return _Prompt(prompt, beside=read + write)  # (3) it leaves out both


def _read_total(said: Counts, prompt: _Prompt) -> _Answer:
    """What was generated: all that the total holds beyond prompt and completion belongs somewhere."""
    read, write, thought = said.read or 0, said.write or 0, said.reasoning or 0
    uncached, extra = prompt.uncached, said.extra
    if extra == 0:
        return _Answer(uncached, said.completion, thought)
    if extra == thought:
        return _Answer(uncached, said.completion + extra, thought)  # (4) reasoning stands outside (xAI)
    if not (read or write or thought):
        return _Answer(uncached, said.completion + extra, extra)  # (5) hidden thoughts (Gemini)
    if extra == write:
        # (6) writes stand outside the prompt although there is room for them (LiteLLM before Bedrock, 2025)
        return _Answer(uncached if prompt.beside else said.prompt - read, said.completion, thought)
    if extra == read + write:
        return _Answer(said.prompt, said.completion, thought)  # (7) the prompt leaves out both
    # (8) The rest was generated, as far as anyone can tell; what is known to stand beside the prompt was not.
    rest = extra - prompt.beside if extra > prompt.beside else extra
    output = said.completion + rest
    if not (write or thought or prompt.beside):
        return _Answer(uncached, output, rest)  # hidden thoughts again: nothing else could hold them
    note = f"total_tokens holds {rest} more than the other counts explain; they are booked as output"
    return _Answer(uncached, output, thought or rest, (note,))


def _contradictions(said: Counts) -> Iterator[str]:
    """What the counts say against one another, beyond what a convention explains."""
    if said.total is not None and said.total < said.prompt + said.completion:
        yield f"total_tokens ({said.total}) is less than prompt and completion together"
    if (said.reasoning or 0) > said.completion + said.extra:
        yield f"more reasoning ({said.reasoning}) than the whole answer"
    if said.long_write > (said.write or 0):
        yield f"more long-lived cache writes ({said.long_write}) than writes"
    for name, values in (("cache reads", said.reads), ("cache writes", said.writes)):
        if len(set(values)) > 1:
            yield f"different counts of {name}: {', '.join(map(str, values))}; the largest is booked"


# --- buckets ------------------------------------------------------------------------------------------------


def _from_timings(timings: JSONObject) -> Usage:
    """llama.cpp's own figures: `prompt_n` were computed, `cache_n` reused."""
    uncached, output = count(timings.get("prompt_n")) or 0, count(timings.get("predicted_n")) or 0
    return Usage.told(uncached, output, count(timings.get("cache_n")), None)


def _money(value: object, *, per_dollar: float = 1.0) -> float | None:
    """US dollars, or None where there are none: no bool, nothing negative, nothing that nobody could pay."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        dollars = float(value) / per_dollar
    except (ValueError, OverflowError):
        return None
    return dollars if 0 <= dollars <= LARGEST_BILL else None
