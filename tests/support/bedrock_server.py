"""Bedrock's Converse stream over loopback, in AWS's own binary framing.

A frame (AWS's "event stream encoding"): its length and that of its headers, a CRC of those eight bytes, the
headers, the payload, a CRC of everything before. A header is its name's length and name, the type 7 for text,
and the text with its length. Its prompt cache is billed by Anthropic's rules, whose models these are.
"""

from __future__ import annotations

import binascii
import json
import struct
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from benchmarks.cache.billing import AnthropicCache, Segments
from providers.types import canonical
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply

MODEL = "us.anthropic.claude-sonnet-5-5"
USAGE = {"inputTokens": 21, "outputTokens": 9, "totalTokens": 30}
EVENT_STREAM = {"content-type": "application/vnd.amazon.eventstream"}


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message of the event stream encoding."""
    packed = b"".join(
        struct.pack("!B", len(name))
        + name.encode()
        + struct.pack("!BH", 7, len(text.encode()))
        + text.encode()
        for name, text in headers.items()
    )
    prelude = struct.pack("!II", 12 + len(packed) + len(payload) + 4, len(packed))
    body = prelude + struct.pack("!I", binascii.crc32(prelude)) + packed + payload
    return body + struct.pack("!I", binascii.crc32(body))


def event(kind: str, **value: Any) -> bytes:
    """One event of the stream."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(value).encode())


def exception(kind: str, message: str, **more: Any) -> bytes:
    """An error in the middle of a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message, **more}).encode())


def text(said: str) -> dict[str, Any]:
    return {"text": said}


def tool_use(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    """A tool call; arguments that are no text are sent as JSON."""
    whole = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": whole}}


def thinking(said: str, signature: str = "") -> dict[str, Any]:
    return {"reasoningContent": {"text": said, "signature": signature}}


def redacted(data: str) -> dict[str, Any]:
    """Reasoning that only its maker can read, in base64."""
    return {"reasoningContent": {"redactedContent": data}}


def answer(
    *blocks: dict[str, Any], stop: str = "", usage: Mapping[str, Any] | None = USAGE
) -> tuple[bytes, ...]:
    """The events of a whole answer. `usage` None: its last event never comes."""
    calls = any("toolUse" in block for block in blocks)
    events = [event("messageStart", role="assistant")]
    for index, block in enumerate(blocks):
        events += _block(index, block)
    events.append(event("messageStop", stopReason=stop or ("tool_use" if calls else "end_turn")))
    if usage is not None:
        events.append(event("metadata", usage=usage, metrics={"latencyMs": 412}))
    return tuple(events)


def _block(index: int, block: dict[str, Any]) -> Iterable[bytes]:
    def delta(value: Any) -> bytes:
        return event("contentBlockDelta", contentBlockIndex=index, delta=value)

    match block:
        case {"text": str(said)}:
            half = len(said) // 2
            yield from (delta({"text": part}) for part in (said[:half], said[half:]))
        case {"toolUse": {"input": whole, **start}}:
            yield event("contentBlockStart", contentBlockIndex=index, start={"toolUse": start})
            half = len(whole) // 2
            yield from (delta({"toolUse": {"input": part}}) for part in (whole[:half], whole[half:]))
        case {"reasoningContent": {"text": said, "signature": signature}}:
            yield delta({"reasoningContent": {"text": said}})
            if signature:
                yield delta({"reasoningContent": {"signature": signature}})
        case {"reasoningContent": value}:
            yield delta({"reasoningContent": value})
        case _:
            yield event("contentBlockStart", contentBlockIndex=index, start=block)
    yield event("contentBlockStop", contentBlockIndex=index)


def streamed(*events: bytes, cut: bool = False, hold: bool = False) -> Reply:
    """An answer of these events, each sent by itself."""
    return Reply(200, EVENT_STREAM, events, cut, hold)


def refusal(status: int, kind: str, message: str, **headers: str) -> Reply:
    """An HTTP error as AWS's JSON services send it."""
    return json_reply({"message": message}, status, {"x-amzn-errortype": f"{kind}:http://x/", **headers})


