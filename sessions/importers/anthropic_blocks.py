"""Messages whose content is a list of Anthropic's blocks, as several tools write them."""

from __future__ import annotations

from collections.abc import Iterator

from providers.types import JSON, Block, Image, Text, Thinking, ToolCall
from sessions.fields import Fields
from sessions.importers.imported import Transcript, compact, image


def assistant_blocks(content: JSON, transcript: Transcript, model: str = "") -> Iterator[Block]:
    """An assistant's blocks. A bad one is skipped; keys that an SDK added (`citations`) fall away."""
    if isinstance(content, str):
        yield Text(content)
        return
    for value in content if isinstance(content, list) else ():
        try:
            yield _assistant_block(Fields(value), value, transcript, model)
        except ValueError as error:
            transcript.skip("a block", error)


def _assistant_block(fields: Fields, value: JSON, transcript: Transcript, model: str) -> Block:
    match fields.need("type"):
        case "text":
            return Text(fields.text("text"))
        case "tool_use":
            return ToolCall(fields.need("id"), fields.need("name"), arguments(fields.any("input")))
        case "thinking":
            return Thinking(fields.text("thinking"), transcript.maker(model), fields.text("signature"))
        case _:
            return transcript.opaque(value)


def add_user(content: JSON, transcript: Transcript) -> None:
    """A user's message: each tool result in it becomes a message of its own, before what the person said."""
    if isinstance(content, str):
        transcript.say("user", Text(content))
        return
    said: list[Block] = []
    for value in content if isinstance(content, list) else ():
        try:
            fields = Fields(value)
            match fields.need("type"):
                case "tool_result":
                    text, images = result_content(fields.any("content"))
                    is_error = fields.flag("is_error") or text.startswith("Error:")
                    transcript.answer(fields.need("tool_use_id"), text, is_error=is_error, images=images)
                case "text":
                    said.append(Text(fields.text("text")))
                case "image":
                    said.append(_image(fields) or transcript.opaque(value))
                case _:
                    said.append(transcript.opaque(value))
        except ValueError as error:
            transcript.skip("a block", error)
    transcript.say("user", *said)


def result_content(content: JSON) -> tuple[str, tuple[Image, ...]]:
    """A tool result's text and images, from text or a list of blocks."""
    if isinstance(content, str):
        return content, ()
    texts: list[str] = []
    images: list[Image] = []
    for value in content if isinstance(content, list) else ():
        if not isinstance(value, dict):
            continue
        fields = Fields(value)
        if "text" in fields:
            texts.append(fields.text("text"))
        elif found := _image(fields):
            images.append(found)
        else:
            texts.append(compact(value))
    return "\n".join(texts), tuple(images)


def arguments(value: JSON) -> str:
    """A call's arguments as JSON text. What could not be parsed once stands there as it came (`_raw`)."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("_raw"), str) and len(value) == 1:
        return str(value["_raw"])
    return compact(value if value is not None else {})


def _image(fields: Fields) -> Image | None:
    if "data" in fields:
        return image(fields.text("data"), fields.text("mimeType"))
    source = Fields(fields.object("source"))
    return image(source.text("data"), source.text("media_type"))
