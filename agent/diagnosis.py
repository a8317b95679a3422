"""Why a call may miss in the cache, and the provider's own word on it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from providers.types import JSONObject

Cause: TypeAlias = Literal[
    "expired",
    "model_changed",
    "tools_changed",
    "system_changed",
    "parameters_changed",
    "history_changed",
    "compacted",
    "affinity_or_eviction",
]
"""A session's first call, and a prompt too short to be kept, could have read nothing: they miss nothing."""

ANNOUNCED: frozenset[str] = frozenset({"model_changed", "parameters_changed", "compacted"})
"""The causes that a person was told of before they came: a switch of the model or its effort, a summary."""

TOLD: dict[str, Cause] = {
    "model_changed": "model_changed",
    "system_changed": "system_changed",
    "tools_changed": "tools_changed",
    "messages_changed": "history_changed",
    "prompt_cache_key_changed": "parameters_changed",
    "text_format_changed": "parameters_changed",
    "reasoning_effort_changed": "parameters_changed",
    "verbosity_changed": "parameters_changed",
    "service_tier_changed": "parameters_changed",
    "context_compacted": "compacted",
    "input_changed": "history_changed",
}
"""The causes that Anthropic (`cache_miss_reason`) and OpenAI (`prompt_cache_diagnostics`) name.

Where they can't tell they say `previous_message_not_found`, `comparison_response_not_found` or `unavailable`:
none of that is a cause (cache_miss_previous_message_not_found.py and cache_miss_unavailable.py in Anthropic's
SDK: "doesn't mean that this request changed", "can't give a diagnosis").
"""

LOADING = 500_000_000
"""Nanoseconds: a model that takes as long as this to be ready was not in memory."""


def response_of(raw_usage: JSONObject) -> str:
    """The endpoint's own id of the answer, where it stands beside the usage."""
    return str(raw_usage.get("response_id") or "")


def reloaded(raw_usage: JSONObject) -> bool:
    """Whether a server that keeps models in memory had to load this one (Ollama's `load_duration`, in ns).

    It tells some tens of milliseconds for a model that was there.
    """
    took = raw_usage.get("load_duration")
    return isinstance(took, int | float) and took >= LOADING


def told_cause(raw_usage: JSONObject) -> Cause | None:
    """The provider's own diagnosis, where one stands beside the usage."""
    for name in ("diagnostics", "prompt_cache_diagnostics"):
        match raw_usage.get(name):
            case {"cache_miss_reason": {"type": str(kind)}} | {"reason": str(kind)} if kind in TOLD:
                return TOLD[kind]
            case _:
                continue
    return None
