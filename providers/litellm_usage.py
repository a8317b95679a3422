"""Reads the usage that LiteLLM's library hands on, whichever provider's shape it has."""

from __future__ import annotations

from providers.anthropic_answer import anthropic_usage
from providers.openai_usage import openai_usage
from providers.types import JSONObject, Usage


def litellm_usage(raw: JSONObject) -> Usage:
    """The usage of one call, in disjoint buckets; what was not said is 0. Never raises.

    The library puts most of what it meets into OpenAI's shape, and repeats the cache's counts in Anthropic's
    names beside it; some of its routes leave Anthropic's shape as it came, which counts exclusively.
    """
    told_by_openai = any(
        name in raw for name in ("prompt_tokens", "completion_tokens", "input_tokens_details")
    )
    return openai_usage(raw) if told_by_openai else anthropic_usage(raw)
