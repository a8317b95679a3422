"""opencode's exports: one JSON object with the session and its messages in parts."""

from __future__ import annotations

from providers.types import JSON, Block, JSONObject, Text, Thinking, ToolCall, Usage
from sessions.fields import Fields
from sessions.importers.anthropic_blocks import arguments
from sessions.importers.imported import Imported, Transcript, image

TOOL = "opencode"


def import_export(value: JSONObject) -> list[Imported]:
    """The conversation with the session's own totals; where it has none, those of its messages."""
    transcript = Transcript(TOOL)
    fields = Fields(value)
    info = Fields(fields.object("info"))
    spent: list[Usage] = []
    model = _model(info.object("model"), "id")
    for place, row in enumerate(fields.array("messages")):
        try:
            message = Fields(row)
            about = Fields(message.object("info"))
            spent.append(_usage(about.object("tokens")))
            _add(about.text("role"), message.array("parts"), transcript)
        except ValueError as error:
            transcript.skip(f"messages[{place}]", error)
    tokens = info.object("tokens")
    created = Fields(info.object("time")).maybe_number("created")
    return [
        Imported(
            tool=TOOL,
            session=info.text("id"),
            title=info.text("title"),
            cwd=info.text("directory"),
            model=model,
            created=created / 1000 if created is not None else None,
            messages=transcript.messages,
            usage=_usage(tokens) if tokens else sum(spent, Usage()),
            extra=info.rest(),
            skipped=tuple(transcript.skipped),
        )
    ]


def _model(value: JSONObject, key: str) -> str:
    fields = Fields(value)
    provider, name = fields.text("providerID"), fields.text(key)
    return f"{provider}/{name}" if provider and name else name


def _usage(tokens: JSONObject) -> Usage:
    """Disjoint counts, reasoning beside the output; a `total` that has no room for it says it is inside."""
    fields = Fields(tokens)
    cache = Fields(fields.object("cache"))
    read, write = cache.maybe_count("read"), cache.maybe_count("write")
    uncached, output, reasoning = fields.count("input"), fields.count("output"), fields.count("reasoning")
    prompt = uncached + (read or 0) + (write or 0)
    inside = fields.maybe_count("total") == prompt + output
    generated = output if inside else output + reasoning
    return Usage.told(uncached, generated, read, write, reasoning=reasoning)


def _add(role: str, parts: list[JSON], transcript: Transcript) -> None:
    if role == "user":
        transcript.say("user", *_said(parts, transcript))
        return
    if role != "assistant":
        raise ValueError(f"no role {role!r}")
    blocks: list[Block] = []
    results: list[Fields] = []
    for value in parts:
        part = Fields(value)
        kind = part.text("type")
        if kind == "tool":
            state = Fields(part.object("state"))
            call = ToolCall(part.need("callID"), part.need("tool"), arguments(state.any("input")))
            blocks.append(call)
            results.append(Fields({"call": call.id, "name": call.name, **state.rest()}))
        elif kind in ("text", "reasoning"):
            if results:  # an answer that goes on after its tools is the next answer
                _finish(blocks, results, transcript)
                blocks, results = [], []
            text = part.text("text")
            blocks.append(Text(text) if kind == "text" else Thinking(text, transcript.maker()))
    _finish(blocks, results, transcript)


def _finish(blocks: list[Block], results: list[Fields], transcript: Transcript) -> None:
    transcript.say("assistant", *blocks)
    for state in results:
        match state.text("status"):
            case "completed":
                transcript.answer(state.text("call"), state.text("output"), name=state.text("name"))
            case "error":
                text = state.text("error")
                transcript.answer(state.text("call"), text, name=state.text("name"), is_error=True)
            case _:
                pass  # it never ended: resuming answers it


def _said(parts: list[JSON], transcript: Transcript) -> list[Block]:
    blocks: list[Block] = []
    for value in parts:
        part = Fields(value)
        match part.text("type"):
            case "text":
                blocks.append(Text(part.text("text")))
            case "file":
                blocks.append(image(part.text("url"), part.text("mime")) or transcript.opaque(value))
            case _:
                pass
    return blocks
