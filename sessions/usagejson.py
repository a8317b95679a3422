"""Usage and cost as JSON: the one shape that every JSON face prints."""

from __future__ import annotations

from providers.types import JSON, Usage


def usage_object(usage: Usage) -> dict[str, JSON]:
    """Disjoint buckets in tokens; `cache_hit_rate` is null where the provider said nothing about caching."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "prompt_tokens": usage.prompt_tokens,
        "total_tokens": usage.total_tokens,
        "cache_hit_rate": usage.cache_hit_rate,
        "cache_reported": usage.cache_reported,
    }


def cost_object(known: float, unknown_calls: int) -> dict[str, JSON]:
    """US dollars: null where a call's price is unknown, and what is known of it in any case."""
    return {"cost_usd": None if unknown_calls else known, "cost_at_least": known}
