"""A loopback server that speaks Anthropic's Messages API and bills its prompt cache by the published rules.

Those stand in `benchmarks.cache.billing`, where they are checked by hand. What the API would refuse, this
server refuses: thinking, too, that it did not give out itself to that model, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from benchmarks.cache.billing import LIFETIMES, AnthropicCache, Bill, anthropic_segments
from providers.types import canonical
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply, sse


def event(kind: str, **fields: Any) -> str:
    """One server-sent event of the wire."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def tool_use(call_id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def thinking(words: str, signature: str = "EqQB+sig/==") -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": signature}


def redacted(data: str = "c2VjcmV0+/==") -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": data}


def answer(
    *blocks: dict[str, Any],
    usage: dict[str, Any],
    stop_reason: str | None = None,
    model: str = "claude-test",
    response: str = "msg_1",
    diagnostics: dict[str, Any] | None = None,
) -> tuple[str, ...]:
    """The events of a whole answer, each block in two deltas as the API sends them."""
    stop = stop_reason or ("tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn")
    start = {"id": response, "type": "message", "role": "assistant", "model": model, "content": []}
    start["diagnostics"] = diagnostics
    begun = {**usage, "output_tokens": min(1, usage.get("output_tokens", 1))}
    events = [event("message_start", message={**start, "usage": begun})]
    for index, block in enumerate(blocks):
        events += _block(index, block)
    output = {"output_tokens": usage.get("output_tokens", length(blocks))}
    events.append(event("message_delta", delta={"stop_reason": stop}, usage=output))
    return (*events, event("message_stop"))


