"""Where the known vendors' OpenAI-compatible endpoints are, and what each wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OPENAI_QUIRKS = frozenset({"prompt_cache_key", "max_completion_tokens"})
"""What OpenAI's own endpoint wants."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor's endpoint, from its own documentation. The quirks are those of `openai_request`."""

    base_url: str
    key_variable: str
    quirks: frozenset[str] = frozenset()
    base_url_variable: str = ""
    """The variable by which the vendor's own tools are pointed elsewhere; empty where there is none."""
    needs_key: bool = True


VENDORS: Mapping[str, Vendor] = {
    "openai": Vendor(
        "https://api.openai.com/v1", "OPENAI_API_KEY", OPENAI_QUIRKS, base_url_variable="OPENAI_BASE_URL"
    ),
    "gemini": Vendor("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "groq": Vendor("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "xai": Vendor("https://api.x.ai/v1", "XAI_API_KEY", frozenset({"affinity:x-grok-conv-id"})),
    "deepseek": Vendor("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    "mistral": Vendor("https://api.mistral.ai/v1", "MISTRAL_API_KEY", frozenset({"prompt_cache_key"})),
    "openrouter": Vendor("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
}
"""In the order in which a default is looked for."""
