"""The encoder `ollama/1`: a request's prefix and messages as the JSON of Ollama's `/api/chat`.

What was sent once is sent again byte for byte, from a resumed process too. A change of what this makes is a
new version beside it, never an edit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from providers.types import (
    JSON,
    Image,
    Message,
    Origin,
    Prefix,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
)

ENCODER = "ollama/1"


def encode_tools(tools: Iterable[ToolSpec]) -> list[JSON]:
    """The tools in the order given, their schemas whole."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": json.loads(tool.parameters),
            },
        }
        for tool in tools
    ]


def encode_messages(prefix: Prefix, messages: Iterable[Message], origin: Origin) -> list[JSON]:
    """The system prompt and the conversation. A model's reasoning goes back to the model at `origin` alone;
    its template decides what it reads of it."""
    encoded: list[JSON] = [{"role": "system", "content": prefix.system}] if prefix.system else []
    for message in messages:
        if message.role == "tool":
            encoded.extend(_result(block) for block in message.blocks if isinstance(block, ToolResult))
        else:
            encoded.append(_message(message, origin))
    return encoded


def _message(message: Message, origin: Origin) -> JSON:
    text = "\n\n".join(block.text for block in message.blocks if isinstance(block, Text))
    encoded: dict[str, JSON] = {"role": message.role, "content": text}
    thinking = "".join(
        block.text for block in message.blocks if isinstance(block, Thinking) and block.origin == origin
    )
    if thinking:
        encoded["thinking"] = thinking
    if images := [block for block in message.blocks if isinstance(block, Image)]:
        encoded["images"] = [image.data for image in images]
    if message.tool_calls:
        encoded["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    return encoded


def _tool_call(call: ToolCall) -> JSON:
    return {"id": call.id, "function": {"name": call.name, "arguments": _arguments(call)}}


def _arguments(call: ToolCall) -> JSON:
    """The arguments as the object that this wire wants, in the order in which they came."""
    try:
        return call.arguments()
    except ValueError:
        return {"malformed_arguments": call.raw_arguments}


def _result(result: ToolResult) -> JSON:
    encoded: dict[str, JSON] = {
        "role": "tool",
        "tool_name": result.name,
        "tool_call_id": result.call_id,
        "content": result.text,
    }
    if result.images:
        encoded["images"] = [image.data for image in result.images]
    return encoded
