"""The encoder `openai-responses/1`: a request's messages and tools as the Responses API's JSON.

What was sent once is sent again byte for byte, from a resumed process too, and each message is encoded from
itself alone. A change of what this makes is a new version beside it, never an edit.

What a model said goes back to it as the items that came: an `Opaque` block before a text or a tool call holds
all of that item but its content (its id, its phase), and one of another kind is a whole item, reasoning above
all. Another model gets the text and the calls alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from providers.openai_messages import sent_arguments
from providers.types import (
    JSON,
    Image,
    JSONObject,
    Message,
    Opaque,
    Origin,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
)

ENCODER = "openai-responses/1"

MESSAGE, CALL, REASONING = "message", "function_call", "reasoning"


def encode_tools(tools: Iterable[ToolSpec]) -> list[JSON]:
    """The tools in the order given, their schemas whole.

    `strict` is said to be off: left out, this API takes it for on, and would make optional fields required.
    """
    return [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": json.loads(tool.parameters),
            "strict": False,
        }
        for tool in tools
    ]


def encode_input(messages: Iterable[Message], *, origin: Origin) -> list[JSON]:
    """The conversation, for the model at `origin`: opaque items of any other are left out."""
    return [item for message in messages for item in _encode(message, origin)]


def _encode(message: Message, origin: Origin) -> Iterator[JSON]:
    match message.role:
        case "tool":
            for block in message.blocks:
                if isinstance(block, ToolResult):
                    yield {"type": "function_call_output", "call_id": block.call_id, "output": _output(block)}
        case "assistant":
            yield from _answered(message, origin)
        case "user":
            yield from _said("user", message)
        case "system":
            yield from _said("developer", message)


def _answered(message: Message, origin: Origin) -> Iterator[JSON]:
    frame: JSONObject = {}
    for block in message.blocks:
        match block:
            case Opaque(raw, made_by) if made_by == origin and (item := _item(raw)):
                if item["type"] in (MESSAGE, CALL):
                    frame = item
                else:
                    yield item
            case Text(text) if text:
                content = [{"type": "output_text", "text": text, "annotations": []}]
                yield {"type": MESSAGE, "role": "assistant", **_of(MESSAGE, frame), "content": content}
                frame = {}
            case ToolCall(id=call_id, name=name):
                call = {"call_id": call_id, "name": name, "arguments": sent_arguments(block)}
                yield {"type": CALL, **_of(CALL, frame), **call}
                frame = {}
            case _:
                pass


def _item(raw: str) -> JSONObject:
    """The item that was kept; a journal that somebody edited may hold anything."""
    try:
        item = json.loads(raw)
    except ValueError:
        return {}
    return item if isinstance(item, dict) and "type" in item else {}


def _of(kind: str, frame: JSONObject) -> JSONObject:
    return frame if frame.get("type") == kind else {}


def _said(role: str, message: Message) -> Iterator[JSON]:
    parts: list[JSON] = []
    for block in message.blocks:
        match block:
            case Text(text) if text:
                parts.append({"type": "input_text", "text": text})
            case Image():
                parts.append(_image(block))
            case _:
                pass  # no other block stands in a person's or a system message
    if parts:
        yield {"type": MESSAGE, "role": role, "content": parts}


def _output(result: ToolResult) -> JSON:
    """A plain string where it is text alone, which is all that many servers take; else a list of parts."""
    if not result.images:
        return result.text
    text = [{"type": "input_text", "text": result.text}] if result.text else []
    return [*text, *map(_image, result.images)]


def _image(image: Image) -> JSON:
    url = f"data:{image.media_type};base64,{image.data}"
    return {"type": "input_image", "detail": "auto", "image_url": url}
