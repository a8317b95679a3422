"""A loopback server that speaks Ollama's API, with a prefix cache.

As its llama.cpp runner does, it keeps the last prompt and reads again what the next one shares with it, but
for one token that is always computed anew. A token is four characters of canonical JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from providers.types import canonical
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply

MODEL = "qwen3:8b"


def line(message: dict[str, Any] | None = None, **fields: Any) -> str:
    """One line of the stream."""
    said = {"role": "assistant", "content": "", **(message or {})}
    return (
        json.dumps(
            {"model": MODEL, "created_at": "2026-11-22T00:00:00Z", "message": said, "done": False, **fields}
        )
        + "\n"
    )


def end(reason: str | None = "stop", **counts: Any) -> str:
    """The line that ends a stream."""
    return line(done=True, **({"done_reason": reason} if reason else {}), **counts)


def ndjson(*lines: str | bytes, cut: bool = False, hold: bool = False) -> Reply:
    """A 200 answer of lines, each sent as one chunk."""
    chunks = tuple(each.encode() if isinstance(each, str) else each for each in lines)
    return Reply(200, {"content-type": "application/x-ndjson"}, chunks, cut, hold)


def tool_call(name: str, arguments: Any, call_id: str | None = None) -> dict[str, Any]:
    return {
        **({"id": call_id} if call_id else {}),
        "function": {"index": 0, "name": name, "arguments": arguments},
    }


class OllamaServer(LoopbackServer):
    """Gives `answers` in order, one a chat: text, a tuple of tool calls, or a whole reply."""

    def __init__(
        self, answers: Iterable[str | tuple[dict[str, Any], ...] | Reply] = (), *, context: int = 40_960
    ) -> None:
        super().__init__(self._reply)
        self.billed: list[dict[str, int]] = []
        self._answers = iter(answers)
        self._context = context
        self.running: dict[str, int] = {MODEL: 8192}
        """By model, the context that it is loaded with. A call that asks for another loads it anew."""
        self.own_parameters = ""
        """The parameters in the model's own file."""
        self.load_seconds = 4.0
        self._kept = ""

    def _reply(self, request: Recorded) -> Reply:
        match request.path:
            case "/api/chat":
                return self._chat(request.json)
            case "/api/tags":
                details = {"parameter_size": "8.2B", "quantization_level": "Q4_K_M"}
                return json_reply({"models": [{"model": MODEL, "size": 5_000_000_000, "details": details}]})
            case "/api/ps":
                loaded = self.running.items()
                models = [{"model": name, "name": name, "context_length": size} for name, size in loaded]
                return json_reply({"models": models})
            case "/api/show" if request.json["model"] == MODEL:
                facts = {"qwen3.context_length": self._context, "qwen3.block_count": 36}
                return json_reply({"model_info": facts, "parameters": self.own_parameters})
            case _:
                return json_reply({"error": f"model '{request.json['model']}' not found"}, 404)

    def _chat(self, body: dict[str, Any]) -> Reply:
        wanted = next(self._answers)
        if isinstance(wanted, Reply):
            return wanted
        loading = self._load(body["model"], body["options"].get("num_ctx"))
        counts = loading | self._bill(canonical([body.get("tools"), body["messages"]])[:-2])
        counts["eval_count"] = max(1, len(canonical(wanted)) // 4)
        self.billed.append(counts)
        said = {"content": wanted} if isinstance(wanted, str) else {"tool_calls": list(wanted)}
        return ndjson(line(said), end(**counts))

    def _load(self, model: str, size: int | None) -> dict[str, int]:
        """Load the model unless it is there as wanted. One that is loaded anew has nothing in its cache."""
        there = self.running.get(model)
        if there is not None and size in (None, there):
            return {"load_duration": 40_000_000}
        self.running[model] = size or 4096
        self._kept = ""
        return {"load_duration": int(self.load_seconds * 1e9)}

    def _bill(self, prompt: str) -> dict[str, int]:
        shared = next(
            (i for i, (a, b) in enumerate(zip(prompt, self._kept, strict=False)) if a != b),
            min(len(prompt), len(self._kept)),
        )
        self._kept = prompt
        count = max(1, len(prompt) // 4)
        return {"prompt_eval_count": count, "prompt_eval_cached_count": min(shared // 4, count - 1)}
