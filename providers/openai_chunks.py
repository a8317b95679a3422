"""Folds the chunks of a chat completion, streamed or whole, into blocks and usage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from providers.call import new_id
from providers.counts import count, section
from providers.openai_extras import Extras
from providers.openai_faults import in_stream_fault
from providers.openai_usage import openai_usage
from providers.types import (
    JSON,
    Block,
    JSONObject,
    Origin,
    StopReason,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    canonical,
)

WIRE = "openai-chat"

STOPPED: Mapping[str, str] = {
    "stop": StopReason.END_TURN,
    "eos_token": StopReason.END_TURN,
    "tool_calls": StopReason.TOOL_USE,
    "function_call": StopReason.TOOL_USE,
    "length": StopReason.MAX_TOKENS,
    "model_length": StopReason.MAX_TOKENS,
    "content_filter": StopReason.REFUSAL,
}


@dataclass(slots=True)
class _OpenCall:
    """A tool call that is still being streamed."""

    id: str
    wire_id: str
    name: str = ""
    parts: list[str] = field(default_factory=list)

    def whole(self) -> ToolCall:
        return ToolCall(self.id, self.name, "".join(self.parts))

    @property
    def parses(self) -> bool:
        """Whether its arguments are one whole JSON object, or none at all."""
        try:
            self.whole().arguments()
        except ValueError:
            return False
        return True


class ChatAccumulator:
    """One answer in the making. `taken` are the tool call ids that the conversation already uses."""

    def __init__(
        self,
        origin: Origin = Origin(WIRE, "", ""),  # noqa: B008  a frozen value
        *,
        provider: str = "openai",
        taken: frozenset[str] = frozenset(),
    ) -> None:
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.raw_usage: JSONObject = {}
        self._origin = origin
        self._provider = provider
        self._taken = taken
        self._thinking: list[str] = []
        self._text: list[str] = []
        self._calls: list[_OpenCall] = []
        self._at: dict[int, _OpenCall] = {}
        """The call that a fragment with this index belongs to."""
        self._extras = Extras()
        self._refused = False

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Reasoning, what goes back unread, text, tool calls.

        Calls are whole only once the model stopped in order to have them run: this wire has no mark for the
        end of one, and arguments cut short may parse.
        """
        blocks: list[Block] = []
        if thinking := "".join(self._thinking):
            blocks.append(Thinking(thinking, self._origin))
        if extras := self._extras.block(self._origin):
            blocks.append(extras)
        if text := "".join(self._text):
            blocks.append(Text(text))
        if self.stop_reason == StopReason.TOOL_USE:
            blocks.extend(call.whole() for call in self._calls if call.name)
        return tuple(blocks)

    @property
    def usage(self) -> Usage:
        return openai_usage(self.raw_usage)

    def feed(self, event: JSONObject) -> Iterable[StreamEvent]:
        """Take a chunk, or a whole completion from a server that doesn't stream."""
        if event.get("error"):
            raise in_stream_fault(self._provider, event["error"])
        model = event.get("model")
        if isinstance(model, str) and model:
            self.model = model
        self._take_usage(section(event, "usage") or section(section(event, "x_groq"), "usage"))
        if not self.raw_usage and (timings := section(event, "timings")):
            self.raw_usage = {"timings": timings}
        events: list[StreamEvent] = []
        for choice in _objects(event.get("choices")):
            self._take_usage(section(choice, "usage"))  # Moonshot's place for it
            delta = section(choice, "delta") or section(choice, "message")
            self._extras.message(delta)
            events.extend(self._said(delta))
            for fragment in _objects(delta.get("tool_calls")):
                events.extend(self._called(fragment))
            self._finish(choice.get("finish_reason"))
        return events

    def _said(self, delta: JSONObject) -> Iterator[StreamEvent]:
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            self._thinking.append(reasoning)
            yield ThinkingDelta(reasoning)
        for kind, text in _pieces(delta.get("content")):
            if kind == "thinking":
                self._thinking.append(text)
                yield ThinkingDelta(text)
            else:
                self._text.append(text)
                yield TextDelta(text)
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refused = True
            self._text.append(refusal)
            yield TextDelta(refusal)

    # --- tool calls -----------------------------------------------------------------------------------------

    def _called(self, fragment: JSONObject) -> Iterator[StreamEvent]:
        function = section(fragment, "function")
        wire_id, name = _string(fragment.get("id")), _string(function.get("name"))
        arguments = _arguments(function.get("arguments"))
        call = self._call_of(fragment.get("index"), wire_id, name, arguments)
        self._extras.call(call.id, fragment)
        if name and not call.name:
            call.name = name
            yield ToolCallStarted(call.id, name)
            if call.parts:
                yield ToolCallDelta(call.id, "".join(call.parts))
        if arguments:
            call.parts.append(arguments)
            if call.name:
                yield ToolCallDelta(call.id, arguments)

    def _call_of(self, index: JSON, wire_id: str, name: str, arguments: str) -> _OpenCall:
        """The call that a fragment goes on with, or a new one.

        Servers say `index: 0` of every call, leave it out, send the name with every fragment, or give no ids.
        So a new id opens a call, and without one a name does, if the call before it is whole and this one
        brings more.
        """
        if isinstance(index, int):
            call = self._at.get(index)
        else:
            known = (call for call in reversed(self._calls) if not wire_id or call.wire_id == wire_id)
            call = next(known, None)
        another = wire_id and call is not None and call.wire_id not in ("", wire_id)
        next_one = not wire_id and name and arguments and call is not None and call.parts and call.parses
        if call is None or another or next_one:
            call = self._begin(wire_id)
            if isinstance(index, int):
                self._at[index] = call
        call.wire_id = call.wire_id or wire_id
        return call

    def _begin(self, wire_id: str) -> _OpenCall:
        used = self._taken.union(call.id for call in self._calls)
        call = _OpenCall(wire_id if wire_id and wire_id not in used else new_id("tool"), wire_id)
        self._calls.append(call)
        return call

    # --- the end --------------------------------------------------------------------------------------------

    def _finish(self, reason: JSON) -> None:
        if not isinstance(reason, str) or not reason:
            return
        if self.stop_reason not in (None, StopReason.END_TURN, StopReason.TOOL_USE):
            return  # a later `stop` must not make calls of a message that was cut short
        if reason == "error":
            raise in_stream_fault(self._provider, "the model's host broke off")
        stop = STOPPED.get(reason, reason)
        callable_now = [call for call in self._calls if call.name]
        if stop == StopReason.TOOL_USE and not callable_now:
            stop = StopReason.END_TURN
        # Many compatible servers say `stop` although the message calls tools. Unlike `length`, it does tell
        # that the message is whole; a call with broken arguments is then none that the model meant to make.
        if stop == StopReason.END_TURN and callable_now and all(call.parses for call in callable_now):
            stop = StopReason.TOOL_USE
        if stop == StopReason.END_TURN and self._refused:
            stop = StopReason.REFUSAL
        self.stop_reason = stop

    def _take_usage(self, usage: JSONObject) -> None:
        """Keep the newest figures. Nothing is added up, and a null or a 0 never erases a figure: within one
        answer none of them falls."""
        if not usage or openai_usage(usage).total_tokens == 0:  # nearly every chunk has none
            return
        said = {} if "timings" in self.raw_usage else self.raw_usage
        self.raw_usage = _newest(said, usage)


def _newest(old: JSONObject, new: JSONObject) -> JSONObject:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            merged[key] = _newest(before, value)
        elif value is None:
            merged.setdefault(key, None)
        elif not (count(value) == 0 and count(before)):
            merged[key] = value
    return merged


def _pieces(content: JSON) -> Iterator[tuple[str, str]]:
    """The content as (kind, text). Mistral's reasoning models send parts, thinking in a list of its own."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for part in _objects(content):
        if part.get("type") == "thinking":
            yield from (("thinking", text) for _, text in _pieces(part.get("thinking")))
        elif text := _string(part.get("text")):
            yield "text", text


def _arguments(value: JSON) -> str:
    """A fragment of the arguments' JSON text; some servers send the object itself."""
    return canonical(value) if isinstance(value, dict) else _string(value)


def _objects(value: JSON) -> list[JSONObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _string(value: JSON) -> str:
    return value if isinstance(value, str) else ""
