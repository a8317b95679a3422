"""codex-cli's rollout files: one row an item, and running totals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from providers.types import JSON, Block, JSONObject, Text, Thinking, ToolCall, Usage
from sessions.fields import Fields, seconds
from sessions.importers.anthropic_blocks import arguments, result_content
from sessions.importers.imported import Imported, Source, Transcript, compact, image, rows

TOOL = "codex"
_HARNESS = ("<environment_context>", "<user_instructions>", "# AGENTS.md instructions")
_ENDED = re.compile(r"^Process exited with code (-?\d+)$", re.MULTILINE)


class _Conversation:
    """Puts an answer's items, which stand a row each, back together."""

    def __init__(self) -> None:
        self.transcript = Transcript(TOOL)
        self._open: list[Block] = []

    def add(self, item: JSONObject) -> None:
        """One response item. Raises ValueError for a bad one."""
        fields = Fields(item)
        match kind := fields.need("type"):
            case "message" if fields.text("role") == "assistant":
                self._open.extend(_content(fields.array("content"), self.transcript))
            case "message":
                self._user(item)
            case "reasoning":
                summary = "\n".join(Fields(part).text("text") for part in fields.array("summary"))
                self._open.append(
                    Thinking(summary, self.transcript.maker(), fields.text("encrypted_content"))
                )
            case "function_call" | "custom_tool_call" | "local_shell_call":
                self._open.append(_call(kind, fields))
            case "function_call_output" | "custom_tool_call_output":
                self.end_answer()
                text, failed = _output(fields.any("output"))
                self.transcript.answer(fields.need("call_id"), text, is_error=failed)
            case _:
                self._open.append(self.transcript.opaque(item))

    def end_answer(self) -> None:
        """The items since the last message are one answer."""
        self.transcript.say("assistant", *self._open)
        self._open = []

    def begin_anew(self, summary: str, history: list[JSON]) -> None:
        """The tool compacted: what it kept stands for what was said before."""
        self._open = []
        self.transcript.clear()
        for item in history:
            if isinstance(item, dict):
                self.add(item)
        if not history:
            self.transcript.say("user", Text(summary))

    def _user(self, item: JSONObject) -> None:
        """A person's words. What the tool itself puts there (instructions, the environment) is left out."""
        fields = Fields(item)
        blocks = tuple(_content(fields.array("content"), self.transcript))
        text = "".join(block.text for block in blocks if isinstance(block, Text))
        if fields.text("role") == "user" and not text.startswith(_HARNESS):
            self.end_answer()
            self.transcript.say("user", *blocks)


def import_rollout(source: Source) -> list[Imported]:
    """A rollout's conversation and its last running total; one that was never told is 0."""
    conversation = _Conversation()
    about = Fields({})
    totals: dict[str, JSONObject] = {}
    model = ""
    for number, value in rows(source, conversation.transcript):
        payload = Fields(value).object("payload")
        try:
            match value.get("type"):
                case "session_meta":
                    about = Fields(payload)
                case "turn_context":
                    model = Fields(payload).text("model", model)
                case "response_item":
                    conversation.add(payload)
                case "compacted":
                    history = Fields(payload).array("replacement_history")
                    conversation.begin_anew(Fields(payload).text("message"), history)
                case "event_msg":
                    _event(Fields(payload), conversation, totals)
                case "token_usage_record":
                    totals["record"] = Fields(payload).object("thread_token_usage")
                case _:
                    pass
        except ValueError as error:
            conversation.transcript.skip(f"line {number}", error)
    conversation.end_answer()
    return [_imported(about, model, totals, conversation.transcript)]


def _imported(about: Fields, model: str, totals: dict[str, JSONObject], transcript: Transcript) -> Imported:
    provider = about.text("model_provider")
    return Imported(
        tool=TOOL,
        session=about.text("id"),
        cwd=about.text("cwd"),
        model=f"{provider}/{model}" if provider and model else model,
        created=seconds(about.text("timestamp")),
        messages=transcript.messages,
        usage=_usage(Fields(totals.get("event") or totals.get("record") or {})),
        skipped=tuple(transcript.skipped),
    )


def _event(fields: Fields, conversation: _Conversation, totals: dict[str, JSONObject]) -> None:
    match fields.text("type"):
        case "token_count":
            # Cumulative; the same numbers stand in `token_usage_record`, so the two are never added.
            told = Fields(fields.object("info")).object("total_token_usage")
            totals["event"] = told or totals.get("event", {})
        case "thread_rolled_back":
            conversation.end_answer()
            conversation.transcript.cut(fields.count("num_turns"))
        case _:
            pass


def _usage(fields: Fields) -> Usage:
    """Of this tool's counts the input includes what was read and written, the output the reasoning."""
    read, write = fields.maybe_count("cached_input_tokens"), fields.maybe_count("cache_write_input_tokens")
    prompt, output = fields.count("input_tokens"), fields.count("output_tokens")
    kept_read = min(read or 0, prompt)
    kept_write = min(write or 0, prompt - kept_read)
    return Usage.told(
        prompt - kept_read - kept_write,
        output,
        None if read is None else kept_read,
        None if write is None else kept_write,
        reasoning=fields.count("reasoning_output_tokens"),
    )


def _content(parts: list[JSON], transcript: Transcript) -> Iterator[Block]:
    for value in parts:
        fields = Fields(value)
        match fields.need("type"):
            case "input_text" | "output_text" | "text":
                yield Text(fields.text("text"))
            case "input_image":
                yield image(fields.text("image_url")) or transcript.opaque(value)
            case _:
                yield transcript.opaque(value)


def _call(kind: str, fields: Fields) -> ToolCall:
    match kind:
        case "function_call":
            return ToolCall(fields.need("call_id"), fields.need("name"), arguments(fields.any("arguments")))
        case "custom_tool_call":
            given = compact({"input": fields.any("input")})
            return ToolCall(fields.need("call_id"), fields.need("name"), given)
        case _:
            call = fields.maybe_text("call_id") or fields.need("id")
            return ToolCall(call, "local_shell", compact(fields.any("action")))


def _output(value: JSON) -> tuple[str, bool]:
    """A result's text, and whether it failed; older files have both inside one more JSON text."""
    failed = False
    if isinstance(value, str) and value.startswith('{"output":'):
        try:
            inner = Fields(json.loads(value))
        except (ValueError, RecursionError):
            return value, False
        code = Fields(inner.object("metadata")).maybe_number("exit_code")
        return inner.text("output"), bool(code)
    if isinstance(value, dict):
        failed = value.get("success") is False
        value = value.get("content")
    text, _ = result_content(value)
    ended = _ENDED.search(text.partition("\nOutput:\n")[0])
    return text, failed or (ended is not None and ended[1] != "0")
