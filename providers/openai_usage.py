"""Reads the usage object of OpenAI's wires, and of the many servers that copy them, into disjoint buckets.

The prompt count normally includes what was read from the cache and what was written to it. Some servers count
otherwise and say so nowhere, but the sums give them away: see `_uncached` and `_generated`.
"""

from __future__ import annotations

from collections.abc import Iterable

from providers.counts import count, section
from providers.types import JSON, JSONObject, Usage


def openai_usage(raw: JSONObject) -> Usage:
    """The usage of one call, in disjoint buckets; what the wire did not say is 0. Never raises.

    Takes a chat completion's or a response's usage object, or `{"timings": {...}}` where a llama.cpp server
    sent no usage.
    """
    timings = section(raw, "timings")
    if timings:
        return _from_timings(timings)
    prompt, completion = _prompt(raw) or 0, _completion(raw) or 0
    read, write, reasoning = _read(raw), _write(raw), _reasoning(raw)
    # What the total holds beyond prompt and completion shows which of the counts stand beside each other.
    extra = max(0, (count(raw.get("total_tokens")) or 0) - prompt - completion)
    output, reasoned = _generated(
        completion, reasoning, extra, cached=(read or 0) + (write or 0), written=write or 0
    )
    uncached = _uncached(prompt, read or 0, write or 0, extra, reasoned=extra == reasoning)
    return _usage(uncached, output, read, write, _long_write(raw), reasoned)


def openai_cached_read_tokens(usage: JSONObject | None) -> int:
    """Prompt tokens read from the cache; 0 where the wire said nothing. The one reader of that field."""
    return _read(usage or {}) or 0


def _from_timings(timings: JSONObject) -> Usage:
    """llama.cpp's own figures: `prompt_n` were computed, `cache_n` reused."""
    uncached, output = count(timings.get("prompt_n")) or 0, count(timings.get("predicted_n")) or 0
    return _usage(uncached, output, count(timings.get("cache_n")), None, 0, 0)


def _usage(
    uncached: int, output: int, read: int | None, write: int | None, long_write: int, reasoning: int
) -> Usage:
    cached = (read or 0) + (write or 0)
    return Usage(
        input_tokens=uncached,
        output_tokens=output,
        cache_read_tokens=read or 0,
        cache_write_tokens=write or 0,
        cache_write_1h_tokens=min(long_write, write or 0),
        reasoning_tokens=min(reasoning, output),
        reported_prompt_tokens=0 if read is None and write is None else uncached + cached,
    )


def _uncached(prompt: int, read: int, write: int, extra: int, *, reasoned: bool) -> int:
    """The prompt tokens that met no cache."""
    cached = read + write
    if prompt < read:
        return prompt  # the prompt count stands beside both
    if prompt < cached:
        return prompt - read  # writes stand outside it
    if extra and not reasoned and extra == write:
        return prompt - read  # so too, though there is room for them (LiteLLM before Bedrock)
    if extra and not reasoned and extra == cached:
        return prompt
    return prompt - cached


def _generated(
    completion: int, reasoning: int | None, extra: int, *, cached: int, written: int
) -> tuple[int, int]:
    """All tokens that were generated, and how many of them were reasoning."""
    if not extra or (extra != reasoning and extra in (cached, written)):
        return completion, reasoning or 0
    if reasoning:
        return completion + extra, reasoning  # xAI counts its reasoning beside the completion
    return completion + extra, extra  # Gemini hides its thoughts from both counts, but not from the total


def _prompt(raw: JSONObject) -> int | None:
    said = _first(raw.get("prompt_tokens"), raw.get("input_tokens"))
    if said is not None:
        return said
    hit, miss = count(raw.get("prompt_cache_hit_tokens")), count(raw.get("prompt_cache_miss_tokens"))
    return None if hit is None and miss is None else (hit or 0) + (miss or 0)


def _completion(raw: JSONObject) -> int | None:
    return _first(raw.get("completion_tokens"), raw.get("output_tokens"))


def _read(raw: JSONObject) -> int | None:
    """Cache reads, None where the wire said nothing. Fields that repeat one another are never added up."""
    details = _details(raw, "prompt", "input")
    return _most(
        details.get("cached_tokens"),
        details.get("num_cached_tokens"),  # Mistral
        raw.get("cached_tokens"),  # Moonshot
        raw.get("num_cached_tokens"),
        raw.get("prompt_cache_hit_tokens"),  # DeepSeek, beside `cached_tokens` for the same tokens
        raw.get("cache_read_input_tokens"),  # LiteLLM, likewise
    )


def _write(raw: JSONObject) -> int | None:
    """Cache writes, None where the wire said nothing."""
    details = _details(raw, "prompt", "input")
    return _most(
        details.get("cache_write_tokens"),
        details.get("cache_creation_tokens"),  # LiteLLM, three times for the same tokens
        raw.get("cache_creation_input_tokens"),
    )


def _long_write(raw: JSONObject) -> int:
    """The part of the writes that was made for the longest lifetime."""
    details = _details(raw, "prompt", "input")
    return (
        _most(
            section(details, "cache_write_tokens_details").get("ttl_12h_tokens"),
            section(details, "cache_creation_token_details").get("ephemeral_1h_input_tokens"),
        )
        or 0
    )


def _reasoning(raw: JSONObject) -> int | None:
    return count(_details(raw, "completion", "output").get("reasoning_tokens"))


def _details(raw: JSONObject, chat: str, responses: str) -> JSONObject:
    return section(raw, f"{chat}_tokens_details") or section(raw, f"{responses}_tokens_details")


def _said(values: Iterable[JSON]) -> list[int]:
    return [number for value in values if (number := count(value)) is not None]


def _first(*values: JSON) -> int | None:
    return next(iter(_said(values)), None)


def _most(*values: JSON) -> int | None:
    return max(_said(values), default=None)
