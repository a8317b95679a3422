"""Session files of cheetahclaws (S0 to S4, its history and its database) and bouzecode (13 and 29 keys)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from providers.types import JSON, Block, Image, JSONObject, Text, Thinking, ToolCall, Usage
from sessions.fields import Fields, seconds
from sessions.importers.anthropic_blocks import add_user, arguments, assistant_blocks, result_content
from sessions.importers.imported import Imported, Source, Transcript, compact, image, with_lost
from sessions.importers.sqlite import tables

CHEETAHCLAWS, BOUZECODE = "cheetahclaws", "bouzecode"


def import_json(value: JSONObject) -> list[Imported]:
    """One session file, or a history of them."""
    if isinstance(value.get("sessions"), list):
        return _history(value)
    return [_session(value)]


def import_database(source: Source) -> list[Imported]:
    """cheetahclaws' SQLite file: one row a session, the messages as JSON text."""
    sessions = []
    for row in tables(source, "SELECT * FROM sessions ORDER BY saved_at")[0]:
        fields = Fields(row)
        text = fields.text("messages")
        try:
            messages = json.loads(text)
        except (ValueError, RecursionError):
            messages = None
        value = {
            "session_id": fields.any("id"),
            "messages": messages,
            "total_input_tokens": fields.any("input_tokens"),
            "total_output_tokens": fields.any("output_tokens"),
            **fields.rest(),
        }
        sessions.append(_session(value, tool=CHEETAHCLAWS))
    return sessions


def _history(value: JSONObject) -> list[Imported]:
    listed = Fields(value).array("sessions")
    sessions = [_session(one) for one in listed if isinstance(one, dict)]
    rest = ((place, one) for place, one in enumerate(listed) if not isinstance(one, dict))
    lost = [f"sessions[{place}]: not an object" for place, _ in rest]
    return with_lost(sessions, lost)


def _session(value: JSONObject, tool: str = "") -> Imported:
    fields = Fields(value)
    tool = tool or _tool(value)
    transcript = Transcript(tool)
    for place, row in enumerate(fields.array("messages")):
        try:
            _add(Fields(row), transcript)
        except ValueError as error:
            transcript.skip(f"messages[{place}]", error)
    fields.drop(("turn_count", "_version"))
    return Imported(
        tool=tool,
        session=_id(fields.any("session_id")),
        title=fields.text("title"),
        cwd=fields.text("cwd"),
        model=fields.text("model"),
        created=seconds(fields.text("saved_at")),
        messages=transcript.messages,
        usage=_usage(fields),
        inexact=True,
        extra=fields.rest(),
        skipped=tuple(transcript.skipped),
    )


def _tool(value: JSONObject) -> str:
    """bouzecode's oldest files already have keys that no cheetahclaws file has."""
    ours = {"compaction_log", "first_message", "distinct_base", "total_cache_creation_tokens"}
    return BOUZECODE if ours & value.keys() else CHEETAHCLAWS


def _usage(fields: Fields) -> Usage:
    """The totals. A cache write has two names; a file that has neither count said nothing of caching."""
    read = fields.maybe_count("total_cache_read_tokens")
    created = fields.maybe_count("total_cache_creation_tokens")
    written = fields.maybe_count("total_cache_write_tokens")
    write = written if created is None else created
    uncached, output = fields.count("total_input_tokens"), fields.count("total_output_tokens")
    return Usage.told(uncached, output, read, write)


def _add(fields: Fields, transcript: Transcript) -> None:
    role = fields.need("role")
    content = fields.any("content")
    match role:
        case "user" if isinstance(content, list):
            add_user(content, transcript)
        case "user":
            transcript.say("user", Text(_text(content)), *_images(fields, transcript))
        case "assistant":
            transcript.say("assistant", *_assistant(fields, content, transcript))
        case "tool":
            text, images = result_content(content)
            name, call = fields.text("name"), fields.need("tool_call_id")
            transcript.answer(call, text, name=name, is_error=text.startswith("Error:"), images=images)
        case "system" | "enforcement" | "developer":
            # The tool's own word to the model; bouzecode writes `enforcement` rows without any content too.
            transcript.say("system", Text(_text(content)))
        case _:
            raise ValueError(f"no role {role!r}")


def _assistant(fields: Fields, content: JSON, transcript: Transcript) -> Iterator[Block]:
    if reasoning := fields.text("reasoning_content"):
        yield Thinking(reasoning, transcript.maker())
    yield from assistant_blocks(content if isinstance(content, list) else _text(content), transcript)
    for value in fields.array("tool_calls"):
        try:
            call = Fields(value)
            # bouzecode has written both names.
            given = call.any("input") if "input" in call else call.any("inputs")
            yield ToolCall(call.need("id"), call.need("name"), arguments(given))
        except ValueError as error:
            transcript.skip("a tool call", error)


def _images(fields: Fields, transcript: Transcript) -> Iterator[Block]:
    for value in fields.array("images"):
        found: Image | None = None
        if isinstance(value, str):
            found = image(value)
        elif isinstance(value, dict):
            one = Fields(value)
            found = image(one.text("data"), one.text("media_type"))
        yield found or transcript.opaque(value)


def _text(content: JSON) -> str:
    if content is None:
        return ""
    return content if isinstance(content, str) else compact(content)


def _id(value: JSON) -> str:
    return str(value) if isinstance(value, str | int) else ""
