"""A message's blocks as JSON objects, each way; `type` says which block an object is."""

from __future__ import annotations

import json
from typing import cast

from providers.types import JSON, Block, Image, Opaque, Origin, Text, Thinking, ToolCall, ToolResult
from sessions.fields import Fields

_LATER = Origin("journal", "", "")
"""Marks a block of a type that only a later version knows. No wire is called so: kept, never sent."""


def block_object(block: Block) -> dict[str, JSON]:
    """The object that `read_block` turns into the same block."""
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Thinking(text, origin, signature):
            return {
                "type": "thinking",
                "text": text,
                "signature": signature,
                "origin": _origin_object(origin),
            }
        case Image():
            return _image_object(block)
        case ToolCall(id, name, raw_arguments):
            return {"type": "tool_call", "id": id, "name": name, "raw_arguments": raw_arguments}
        case ToolResult():
            return {
                "type": "tool_result",
                "call_id": block.call_id,
                "name": block.name,
                "text": block.text,
                "is_error": block.is_error,
                "images": [_image_object(image) for image in block.images],
            }
        case Opaque(raw, origin) if origin == _LATER:
            return cast(dict[str, JSON], json.loads(raw))
        case Opaque(raw, origin):
            return {"type": "opaque", "raw": raw, "origin": _origin_object(origin)}


def _image_object(image: Image) -> dict[str, JSON]:
    return {"type": "image", "media_type": image.media_type, "data": image.data}


def _origin_object(origin: Origin) -> dict[str, JSON]:
    return {"wire": origin.wire, "endpoint": origin.endpoint, "model": origin.model}


def read_block(value: JSON) -> Block:
    """The block an object stands for. Raises ValueError where it lacks what ties it to others."""
    fields = Fields(value)
    match fields.need("type"):
        case "text":
            return Text(fields.text("text"))
        case "thinking":
            origin = _origin(fields)
            return Thinking(fields.text("text"), origin, fields.text("signature"))
        case "image":
            return _image(fields)
        case "tool_call":
            return ToolCall(fields.need("id"), fields.need("name"), fields.text("raw_arguments"))
        case "tool_result":
            return ToolResult(
                call_id=fields.need("call_id"),
                name=fields.text("name"),
                text=fields.text("text"),
                is_error=fields.flag("is_error"),
                images=tuple(_image(Fields(image)) for image in fields.array("images")),
            )
        case "opaque":
            return Opaque(fields.text("raw"), _origin(fields))
        case _:
            return Opaque(json.dumps(value, ensure_ascii=False), _LATER)


def _image(fields: Fields) -> Image:
    return Image(fields.text("media_type"), fields.text("data"))


def _origin(fields: Fields) -> Origin:
    inner = Fields(fields.object("origin"))
    return Origin(inner.text("wire"), inner.text("endpoint"), inner.text("model"))
