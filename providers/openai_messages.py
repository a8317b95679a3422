"""The encoder `openai-chat/1`: a request's prefix and messages as chat completions' JSON.

What was sent once is sent again byte for byte, from a resumed process too. A change of what this makes is a
new version beside it, never an edit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from providers.call_ids import CallId
from providers.openai_extras import EXTRA, Kept
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
    canonical,
)

ENCODER = "openai-chat/1"

NOTHING: JSON = {"role": "assistant", "content": ""}
"""An answer of thinking alone, or of another model's: several endpoints refuse an empty message."""


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


def encode_messages(
    prefix: Prefix,
    messages: Iterable[Message],
    *,
    origin: Origin | None = None,
    reasoning_of: Origin | None = None,
    call_id: CallId = str,
) -> list[JSON]:
    """The system prompt and the conversation.

    What a message holds beside OpenAI's own fields goes back to the model it came from, at `origin`, and its
    reasoning to `reasoning_of`, where the endpoint asks for that. Such an endpoint (DeepSeek's) refuses a
    message that called tools without the field, so there it stands even empty. `call_id` puts the ids of
    tool calls into the form that the endpoint takes. An answer of which nothing is left is not sent.
    """
    encoded: list[JSON] = [{"role": "system", "content": prefix.system}] if prefix.system else []
    # A tool message may hold text only, and nothing may stand between the answers to one message's calls:
    # their images follow in a user's message once all are there.
    shown: list[Image] = []
    for message in messages:
        if message.role != "tool" and shown:
            encoded.append({"role": "user", "content": [_image(image) for image in shown]})
            shown = []
        encoded.extend(_encode(message, origin, reasoning_of, call_id))
        if message.role == "tool":
            shown.extend(image for result in _results(message) for image in result.images)
    if shown:
        encoded.append({"role": "user", "content": [_image(image) for image in shown]})
    return encoded


def _encode(
    message: Message, origin: Origin | None, reasoning_of: Origin | None, call_id: CallId
) -> Iterator[JSON]:
    match message.role:
        case "tool":
            for result in _results(message):
                yield {"role": "tool", "tool_call_id": call_id(result.call_id), "content": result.text}
        case "assistant":
            answer = _assistant(message, Kept.of(message.blocks, origin), reasoning_of, call_id)
            if answer != NOTHING:
                yield answer
        case "user" | "system" as role:
            yield {"role": role, "content": _content(message)}


def _assistant(message: Message, kept: Kept, reasoning_of: Origin | None, call_id: CallId) -> JSON:
    text = _joined_text(message)
    encoded: dict[str, JSON] = {"role": "assistant", "content": text, **kept.message}
    reasoning = "".join(
        block.text
        for block in message.blocks
        if isinstance(block, Thinking) and reasoning_of is not None and block.origin == reasoning_of
    )
    if reasoning or (reasoning_of is not None and message.tool_calls):
        encoded["reasoning_content"] = reasoning
    if message.tool_calls:
        encoded["content"] = text or None
        encoded["tool_calls"] = [_tool_call(call, kept, call_id) for call in message.tool_calls]
    return encoded


def _tool_call(call: ToolCall, kept: Kept, call_id: CallId) -> JSON:
    return {
        "id": call_id(call.id),
        "type": "function",
        "function": {"name": call.name, "arguments": sent_arguments(call)},
        **({EXTRA: kept.calls[call.id]} if call.id in kept.calls else {}),
    }


def sent_arguments(call: ToolCall) -> str:
    """The arguments as they came. Broken ones go back inside an object: servers that parse them for the
    model's template (llama.cpp, vLLM) would refuse the conversation from then on."""
    try:
        call.arguments()
    except ValueError:
        return canonical({"malformed_arguments": call.raw_arguments})
    return call.raw_arguments if call.raw_arguments.strip() else "{}"


def _content(message: Message) -> JSON:
    """A plain string where it is text alone, which is all that many servers take; else a list of parts."""
    images = [block for block in message.blocks if isinstance(block, Image)]
    if not images:
        return _joined_text(message)
    parts: list[JSON] = []
    for block in message.blocks:
        match block:
            case Text(text):
                parts.append({"type": "text", "text": text})
            case Image():
                parts.append(_image(block))
            case _:
                pass  # no other block stands in a user's or a system message
    return parts


def _image(image: Image) -> JSON:
    return {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{image.data}"}}


def _joined_text(message: Message) -> str:
    return "\n\n".join(block.text for block in message.blocks if isinstance(block, Text))


def _results(message: Message) -> list[ToolResult]:
    return [block for block in message.blocks if isinstance(block, ToolResult)]
