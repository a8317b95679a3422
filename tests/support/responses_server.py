"""A loopback server that speaks OpenAI's Responses API, and bills a prompt cache as OpenAI documents it.

Caching is as in `openai_server`, with what its newer models write. Nothing is kept of an answer: an item
that comes back is taken for what the client says it is. A request that names an earlier response is told
what changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from benchmarks.cache.billing import OpenAICache, responses_segments
from providers.types import canonical
from tests.support import openai_server
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply, sse

Item: TypeAlias = dict[str, Any]


def event(kind: str, **fields: Any) -> str:
    """One event of the stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


def usage(prompt: int, output: int, cached: int = 0, written: int = 0, reasoning: int = 0) -> dict[str, Any]:
    """A usage object."""
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": prompt + output,
    }


def said(text: str, item_id: str = "msg_1", **fields: Any) -> Item:
    """An output item of text."""
    content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}]
    head = {"id": item_id, "type": "message", "status": "completed", "role": "assistant"}
    return {**head, **fields, "content": content}


def called(call_id: str, name: str, arguments: Mapping[str, Any] | str, item_id: str = "") -> Item:
    """An output item that calls a tool."""
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    head = {"id": item_id or f"fc_{call_id}", "type": "function_call", "status": "completed"}
    return {**head, "arguments": raw, "call_id": call_id, "name": name}


def thought(summary: str = "", item_id: str = "rs_1", encrypted: str = "gAAAA+/=") -> Item:
    """An output item of reasoning."""
    parts = [{"type": "summary_text", "text": summary}] if summary else []
    return {"id": item_id, "type": "reasoning", "summary": parts, "encrypted_content": encrypted}


def whole(*output: Item, status: str = "completed", **fields: Any) -> dict[str, Any]:
    """A response object."""
    head = {"id": "resp_1", "object": "response", "model": "served", "status": status, "error": None}
    return {**head, "output": list(output), **fields}


def ended(*output: Item, status: str = "completed", **fields: Any) -> str:
    """The event that ends a stream."""
    return event(f"response.{status}", response=whole(*output, status=status, **fields))


def began() -> tuple[str, str]:
    """The events that begin a stream."""
    begun = whole(status="in_progress")
    return event("response.created", response=begun), event("response.in_progress", response=begun)


def streamed(index: int, item: Item) -> tuple[str, ...]:
    """The events of one item: what it holds comes in two deltas."""
    at = {"item_id": item["id"], "output_index": index}
    match item["type"]:
        case "message":
            empty, kind, text = {"content": []}, "response.output_text", item["content"][0]["text"]
            more: dict[str, Any] = {"content_index": 0}
        case "function_call":
            empty, kind, text = {"arguments": ""}, "response.function_call_arguments", item["arguments"]
            more = {}
        case _:
            empty, kind = {"summary": [], "encrypted_content": "gA"}, "response.reasoning_summary_text"
            text, more = "".join(part["text"] for part in item["summary"]), {"summary_index": 0}
    half = len(text) // 2
    deltas = (event(f"{kind}.delta", delta=part, **at, **more) for part in (text[:half], text[half:]) if part)
    opened = event(
        "response.output_item.added", output_index=index, item={**item, **empty, "status": "in_progress"}
    )
    return (opened, *deltas, event("response.output_item.done", output_index=index, item=item))


def answer(*items: Item, status: str = "completed", **fields: Any) -> tuple[str, ...]:
    """The events of a whole answer."""
    pieces = (piece for index, item in enumerate(items) for piece in streamed(index, item))
    return (*began(), *pieces, ended(*items, status=status, **{"usage": usage(10, 2), **fields}))


def refusal(status: int, message: str, *, param: str | None = None, **headers: str) -> Reply:
    """An HTTP error in OpenAI's envelope."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return json_reply({"error": error}, status, headers)


def objection(body: dict[str, Any]) -> str:
    """What the API would refuse in a request; "" if nothing."""
    waiting: set[str] = set()
    for item in body["input"]:
        match item["type"]:
            case "function_call":
                if len(item["call_id"]) > 64:
                    return "call_id: string too long"
                waiting.add(item["call_id"])
            case "function_call_output":
                if item["call_id"] not in waiting:
                    return "No tool call found for function call output"
                waiting.discard(item["call_id"])
            case "message":
                if waiting:
                    return "No tool output found for function call"
                if not item["content"]:
                    return "content must not be empty"
            case "reasoning":
                if not item.get("encrypted_content"):
                    return "Item not found: items are not persisted when `store` is false"
            case kind:
                return f"no item is a {kind}"
    return "No tool output found for function call" if waiting else ""


class ResponsesServer(LoopbackServer):
    """Gives `answers` in order, one a request: a tuple of output items, or a whole reply."""

    def __init__(self, answers: Iterable[tuple[Item, ...] | Reply]) -> None:
        super().__init__(self._reply)
        self.billed: list[dict[str, Any]] = []
        """The usage of each answer, in order."""
        self._answers = iter(answers)
        self._cache = OpenAICache(lambda: 0.0, minimum=0, step=1)
        self._asked: dict[str, dict[str, Any]] = {}
        """What each response answered, by its id."""

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def _reply(self, request: Recorded) -> Reply:
        if request.method == "GET":
            return json_reply({"object": "list", "data": []})
        wanted = next(self._answers)
        if isinstance(wanted, Reply):
            return wanted
        billed = self._bill(request.json, wanted)
        self.billed.append(billed)
        diagnosed = self._diagnosed(request.json, billed)
        self._asked[f"resp_{len(self.billed)}"] = request.json
        return sse(*answer(*wanted, usage=billed, id=f"resp_{len(self.billed)}", **diagnosed))

    def _diagnosed(self, body: dict[str, Any], billed: dict[str, Any]) -> dict[str, Any]:
        options = body.get("prompt_cache_options", {})
        if "comparison_response_id" not in options:
            return {}
        before = self._asked.get(options["comparison_response_id"])
        return {"prompt_cache_diagnostics": _compared(before, body, billed["input_tokens"])}

    def _bill(self, body: dict[str, Any], answered: tuple[Item, ...]) -> dict[str, Any]:
        request = responses_segments(body)
        bill, keep = self._cache.bill(request, openai_server.affinity(body))
        keep()
        said = sum(max(1, len(canonical(item)) // 4) for item in answered)
        return usage(bill.prompt, said, bill.read, openai_server.written(request, bill))


def _compared(before: dict[str, Any] | None, now: dict[str, Any], prompt: int) -> dict[str, Any]:
    """What became of the earlier request's beginning, as OpenAI's `prompt_cache_diagnostics` tells it."""
    if before is None:
        return {"type": "comparison_response_not_found"}
    fields = {
        "model": "model_changed",
        "prompt_cache_key": "prompt_cache_key_changed",
        "tools": "tools_changed",
        "reasoning": "reasoning_effort_changed",
        "instructions": "input_changed",
    }
    reasons = [reason for field, reason in fields.items() if before.get(field) != now.get(field)]
    if now["input"][: len(before["input"])] != before["input"]:
        reasons.append("input_changed")
    if not reasons:
        return {"type": "cache_hit"}
    return {"type": "cache_miss", "reason": reasons[0], "cache_missed_tokens": prompt}
