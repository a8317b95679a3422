"""Makes a request for LiteLLM's library: `litellm-sdk/1`, the same values for the same conversation for ever.

It is the chat completion that `openai-chat/1` makes, with Anthropic's cache markers where the model is a
Claude: the library turns them into what the model's host takes (cache points on Bedrock).
"""

from __future__ import annotations

from typing import Any

from providers.openai_messages import encode_messages, encode_tools
from providers.openai_request import without_half_characters
from providers.types import JSON, Origin, Prefix, Request

ENCODER = "litellm-sdk/1"
WIRE = "litellm-sdk"

NOTHING_LEFT_OUT: frozenset[str] = frozenset()


def request_arguments(
    request: Request, origin: Origin, left_out: frozenset[str] = NOTHING_LEFT_OUT
) -> dict[str, Any]:
    """What `litellm.acompletion` is called with, but for where and with which key; without `left_out`."""
    prefix = request.prefix
    tools = encode_tools(prefix.tools)
    messages = encode_messages(prefix, request.messages, origin=origin)
    if "claude" in prefix.model.name.lower():
        _mark(prefix, tools, messages)
    arguments: dict[str, Any] = {
        "model": prefix.model.name,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.output_limit,
        "drop_params": True,  # what the model's host does not know
        "max_retries": 0,  # the loop retries, and books every try
        "num_retries": 0,
    }
    if tools:
        arguments["tools"] = tools
    if prefix.parameters.effort:
        arguments["reasoning_effort"] = prefix.parameters.effort
    whole = without_half_characters(arguments)
    return {name: value for name, value in whole.items() if name not in left_out}


def _mark(prefix: Prefix, tools: list[JSON], messages: list[JSON]) -> None:
    """Put markers behind the tools, the system prompt, the end of the call before, and that of this one."""
    lifetime = {"ttl": "1h"} if prefix.parameters.cache_ttl == "1h" else {}
    marker = {"type": "ephemeral", **lifetime}
    if tools:
        tools[-1]["cache_control"] = marker
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    ends = {place for place in (answers[-1] - 1 if answers else -1, len(messages) - 1) if place >= 0}
    if prefix.system:
        ends.add(0)
    for place in sorted(ends):
        if messages[place]["role"] != "assistant":
            messages[place]["content"] = _marked(messages[place]["content"], marker)


def _marked(content: JSON, marker: dict[str, str]) -> JSON:
    """The content with a marker at its end. Blank text takes none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content, "cache_control": marker}] if content.strip() else content
    return [*content[:-1], {**content[-1], "cache_control": marker}] if content else content