def segments(body: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """A request's blocks in the order of the prompt, cache points among them."""
    yield from (("tool", block) for block in body.get("toolConfig", {}).get("tools", []))
    yield from (("system", block) for block in body.get("system", []))
    for message in body["messages"]:
        yield from ((message["role"], block) for block in message["content"])


class BedrockServer(LoopbackServer):
    """Gives `answers` in order, one a request: tuples of blocks, billed by its cache, or whole replies.

    It refuses what Converse refuses of a conversation. Lists of models are asked of it by GET.
    """

    def __init__(self, answers: Iterable[tuple[dict[str, Any], ...] | Reply]) -> None:
        super().__init__(self._reply)
        self.cache = AnthropicCache(lambda: 0.0, minimum=0)
        self.billed: list[dict[str, Any]] = []
        self.lists: dict[str, Any] = {}
        """By path: what a list of models answers."""
        self._answers = iter(answers)

    def _reply(self, request: Recorded) -> Reply:
        if request.method == "GET":
            return json_reply(self.lists[request.path.partition("?")[0]])
        complaint = objection(request.json)
        if complaint:
            return refusal(400, "ValidationException", complaint)
        blocks = next(self._answers)
        if isinstance(blocks, Reply):
            return blocks
        output = max(1, sum(len(canonical(block)) for block in blocks) // 4)
        usage = self._bill(request.path, request.json) | {"outputTokens": output}
        usage["totalTokens"] = sum(value for value in usage.values() if isinstance(value, int))
        self.billed.append(usage)
        return streamed(*answer(*blocks, usage=usage))

    def _bill(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The usage of a request but for its answer; its entries are kept from now on."""
        bill, keep = self.cache.bill(pointed(path, body))
        keep()
        written = {"1h": bill.write_1h, "5m": bill.write - bill.write_1h}
        return {
            "inputTokens": bill.uncached,
            "cacheReadInputTokens": bill.read,
            "cacheWriteInputTokens": bill.write,
            "cacheDetails": [{"ttl": ttl, "inputTokens": count} for ttl, count in written.items() if count],
        }


def pointed(path: str, body: dict[str, Any]) -> Segments:
    """A request as its blocks, of which those before a cache point carry it; the path names the model."""
    blocks: list[tuple[str, dict[str, Any]]] = []
    for place, block in segments(body):
        if "cachePoint" in block:
            role, last = blocks.pop()
            blocks.append((role, {**last, "cache_control": block["cachePoint"]}))
        else:
            blocks.append((place, block))
    return Segments.of(path, None, blocks)


def objection(body: dict[str, Any]) -> str:
    """What Converse would refuse in a request; "" if nothing."""
    points = [block for _, block in segments(body) if "cachePoint" in block]
    roles = [message["role"] for message in body["messages"]]
    lifetimes = [block["cachePoint"].get("ttl", "5m") for block in points]
    if lifetimes != sorted(lifetimes):
        return "A cache point with a longer ttl must not come after one with a shorter ttl."
    if len(points) > 4:
        return f"You have too many cache points: {len(points)}, the maximum is 4."
    if roles[:1] != ["user"] or any(one == next_ for one, next_ in pairwise(roles)):
        return (
            "A conversation must alternate between user and assistant roles, and begin with a user message."
        )
    for message, following in zip(body["messages"], [*body["messages"][1:], {"content": []}], strict=True):
        content = message["content"]
        if not content:
            return "The content field in the Message object is empty."
        if any(not block["text"].strip() for block in content if "text" in block):
            return "The text field in the ContentBlock object is blank."
        if message["role"] == "assistant" and "reasoningContent" in content[-1]:
            return "The final block in an assistant message cannot be reasoning."
        calls = {block["toolUse"]["toolUseId"] for block in content if "toolUse" in block}
        results = {
            block["toolResult"]["toolUseId"] for block in following["content"] if "toolResult" in block
        }
        if calls != results:
            return "The number of toolResult blocks exceeds or falls short of the toolUse blocks before."
    return ""
