"""The encoder `local/1`: a request as the embedded engine's chat completion, its messages in plain text.

Each message is encoded from itself alone, and what the model wrote goes back untrimmed: its tokens are then
the ones that the engine's cache holds. A change of what it makes is a new version beside this one, never an
edit.
"""

from __future__ import annotations

from collections.abc import Mapping

from providers.openai_messages import encode_tools
from providers.types import (
    JSON,
    Block,
    Image,
    Message,
    Opaque,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    canonical,
)

ENCODER = "local/1"
LONGEST_ANSWER = 256
"""Tokens. At temperature 0 a model this small may repeat itself without end."""

AGAINST_LOOPS: Mapping[str, JSON] = {
    "dry_multiplier": 0.8,
    "dry_allowed_length": 3,
    "dry_penalty_last_n": 128,
}
"""llama.cpp's DRY sampler: it makes runs of tokens that repeat unlikely and leaves single ones alone. A
penalty on those would keep the model from ever writing a tool call."""

UNSEEN_IMAGE = "[an image, which this model cannot see]"


def encode(request: Request) -> dict[str, JSON]:
    """The request's body. Temperature 0 answers the same conversation the same way; there is one KV slot."""
    prefix = request.prefix
    system: list[JSON] = [{"role": "system", "content": prefix.system}] if prefix.system else []
    body: dict[str, JSON] = {
        "model": prefix.model.name,
        "messages": system + [_message(message) for message in request.messages],
        "max_tokens": min(request.output_limit, LONGEST_ANSWER),
        "temperature": 0,
        **AGAINST_LOOPS,
        "cache_prompt": True,
        "id_slot": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prefix.tools:
        body["tools"] = encode_tools(prefix.tools)
    return body


def _message(message: Message) -> JSON:
    match message.role:
        case "tool":
            results = [block for block in message.blocks if isinstance(block, ToolResult)]
            answers = results[0].call_id if results else ""
            return {"role": "tool", "tool_call_id": answers, "content": _joined(message, "\n\n")}
        case "assistant":
            encoded: dict[str, JSON] = {"role": "assistant", "content": _joined(message, "")}
            if message.tool_calls:
                encoded["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
            return encoded
        case "user" | "system":
            return {"role": message.role, "content": _joined(message, "\n\n")}


def _joined(message: Message, between: str) -> str:
    return between.join(text for block in message.blocks if (text := _text(block)))


def _text(block: Block) -> str:
    match block:
        case Text(text):
            return text
        case ToolResult(text=text, images=images):
            return "\n\n".join((text, *(UNSEEN_IMAGE for _ in images)))
        case Image():
            return UNSEEN_IMAGE
        case ToolCall() | Thinking() | Opaque():
            return ""


def _tool_call(call: ToolCall) -> JSON:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments(call)}}


def _arguments(call: ToolCall) -> str:
    """The arguments as they came. Broken ones go inside an object, or the engine refuses them."""
    try:
        call.arguments()
    except ValueError:
        return canonical({"malformed_arguments": call.raw_arguments})
    return call.raw_arguments if call.raw_arguments.strip() else "{}"
