"""Folds the events of Bedrock's Converse stream into blocks and usage."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from providers.bedrock_usage import bedrock_usage
from providers.call import new_id
from providers.counts import section
from providers.types import (
    JSON,
    Block,
    JSONObject,
    Opaque,
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
)

STOPPED: Mapping[str, str] = {
    "end_turn": StopReason.END_TURN,
    "tool_use": StopReason.TOOL_USE,
    "max_tokens": StopReason.MAX_TOKENS,
    "stop_sequence": StopReason.STOP_SEQUENCE,
    "guardrail_intervened": StopReason.REFUSAL,
    "content_filtered": StopReason.REFUSAL,
    "model_context_window_exceeded": StopReason.CONTEXT_EXCEEDED,
}


def in_base64(value: JSON) -> JSON:
    """An event with its bytes in base64: as the wire had them before the SDK decoded them."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {key: in_base64(inner) for key, inner in value.items()}
        case list():
            return [in_base64(inner) for inner in value]
        case _:
            return value


@dataclass(slots=True)
class _OpenBlock:
    """One block of an answer while it streams; its kind shows with its first delta, if not at its start."""

    start: JSONObject = field(default_factory=dict)
    id: str = ""
    text: str = ""
    input: str = ""
    reasoning: str = ""
    signature: str = ""
    redacted: bytes = b""
    parts: list[JSON] = field(default_factory=list)
    whole: bool = False

    @property
    def call(self) -> ToolCall | None:
        """The tool call that this is. One of the provider's own tools, which it runs itself, is none."""
        tool = section(self.start, "toolUse")
        if not tool or tool.get("type"):
            return None
        return ToolCall(self.id, str(tool.get("name") or ""), self.input)

    def block(self, origin: Origin) -> Block | None:
        if (call := self.call) is not None:
            return call
        if self.start:
            return Opaque(_text_of(self._opaque()), origin)
        if self.redacted:
            return Opaque(
                _text_of(in_base64({"reasoningContent": {"redactedContent": self.redacted}})), origin
            )
        if self.reasoning or self.signature:
            return Thinking(self.reasoning, origin, self.signature)
        return Text(self.text) if self.text else None

    def _opaque(self) -> JSONObject:
        """A block of another kind, put together from its start and its deltas."""
        [(kind, start)] = list(self.start.items())[:1]
        if kind == "toolUse":
            return {kind: {**start, "input": _decoded(self.input)}}
        return {kind: {**start, "content": self.parts}} if self.parts else {kind: start}


class ConverseAnswer:
    """The accumulator of this wire. `taken` are the tool call ids that the conversation already uses."""

    def __init__(self, origin: Origin, *, taken: frozenset[str] = frozenset()) -> None:
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.raw_usage: JSONObject = {}
        self._origin = origin
        self._taken = taken
        self._open: dict[JSON, _OpenBlock] = {}

    @property
    def blocks(self) -> tuple[Block, ...]:
        whole = (each for each in self._open.values() if each.whole or (each.text and not each.start))
        made = (each.block(self._origin) for each in whole)
        return tuple(block for block in made if block is not None)

    @property
    def usage(self) -> Usage:
        return bedrock_usage(self.raw_usage, self.model or self._origin.model)

    def feed(self, event: JSONObject) -> Iterable[StreamEvent]:
        match event:
            case {"contentBlockStart": {"contentBlockIndex": index, "start": dict(start)}}:
                return self._started(index, start)
            case {"contentBlockDelta": {"contentBlockIndex": index, "delta": dict(delta)}}:
                return self._grown(self._open.setdefault(index, _OpenBlock()), delta)
            case {"contentBlockStop": {"contentBlockIndex": index}} if index in self._open:
                self._open[index].whole = True
            case {"messageStop": dict(stop)}:
                self._finish(str(stop.get("stopReason") or StopReason.END_TURN))
            case {"metadata": dict(metadata)}:
                self.raw_usage = section(metadata, "usage") or self.raw_usage
                router = section(section(metadata, "trace"), "promptRouter")
                self.model = str(router.get("invokedModelId") or "") or self.model
            case _:
                pass
        return ()

    def _started(self, index: JSON, start: JSONObject) -> Iterable[StreamEvent]:
        opened = _OpenBlock(start)
        tool = section(start, "toolUse")
        opened.id = self._free_id(tool.get("toolUseId"))
        self._open[index] = opened
        call = opened.call
        return () if call is None else (ToolCallStarted(call.id, call.name),)

    def _grown(self, block: _OpenBlock, delta: JSONObject) -> Iterable[StreamEvent]:
        match delta:
            case {"text": str(piece)} if piece:
                block.text += piece
                return (TextDelta(piece),)
            case {"toolUse": {"input": str(piece)}} if piece:
                block.input += piece
                return () if block.call is None else (ToolCallDelta(block.id, piece),)
            case {"reasoningContent": dict(reasoning)}:
                return _reasoned(block, reasoning)
            case {"toolResult": list(parts)}:
                block.parts.extend(parts)
            case _:
                pass  # citations of documents, which are not ours to send
        return ()

    def _finish(self, said: str) -> None:
        """Some models say `end_turn` although their message calls tools: it was whole, so they are meant."""
        stop = STOPPED.get(said, said)
        calls = [each.call for each in self._open.values() if each.whole and each.call is not None]
        if stop == StopReason.TOOL_USE and not calls:
            stop = StopReason.END_TURN
        elif stop == StopReason.END_TURN and calls and all(_parses(call) for call in calls):
            stop = StopReason.TOOL_USE
        self.stop_reason = stop

    def _free_id(self, given: JSON) -> str:
        used = self._taken.union(each.id for each in self._open.values())
        return given if isinstance(given, str) and given and given not in used else new_id("tooluse")


def _reasoned(block: _OpenBlock, reasoning: JSONObject) -> Iterable[StreamEvent]:
    match reasoning:
        case {"text": str(piece)} if piece:
            block.reasoning += piece
            return (ThinkingDelta(piece),)
        case {"signature": str(piece)}:
            block.signature += piece
        case {"redactedContent": str(piece)}:
            block.redacted += base64.b64decode(piece)
        case _:
            pass
    return ()


def _parses(call: ToolCall) -> bool:
    try:
        call.arguments()
    except ValueError:
        return False
    return True


def _decoded(text: str) -> JSON:
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}


def _text_of(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
