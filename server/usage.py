"""The only place that builds a usage object: what a run's model calls came to, as OpenAI's clients read it.

OpenAI counts cached tokens as part of the input, in every field here; Cachet's own values and the command
line keep the buckets disjoint. `docs/server.md` has the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from providers.types import JSON, Usage
from sessions.bill import cost_of
from sessions.records import CallLine

_Shape: TypeAlias = Callable[[Usage], dict[str, JSON]]


def chat_usage(calls: Sequence[CallLine]) -> dict[str, JSON]:
    """The `usage` of a chat completion: the sum of a run's calls, and the last one's own beside it."""
    return _summed(calls, _chat)


def response_usage(calls: Sequence[CallLine]) -> dict[str, JSON]:
    """The `usage` of a response: the sum of a run's calls, and the last one's own beside it."""
    return _summed(calls, _response)


def totals_of(usage: Usage, known_cost: float, unknown_calls: int) -> dict[str, JSON]:
    """Counters that were summed before, of a session or a day. `known_cost` in US dollars."""
    return {
        **_flat(usage),
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": None if unknown_calls else known_cost,
        "cost_at_least_usd": known_cost,
    }


def _summed(calls: Sequence[CallLine], shape: _Shape) -> dict[str, JSON]:
    whole = {**shape(_total(calls)), "cost_usd": cost_of(calls).exact, "model_calls": len(calls)}
    if any(call.estimated for call in calls):
        whole["estimated"] = True
    if calls:
        last = calls[-1]
        whole["last_call"] = {**shape(last.usage), "cost_usd": last.cost, "model": last.model}
    return whole


def _chat(usage: Usage) -> dict[str, JSON]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.output_tokens,
        "prompt_tokens_details": _input_details(usage),
        "completion_tokens_details": _output_details(usage),
        **_flat(usage),
    }


def _response(usage: Usage) -> dict[str, JSON]:
    return {
        "input_tokens_details": _input_details(usage),
        "output_tokens_details": _output_details(usage),
        **_flat(usage),
    }


def _flat(usage: Usage) -> dict[str, JSON]:
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_hit_rate": usage.cache_hit_rate,
    }


def _input_details(usage: Usage) -> dict[str, JSON]:
    return {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}


def _output_details(usage: Usage) -> dict[str, JSON]:
    return {"reasoning_tokens": usage.reasoning_tokens}


def _total(calls: Sequence[CallLine]) -> Usage:
    return sum((call.usage for call in calls), Usage())
