"""A loopback server that speaks OpenAI's chat completions, and bills a prompt cache as OpenAI documents it.

The rules stand in `benchmarks.cache.billing`, where they are checked by hand. With `writes`, as its newer
models do, it reports what it wrote too: all it had not read but the last message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from benchmarks.cache.billing import Bill, OpenAICache, Segments, openai_segments
from providers.types import canonical
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply, sse

DONE = "data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> str:
    """One event of the stream; without a delta one that has no choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    whole = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "served", "choices": choices}
    return f"data: {json.dumps({**whole, **fields})}\n\n"


def usage(prompt: int, completion: int, cached: int | None = 0, **fields: Any) -> dict[str, Any]:
    """A usage object; `cached` None says nothing of caching."""
    details = None if cached is None else {"cached_tokens": cached}
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {**counts, "prompt_tokens_details": details, **fields}


def fragment(
    index: int | None, call_id: str | None = None, name: str | None = None, arguments: str | None = None
) -> dict[str, Any]:
    """A delta with a piece of a tool call; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    head = {key: value for key, value in (("index", index), ("id", call_id)) if value is not None}
    return {"tool_calls": [{**head, "type": "function", "function": function}]}


def answer(
    words: str = "", calls: Iterable[tuple[str, str, dict[str, Any]]] = (), **billed: Any
) -> tuple[str, ...]:
    """The events of a whole answer: text in two deltas, then calls as (id, name, arguments), each in two."""
    events = [chunk({"role": "assistant", "content": None}, usage=None)]
    half = len(words) // 2
    events += [chunk({"content": part}) for part in (words[:half], words[half:]) if part]
    finish = "stop"
    for index, (call_id, name, arguments) in enumerate(calls):
        raw, finish = json.dumps(arguments), "tool_calls"
        events += [
            chunk(fragment(index, call_id, name, raw[:5])),
            chunk(fragment(index, None, None, raw[5:])),
        ]
    return (*events, chunk({}, finish), chunk(usage=billed or usage(10, 2)), DONE)


def refusal(
    status: int, message: str, *, kind: str = "", code: str | int | None = None, **headers: str
) -> Reply:
    """An HTTP error in OpenAI's envelope."""
    return json_reply({"error": {"message": message, "type": kind, "code": code}}, status, headers)


def objection(body: dict[str, Any], ids: str = ".{1,40}", known: Iterable[str] = ()) -> str:
    """What OpenAI's and Mistral's chat completions refuse. `ids` is the form of a tool call's id."""
    fields = {"role", "content", "tool_calls", "tool_call_id", *known}
    waiting: list[str] = []
    for message in body["messages"]:
        if set(message) - fields:
            return f"unknown fields in a message: {set(message) - fields}"
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return "a tool message answers no call"
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return "tool calls must be followed by tool messages"
        calls = message.get("tool_calls", [])
        if message["role"] == "assistant" and not (
            message["content"] or calls or message.get("reasoning_content")
        ):
            return "an assistant message has neither content nor tool calls"
        waiting = [call["id"] for call in calls]
        if not all(re.fullmatch(ids, call_id) for call_id in waiting):
            return f"the id of a tool call is not {ids}"
        if not all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in calls):
            return "arguments are the JSON text of an object"
    return "tool calls must be followed by tool messages" if waiting else ""


class OpenAIServer(LoopbackServer):
    """Gives `answers` in order, one a request: text, a tuple of tool calls, or a whole reply."""

    def __init__(
        self,
        answers: Iterable[str | tuple[tuple[str, str, dict[str, Any]], ...] | Reply],
        *,
        minimum: int = 0,
        step: int = 1,
        writes: bool = False,
    ) -> None:
        super().__init__(self._reply)
        self.billed: list[dict[str, Any]] = []
        """The usage of each answer, in order."""
        self._answers = iter(answers)
        self._cache = OpenAICache(lambda: 0.0, minimum, step)
        self._writes = writes

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def forget(self) -> None:
        """From now on requests reach a machine that holds nothing of what was sent."""
        self._cache.machines.clear()

    def _reply(self, request: Recorded) -> Reply:
        if request.method == "GET":
            return json_reply({"object": "list", "data": []})
        wanted = next(self._answers)
        if isinstance(wanted, Reply):
            return wanted
        words, calls = (wanted, ()) if isinstance(wanted, str) else ("", wanted)
        billed = self._bill(request.json, len(words) + len(canonical(calls)))
        self.billed.append(billed)
        return sse(*answer(words, calls, **billed))

    def _bill(self, body: dict[str, Any], answered: int) -> dict[str, Any]:
        request = openai_segments(body)
        bill, keep = self._cache.bill(request, affinity(body))
        keep()
        billed = usage(bill.prompt, max(1, answered // 4), bill.read)
        if self._writes:
            billed["prompt_tokens_details"]["cache_write_tokens"] = written(request, bill)
        return billed


def affinity(body: dict[str, Any]) -> str:
    """Where a request lands: those without a key share a machine here, as if there were just that one."""
    return str(body.get("prompt_cache_key", "the only one"))


def written(request: Segments, bill: Bill) -> int:
    """Tokens that a newer model writes: all that it has not read but the last message."""
    return max(0, bill.uncached - request.lengths[-1])
