"""Reads the usage of Amazon Bedrock's wires into disjoint buckets.

Converse counts exclusively: the whole prompt is `inputTokens` plus what was read from the cache plus what was
written to it. InvokeModel gives the same counts under names that end in `TokenCount`.
"""

from __future__ import annotations

import re

from providers.counts import count
from providers.types import JSON, JSONObject, Usage

_INCLUSIVE = re.compile(r"openai\.gpt-5\.6")
"""Models whose `inputTokens` hold what met the cache too, and whose `totalTokens` count it twice. No sum of
theirs tells, so it must be known."""


def bedrock_usage(raw: JSONObject, model: str = "") -> Usage:
    """The usage of one call of `model`, in disjoint buckets; what the wire did not say is 0. Never raises."""
    prompt = _either(raw, "inputTokens", "inputTokenCount") or 0
    output = _either(raw, "outputTokens", "outputTokenCount") or 0
    read = _either(raw, "cacheReadInputTokens", "cacheReadInputTokenCount")
    short, long = _written(raw.get("cacheDetails"))
    write = _either(raw, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    if write is None and (short is not None or long is not None):
        write = (short or 0) + (long or 0)
    cached = (read or 0) + (write or 0)
    uncached = prompt - cached if _INCLUSIVE.search(model) and prompt >= cached else prompt
    return Usage.told(uncached, output, read, write, write_1h=long or 0)


def _written(details: JSON) -> tuple[int | None, int | None]:
    """Tokens written to the cache for five minutes and for an hour; None where the wire did not say."""
    written: dict[str, int] = {}
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and (tokens := count(detail.get("inputTokens"))) is not None:
            lifetime = str(detail.get("ttl"))
            written[lifetime] = written.get(lifetime, 0) + tokens
    return written.get("5m"), written.get("1h")


def _either(raw: JSONObject, *names: str) -> int | None:
    counts = (count(raw.get(name)) for name in names)
    return next((number for number in counts if number is not None), None)
