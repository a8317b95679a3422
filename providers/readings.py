"""Reads a raw usage object anew, by the wire that it came over: what an audit of the ledger needs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

from providers.types import JSONObject, Usage

Reader: TypeAlias = Callable[[JSONObject], Usage]
"""A raw usage object in disjoint buckets. Never raises."""

READERS: Mapping[str, tuple[str, str]] = {
    "anthropic": ("providers.anthropic_answer", "anthropic_usage"),
    "openai-chat": ("providers.openai_usage", "openai_usage"),
    "openai-responses": ("providers.openai_usage", "openai_usage"),
    "local": ("providers.openai_usage", "openai_usage"),
    "ollama": ("providers.ollama_chunks", "ollama_usage"),
    "scripted": ("providers.scripted", "scripted_usage"),
}
"""The module and the name of each wire's reader; it is imported when its wire is first met."""


def usage_of(wire: str, raw: JSONObject) -> Usage | None:
    """What a call with this raw usage was billed, in tokens; None for a wire that nobody here reads."""
    found = READERS.get(wire)
    if found is None:
        return None
    module, name = found
    return cast(Reader, getattr(importlib.import_module(module), name))(raw)
