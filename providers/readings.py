"""Reads a raw usage object by the wire that it came over: what the ledger and its audit need."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from providers.openai_usage import Reading, openai_billed_cost, openai_reading
from providers.types import JSONObject, Usage

READERS: Mapping[str, tuple[str, str]] = {
    "anthropic": ("providers.anthropic_answer", "anthropic_usage"),
    "openai-chat": ("providers.openai_usage", "openai_usage"),
    "openai-responses": ("providers.openai_usage", "openai_usage"),
    "local": ("providers.openai_usage", "openai_usage"),
    "ollama": ("providers.ollama_chunks", "ollama_usage"),
    "bedrock": ("providers.bedrock_usage", "bedrock_usage"),
    "litellm-sdk": ("providers.litellm_usage", "litellm_usage"),
    "scripted": ("providers.scripted", "scripted_usage"),
}
"""The module and the name of each wire's reader; it is imported when its wire is first met."""

BY_MODEL = frozenset({"bedrock"})
"""Wires on which some models count otherwise, so that their reader wants the model's name too."""

OPENAI_SHAPED = frozenset({"openai-chat", "openai-responses"})
"""Wires whose usage object may say what was charged, and whose reader notes what did not add up."""


def reading_of(wire: str, raw: JSONObject, *, model: str = "") -> Reading | None:
    """What a call with this raw usage was billed, in tokens, and what in it did not add up, a clause each.

    None for a wire that nobody here reads. `model` is the provider's own name of it.
    """
    if wire in OPENAI_SHAPED:
        return openai_reading(raw)
    usage = usage_of(wire, raw, model=model)
    return None if usage is None else Reading(usage)


def usage_of(wire: str, raw: JSONObject, *, model: str = "") -> Usage | None:
    """What a call with this raw usage was billed, in tokens; None for a wire that nobody here reads.

    `model` is the provider's own name of it.
    """
    found = READERS.get(wire)
    if found is None:
        return None
    reader: Callable[..., Usage] = _load(*found)
    return reader(raw, model) if wire in BY_MODEL else reader(raw)


def billed_cost(wire: str, raw: JSONObject, provider: str) -> float | None:
    """The US dollars that the endpoint of `provider` itself says it charged; None where it doesn't say."""
    if wire not in OPENAI_SHAPED:
        return None
    return openai_billed_cost(raw, provider)


def hosted(wire: str, raw: JSONObject) -> bool:
    """Whether a server of the person's own had the model run on somebody else's machine."""
    return wire == "ollama" and bool(raw.get("remote_host"))


def _load(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)
