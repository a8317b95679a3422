"""Where the known vendors' OpenAI-compatible endpoints are, and what each wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from providers.openai_request import OPENAI_QUIRKS


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor's endpoint, from its own documentation. The quirks are those of `openai_request`."""

    base_url: str
    quirks: frozenset[str] = frozenset()


VENDORS: Mapping[str, Vendor] = {
    "openai": Vendor("https://api.openai.com/v1", OPENAI_QUIRKS),
    "gemini": Vendor("https://generativelanguage.googleapis.com/v1beta/openai"),
    "groq": Vendor("https://api.groq.com/openai/v1"),
    "xai": Vendor("https://api.x.ai/v1", frozenset({"affinity:x-grok-conv-id"})),
    "deepseek": Vendor("https://api.deepseek.com"),
    "mistral": Vendor("https://api.mistral.ai/v1", frozenset({"prompt_cache_key"})),
    "openrouter": Vendor("https://openrouter.ai/api/v1"),
}
