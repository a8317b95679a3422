"""Reads what Anthropic's Messages API streams: the blocks of an answer, and what it was billed.

A usage object of this wire counts exclusively: the whole prompt is `input_tokens` plus what was read from the
cache plus what was written to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from providers.anthropic_diagnosis import told
from providers.call import new_id
from providers.counts import count, section
from providers.faults import http_fault
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
    canonical,
)


def decoded(text: str) -> JSONObject:
    """A JSON object, or an empty one where the text isn't one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def complaint(body: JSONObject) -> tuple[str, str]:
    """The message and the type of an error body, Anthropic's or an imitator's."""
    error = body.get("error", body)
    if not isinstance(error, dict):
        return str(error), ""
    return str(error.get("message") or ""), str(error.get("type") or error.get("code") or "")


# --- what was billed ---------------------------------------------------------------------------------------


def anthropic_cache_tokens(usage: object) -> tuple[int, int]:
    """Tokens read from and written to the cache, of a usage object of the wire's, decoded or the SDK's.

    The one place where these fields are read: what is absent, null or no count is 0.
    """
    cached = _Cached.of(usage)
    return cached.read or 0, cached.write or 0


@dataclass(frozen=True, slots=True)
class _Cached:
    """The cache fields of a usage object; None where the wire said nothing."""

    read: int | None
    write: int | None
    write_1h: int | None

    @classmethod
    def of(cls, usage: object) -> _Cached:
        split = _said(usage, "cache_creation")
        short = count(_said(split, "ephemeral_5m_input_tokens"))
        long = count(_said(split, "ephemeral_1h_input_tokens"))
        write = count(_said(usage, "cache_creation_input_tokens"))
        if write is None and (short is not None or long is not None):
            write = (short or 0) + (long or 0)
        return cls(count(_said(usage, "cache_read_input_tokens")), write, long)


def _said(usage: object, key: str) -> JSON:
    return usage.get(key) if isinstance(usage, Mapping) else getattr(usage, key, None)


def anthropic_usage(raw: JSONObject) -> Usage:
    """A decoded usage object in disjoint buckets; this wire's `input_tokens` leave out what met the cache."""
    cached = _Cached.of(raw)
    uncached, output = count(raw.get("input_tokens")) or 0, count(raw.get("output_tokens")) or 0
    reasoning = count(section(raw, "output_tokens_details").get("thinking_tokens")) or 0
    return Usage.told(
        uncached, output, cached.read, cached.write, write_1h=cached.write_1h or 0, reasoning=reasoning
    )


def merged_usage(sofar: JSONObject, later: JSONObject) -> JSONObject:
    """The usage of a stream after one more event told of it.

    Counts are cumulative, so a later one replaces an earlier one and is never added to it; neither null nor a
    late 0 erases what was said before. The split of the writes by lifetime is told at the start only.
    """
    merged = dict(sofar)
    for key, value in later.items():
        silent = value is None or (count(value) == 0 and count(merged.get(key)))
        if not silent and not (key == "cache_creation" and merged.get(key)):
            merged[key] = value
    return merged


# --- the answer --------------------------------------------------------------------------------------------


class BlockMaker(Protocol):
    """Collects one block of an answer while it streams."""

    def feed(self, delta: JSONObject) -> StreamEvent | None: ...

    def finish(self) -> StreamEvent | None: ...

    @property
    def block(self) -> Block: ...


@dataclass(slots=True)
class _TextMaker:
    text: str

    def feed(self, delta: JSONObject) -> StreamEvent | None:
        if delta.get("type") != "text_delta":
            return None
        piece = str(delta.get("text") or "")
        self.text += piece
        return TextDelta(piece) if piece else None

    def finish(self) -> StreamEvent | None:
        return None

    @property
    def block(self) -> Block:
        return Text(self.text)


@dataclass(slots=True)
class _ThinkingMaker:
    text: str
    signature: str
    origin: Origin

    def feed(self, delta: JSONObject) -> StreamEvent | None:
        match delta.get("type"):
            case "signature_delta":
                self.signature += str(delta.get("signature") or "")
            case "thinking_delta":
                piece = str(delta.get("thinking") or "")
                self.text += piece
                return ThinkingDelta(piece) if piece else None
        return None

    def finish(self) -> StreamEvent | None:
        return None

    @property
    def block(self) -> Block:
        return Thinking(self.text, self.origin, self.signature)


