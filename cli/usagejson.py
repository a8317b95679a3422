"""Usage as a JSON object: the one shape that every JSON face prints."""

from __future__ import annotations

from providers.types import JSON, Usage


def usage_object(usage: Usage) -> dict[str, JSON]:
    """Disjoint buckets in tokens; `cache_hit_rate` is null where the provider said nothing about caching."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "prompt_tokens": usage.prompt_tokens,
        "total_tokens": usage.total_tokens,
        "cache_hit_rate": usage.cache_hit_rate,
        "cache_reported": usage.cache_reported,
    }
