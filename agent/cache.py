"""How long a provider keeps what was sent, as far as it says."""

from __future__ import annotations

from providers.types import Prefix

MINUTE = 60.0

UNTHINKING = frozenset({"local", "scripted"})
"""Wires that have no effort to tell their model of."""


def minds_effort(prefix: Prefix) -> bool:
    """Whether the effort reaches the model, and so is part of what its cache is looked up by."""
    return prefix.encoder.partition("/")[0] not in UNTHINKING


def lifetime(prefix: Prefix) -> float | None:
    """Seconds from a request's start until its cache entry expires; None where the provider doesn't say.

    Anthropic: 5 minutes or 1 hour as asked, refreshed by a hit (its prompt-caching documentation). Ollama:
    the `keep_alive` that our requests carry, nothing to count down where that is for ever. The OpenAI family
    names no lifetime that could be counted down.
    """
    match prefix.encoder.partition("/")[0]:
        case "anthropic" | "bedrock":
            return 60 * MINUTE if prefix.parameters.cache_ttl == "1h" else 5 * MINUTE
        case "ollama":
            asked = prefix.parameters.keep_alive
            if asked is None:
                return 30 * MINUTE
            return asked if asked >= 0 else None
        case _:
            return None
