"""hermes-agent: its exported sessions (one a line) and its `state.db`."""

from __future__ import annotations

import json

from providers.types import JSON, Block, JSONObject, Text, Thinking, ToolCall, Usage
from sessions.fields import Fields
from sessions.importers.anthropic_blocks import arguments, result_content
from sessions.importers.imported import Imported, Source, Transcript, rows, with_lost
from sessions.importers.sqlite import tables

TOOL = "hermes"


def import_export(source: Source) -> list[Imported]:
    """`sessions export`: one session a line."""
    lost = Transcript(TOOL)
    return with_lost(
        [_session(value, value.get("messages")) for _, value in rows(source, lost)], lost.skipped
    )


def import_database(source: Source) -> list[Imported]:
    """`state.db`: sessions in the order they began, each with its rows that were not deleted."""
    sessions, messages = tables(
        source, "SELECT * FROM sessions ORDER BY started_at", "SELECT * FROM messages ORDER BY id"
    )
    return [
        _session(session, [row for row in messages if row.get("session_id") == session.get("id")])
        for session in sessions
    ]


def _session(value: JSONObject, messages: JSON) -> Imported:
    transcript = Transcript(TOOL)
    for place, row in enumerate(messages if isinstance(messages, list) else ()):
        try:
            _add(Fields(row), transcript)
        except ValueError as error:
            transcript.skip(f"messages[{place}]", error)
    fields = Fields(value)
    fields.drop(("messages", "message_count"))
    provider, model = fields.text("billing_provider"), fields.text("model")
    return Imported(
        tool=TOOL,
        session=fields.text("id"),
        title=fields.text("title") or fields.text("display_name"),
        cwd=fields.text("cwd"),
        model=f"{provider}/{model}" if provider and model else model,
        created=fields.maybe_number("started_at"),
        messages=transcript.messages,
        usage=_usage(fields),
        extra={key: kept for key, kept in fields.rest().items() if kept is not None},
        skipped=tuple(transcript.skipped),
    )


def _usage(fields: Fields) -> Usage:
    """hermes counts the input without what was read from or written to the cache."""
    read, write = fields.maybe_count("cache_read_tokens"), fields.maybe_count("cache_write_tokens")
    uncached, output = fields.count("input_tokens"), fields.count("output_tokens")
    return Usage.told(uncached, output, read, write, reasoning=fields.count("reasoning_tokens"))


def _add(fields: Fields, transcript: Transcript) -> None:
    if fields.maybe_count("active") == 0:
        return
    role = fields.need("role")
    text, images = result_content(fields.any("content"))
    match role:
        case "user":
            transcript.say("user", Text(text), *images)
        case "assistant":
            blocks: list[Block] = []
            if thought := fields.text("reasoning") or fields.text("reasoning_content"):
                blocks.append(Thinking(thought, transcript.maker()))
            transcript.say("assistant", *blocks, Text(text), *_calls(fields.any("tool_calls"), transcript))
        case "tool":
            name, call = fields.text("tool_name"), fields.need("tool_call_id")
            transcript.answer(call, text, name=name, is_error=_failed(text), images=images)
        case "system":
            transcript.say("system", Text(text))
        case _:
            raise ValueError(f"no role {role!r}")


def _calls(value: JSON, transcript: Transcript) -> list[ToolCall]:
    """An export has a list here, `state.db` the same as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            transcript.skip("tool calls", "not JSON")
    calls: list[ToolCall] = []
    for one in value if isinstance(value, list) else ():
        try:
            fields = Fields(one)
            function = Fields(fields.object("function"))
            calls.append(
                ToolCall(fields.need("id"), function.need("name"), arguments(function.any("arguments")))
            )
        except ValueError as error:
            transcript.skip("a tool call", error)
    return calls


def _failed(text: str) -> bool:
    """A result is JSON text; an error is a key inside it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool(value.get("error"))