@dataclass(slots=True)
class _ToolMaker:
    """The arguments stay text: a partial object that parses would be a call nobody made."""

    id: str
    name: str
    given: JSON
    arguments: str = ""

    def feed(self, delta: JSONObject) -> StreamEvent | None:
        if delta.get("type") != "input_json_delta":
            return None
        piece = str(delta.get("partial_json") or "")
        self.arguments += piece
        return ToolCallDelta(self.id, piece) if piece else None

    def finish(self) -> StreamEvent | None:
        """Some servers send the whole input with the block's start, and no deltas."""
        if self.arguments or not self.given:
            return None
        self.arguments = canonical(self.given)
        return ToolCallDelta(self.id, self.arguments)

    @property
    def block(self) -> Block:
        return ToolCall(self.id, self.name, self.arguments)


@dataclass(slots=True)
class _OpaqueMaker:
    """A kind of block we do not know, to be sent back as it came."""

    start: JSONObject
    origin: Origin
    input: str = ""

    def feed(self, delta: JSONObject) -> StreamEvent | None:
        if delta.get("type") == "input_json_delta":
            self.input += str(delta.get("partial_json") or "")
        return None

    def finish(self) -> StreamEvent | None:
        return None

    @property
    def block(self) -> Block:
        value = {**self.start, "input": decoded(self.input)} if self.input else self.start
        return Opaque(json.dumps(value, ensure_ascii=False, separators=(",", ":")), self.origin)


@dataclass(slots=True)
class Answer:
    """The accumulator of this wire: folds raw events into blocks and usage."""

    provider: str
    origin: Origin
    model: str | None = None
    stop_reason: str | None = None
    raw_usage: JSONObject = field(default_factory=dict)
    provisional: bool = False
    """Whether the usage is only that of the start: the prompt's counts are final, the output's is not."""
    _stop: str | None = None
    _makers: dict[JSON, BlockMaker] = field(default_factory=dict)
    _whole: set[JSON] = field(default_factory=set)

    @property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(
            maker.block
            for index, maker in self._makers.items()
            if index in self._whole or isinstance(maker, _TextMaker)
        )

    @property
    def usage(self) -> Usage:
        return anthropic_usage(self.raw_usage)

    def feed(self, event: JSONObject) -> Iterable[StreamEvent]:
        index = event.get("index")
        match event.get("type"):
            case "message_start":
                message = section(event, "message")
                self.model = str(message.get("model") or "") or None
                if usage := section(message, "usage"):
                    self.raw_usage = merged_usage({**self.raw_usage, **told(message)}, usage)
                self.provisional = True
            case "content_block_start":
                return _shown(self._open(index, section(event, "content_block")))
            case "content_block_delta" if index in self._makers:
                return _shown(self._makers[index].feed(section(event, "delta")))
            case "content_block_stop" if index in self._makers:
                self._whole.add(index)
                return _shown(self._makers[index].finish())
            case "message_delta":
                self._stop = section(event, "delta").get("stop_reason") or self._stop
                billed = section(event, "usage")
                self.raw_usage = merged_usage(self.raw_usage, billed)
                self.provisional = self.provisional and count(billed.get("output_tokens")) is None
            case "message_stop":
                self.stop_reason = str(self._stop or StopReason.END_TURN)
            case _ if "error" in event:
                said, kind = complaint(event)
                raise http_fault(self.provider, 200, said, kind=kind)
        return ()

    def _open(self, index: JSON, start: JSONObject) -> StreamEvent | None:
        match start.get("type"):
            case "text":
                text = str(start.get("text") or "")
                self._makers[index] = _TextMaker(text)
                return TextDelta(text) if text else None
            case "thinking":
                text, signature = str(start.get("thinking") or ""), str(start.get("signature") or "")
                self._makers[index] = _ThinkingMaker(text, signature, self.origin)
                return ThinkingDelta(text) if text else None
            case "tool_use":
                tool = _ToolMaker(
                    self._tool_id(start.get("id")), str(start.get("name") or ""), start.get("input")
                )
                self._makers[index] = tool
                return ToolCallStarted(tool.id, tool.name)
            case _:
                self._makers[index] = _OpaqueMaker(start, self.origin)
                return None

    def _tool_id(self, given: JSON) -> str:
        """The id as it came; one of our own where it is missing or already taken in this answer."""
        taken = {maker.id for maker in self._makers.values() if isinstance(maker, _ToolMaker)}
        return given if isinstance(given, str) and given and given not in taken else new_id("toolu")


def _shown(event: StreamEvent | None) -> Iterable[StreamEvent]:
    return () if event is None else (event,)