def length(blocks: Iterable[dict[str, Any]]) -> int:
    """The tokens of an answer."""
    return max(1, sum(len(canonical(block)) for block in blocks) // 4)


def _block(index: int, block: dict[str, Any]) -> Iterable[str]:
    match block["type"]:
        case "text":
            empty, key, kind, whole = {**block, "text": ""}, "text", "text_delta", block["text"]
        case "tool_use":
            whole = json.dumps(block["input"])
            empty, key, kind = {**block, "input": {}}, "partial_json", "input_json_delta"
        case "thinking":
            return _thought(index, block)
        case _:
            return [
                event("content_block_start", index=index, content_block=block),
                event("content_block_stop", index=index),
            ]
    half = len(whole) // 2
    deltas = [
        event("content_block_delta", index=index, delta={"type": kind, key: part})
        for part in (whole[:half], whole[half:])
    ]
    opening = event("content_block_start", index=index, content_block=empty)
    return [opening, *deltas, event("content_block_stop", index=index)]


def _thought(index: int, block: dict[str, Any]) -> Iterable[str]:
    """Thinking as the API streams it: its text, then its signature."""
    deltas = (("thinking_delta", "thinking"), ("signature_delta", "signature"))
    yield event("content_block_start", index=index, content_block={**block, "thinking": "", "signature": ""})
    for kind, key in deltas:
        yield event("content_block_delta", index=index, delta={"type": kind, key: block[key]})
    yield event("content_block_stop", index=index)


def usage_of(bill: Bill) -> dict[str, Any]:
    """A bill as the API tells it."""
    return {
        "input_tokens": bill.uncached,
        "cache_read_input_tokens": bill.read,
        "cache_creation_input_tokens": bill.write,
        "cache_creation": {
            "ephemeral_5m_input_tokens": bill.write - bill.write_1h,
            "ephemeral_1h_input_tokens": bill.write_1h,
        },
        "output_tokens": bill.output,
    }


class AnthropicServer(LoopbackServer):
    """Gives `answers` in order, one a request: tuples of blocks, billed by its cache, or whole replies."""

    def __init__(
        self,
        answers: Iterable[tuple[dict[str, Any], ...] | Reply],
        *,
        now: Callable[[], float] = lambda: 0.0,
        minimum: int = 0,
    ) -> None:
        super().__init__(self._reply)
        self.cache = AnthropicCache(now, minimum)
        self.billed: list[dict[str, Any]] = []
        """The usage of each answer that it billed, in order."""
        self.fingerprints: dict[str, list[str]] = {}
        """By the id of an answer, what its request sent: only of requests that asked for a diagnosis."""
        self.thoughts: set[str] = set()
        """The thinking it gave out, each block with the model that it was given to."""
        self._answers = iter(answers)

    def _reply(self, request: Recorded) -> Reply:
        complaint = objection(request.json) or self._forged(request.json)
        if complaint:
            return refusal(400, "invalid_request_error", complaint)
        blocks = next(self._answers)
        if isinstance(blocks, Reply):
            return blocks
        said = length(blocks) if blocks else 0
        usage = self.bill(request.json, said)
        self.billed.append(usage)
        model = request.json["model"]
        self.thoughts |= {canonical([model, block]) for block in blocks if "thinking" in block["type"]}
        response = f"msg_{len(self.billed)}"
        found = self._diagnosed(request.json, response)
        cut = "max_tokens" if request.json.get("max_tokens") == 0 else None
        events = answer(
            *blocks, usage=usage, stop_reason=cut, model=model, response=response, diagnostics=found
        )
        return sse(*events)

    def bill(self, body: dict[str, Any], output: int) -> dict[str, Any]:
        """The usage of a request whose answer has so many tokens; its entries are kept from now on."""
        bill, keep = self.cache.bill(anthropic_segments(body))
        keep()
        return usage_of(replace(bill, output=output))

    def _diagnosed(self, body: dict[str, Any], response: str) -> dict[str, Any] | None:
        """Where a request parts from the one it names ("Cache diagnostics" in the API's documentation)."""
        if "diagnostics" not in body:
            return None
        sent = _fingerprint(body)
        self.fingerprints[response] = sent
        named = body["diagnostics"]["previous_message_id"]
        if named is None:
            return None
        before = self.fingerprints.get(named)
        if before is None:
            return {"cache_miss_reason": {"type": "previous_message_not_found"}}
        if sent[: len(before)] == before:
            return None
        parts = (one != other for one, other in zip(before, [*sent, *before], strict=False))
        kind = ("model", "tools", "system", "messages")[min(list(parts).index(True), 3)]
        return {"cache_miss_reason": {"type": f"{kind}_changed", "cache_missed_input_tokens": 1}}

    def _forged(self, body: dict[str, Any]) -> str:
        blocks = (block for message in body["messages"] for block in message["content"])
        for block in blocks:
            if "thinking" in block["type"] and canonical([body["model"], block]) not in self.thoughts:
                return "messages: Invalid `signature` in `thinking` block"
        return ""


def _fingerprint(body: dict[str, Any]) -> list[str]:
    """What a request sent, without its cache markers: model, tools, system, then each block."""
    blocks = [block for message in body["messages"] for block in message["content"]]
    bare = [{key: value for key, value in block.items() if key != "cache_control"} for block in blocks]
    system = [block["text"] for block in body.get("system", [])]
    return [body["model"], *map(canonical, (body.get("tools"), system, *bare))]


def refusal(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> Reply:
    """An HTTP error in the API's envelope."""
    return json_reply({"type": "error", "error": {"type": kind, "message": message}}, status, headers)


def objection(body: dict[str, Any]) -> str:
    """What the API would refuse in a request; "" if nothing."""
    marks = anthropic_segments(body).marks
    lifetimes = [marks[place] for place in sorted(marks)]
    if len(marks) > 4:
        return f"A maximum of 4 blocks with cache_control may be provided. Found {len(marks)}."
    if not LIFETIMES.keys() >= {*lifetimes}:
        return "cache_control.ttl: Input should be '5m' or '1h'"
    if lifetimes != sorted(lifetimes):
        return "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block"
    return next(filter(None, map(_message_objection, body["messages"])), "") or _unanswered(body["messages"])


def _message_objection(message: dict[str, Any]) -> str:
    content = message["content"]
    if not content:
        return "messages: content must not be empty"
    kinds = [block["type"] for block in content]
    ids = [block[key] for block in content for key in ("id", "tool_use_id", "name") if key in block]
    if not all(re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name) for name in ids):
        return "messages: String should match pattern '^[a-zA-Z0-9_-]+$'"
    if len(calls := [block["id"] for block in content if block["type"] == "tool_use"]) != len({*calls}):
        return "messages: `tool_use` ids must be unique"
    if any(block["type"] == "text" and not block["text"].strip() for block in content):
        return "messages: text content blocks must contain non-whitespace text"
    if any("cache_control" in block for block in content if "thinking" in block["type"]):
        return "messages: thinking blocks cannot carry cache_control"
    if message["role"] == "assistant" and "thinking" in kinds[-1]:
        return "messages: the final block in an assistant message cannot be thinking"
    if kinds != sorted(kinds, key="tool_result".__ne__):
        return "messages: tool_result blocks must come first"
    return ""


def _unanswered(messages: list[dict[str, Any]]) -> str:
    for message, following in zip(messages, [*messages[1:], {"content": []}], strict=True):
        calls = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        results = [block.get("tool_use_id") for block in following["content"]]
        if any(call not in results for call in calls):
            return "messages: tool_use ids were found without tool_result blocks immediately after"
    return ""
