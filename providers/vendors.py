"""Where the known vendors' OpenAI-compatible endpoints are, and what each wants, by its own documentation.

The quirks' names are explained in `openai_request`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OPENAI_QUIRKS = frozenset({"prompt_cache_key", "max_completion_tokens", "short_call_ids"})
"""What OpenAI's own endpoint wants, and every endpoint that a person calls `openai`."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor's endpoint."""

    base_url: str
    key_variable: str
    """The environment variable in which its own tools and documentation keep the key."""
    quirks: frozenset[str] = frozenset()
    base_url_variable: str = ""
    """The variable by which the vendor's own tools are pointed elsewhere; empty where there is none."""
    needs_key: bool = True
    host_quirks: frozenset[str] = frozenset()
    """What its own host wants besides; another address under its name need not."""


def _local(base_url: str, key_variable: str, *quirks: str, base_url_variable: str = "") -> Vendor:
    """A server that a person runs, at the port it listens on by default; most run without a key."""
    return Vendor(base_url, key_variable, frozenset(quirks), base_url_variable, needs_key=False)


VENDORS: Mapping[str, Vendor] = {
    # developers.openai.com/api/docs; the official SDKs read both variables.
    "openai": Vendor(
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        OPENAI_QUIRKS,
        base_url_variable="OPENAI_BASE_URL",
        host_quirks=frozenset({"cache_diagnostics"}),
    ),
    # ai.google.dev/gemini-api/docs/openai: `reasoning_effort` from minimal to high, or none.
    "gemini": Vendor(
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        frozenset({"efforts:minimal,low,medium,high"}),
    ),
    # console.groq.com/docs/openai, /docs/reasoning: low, medium and high for gpt-oss; none turns Qwen's off.
    "groq": Vendor("https://api.groq.com/openai/v1", "GROQ_API_KEY", frozenset({"efforts:low,medium,high"})),
    # docs.x.ai: which efforts there are differs by model, and some models refuse the field.
    "xai": Vendor("https://api.x.ai/v1", "XAI_API_KEY", frozenset({"affinity:x-grok-conv-id"})),
    # api-docs.deepseek.com/guides/thinking_mode: any effort is mapped to one it has; reasoning goes back with
    # every message that called tools.
    "deepseek": Vendor(
        "https://api.deepseek.com",
        "DEEPSEEK_API_KEY",
        frozenset({"reasoning_content", "effort_off:thinking"}),
    ),
    # docs.mistral.ai/capabilities/reasoning/adjustable: `reasoning_effort` is high or none. Its API refuses
    # ids of tool calls that are not nine letters and digits.
    "mistral": Vendor(
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        frozenset({"prompt_cache_key", "efforts:high", "nine_letter_call_ids"}),
    ),
    # openrouter.ai/docs/use-cases/reasoning-tokens: an object, which it maps for the model's host.
    "openrouter": Vendor(
        "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", frozenset({"effort:reasoning"})
    ),
    # lmstudio.ai/docs/developer: chat completions take no effort; a token only where the person wants one.
    "lmstudio": _local("http://127.0.0.1:1234/v1", "LM_API_TOKEN", "effort:"),
    # docs.vllm.ai, OpenAI-compatible server: `VLLM_API_KEY` is what `--api-key` falls back to.
    "vllm": _local("http://127.0.0.1:8000/v1", "VLLM_API_KEY", "efforts:low,medium,high"),
    # llama.cpp's tools/server/README: an effort reaches the model only through its chat template.
    "llamacpp": _local(
        "http://127.0.0.1:8080/v1",
        "LLAMA_API_KEY",
        "effort:chat_template_kwargs",
        "effort_off:chat_template_kwargs",
    ),
    # docs.litellm.ai/docs/providers/litellm_proxy: the variables of its own client.
    "litellm": _local(
        "http://127.0.0.1:4000",
        "LITELLM_PROXY_API_KEY",
        base_url_variable="LITELLM_PROXY_API_BASE",
    ),
}
"""In the order in which a default is looked for: none of the local servers has a default model."""
