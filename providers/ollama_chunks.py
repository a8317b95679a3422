"""Folds the lines of an Ollama chat into blocks and usage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from providers.call import new_id
from providers.counts import count, section
from providers.endpoint import same_host
from providers.errors import ContextOverflow, ProviderError
from providers.faults import http_fault, is_overflow
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
)

STOPPED: Mapping[str, str] = {"stop": StopReason.END_TURN, "length": StopReason.MAX_TOKENS}
NOT_USAGE = frozenset({"model", "created_at", "message", "done", "remote_model"})
CLOUD = "https://ollama.com"
HOSTED = "remote_host"
"""Where the server had the model run; kept with the usage, as it decides whether the call was free."""


def ollama_usage(raw: JSONObject) -> Usage:
    """The usage of one call, in disjoint buckets, from the figures of its last line. Never raises.

    `prompt_eval_count` is the whole prompt, what was read from the cache included. A server before 0.33.3
    doesn't say how much that was, and one before 0.30 leaves the prompt's count out when all of it was
    cached: neither is a report of 0.
    """
    prompt, cached = count(raw.get("prompt_eval_count")), ollama_cached_read_tokens(raw)
    read = cached if prompt is None else min(cached, prompt)
    said = count(raw.get("prompt_eval_cached_count")) is not None
    prompt = read if prompt is None else prompt
    return Usage.told(prompt - read, count(raw.get("eval_count")) or 0, read if said else None, None)


def ollama_cached_read_tokens(raw: JSONObject) -> int:
    """Prompt tokens read from the cache; 0 where the server said nothing. The one reader of that field."""
    return count(raw.get("prompt_eval_cached_count")) or 0


def ollama_fault(
    provider: str, status: int, said: str, *, retry_after: float | None = None, secret: str | None = None
) -> ProviderError:
    """The error for one of the server's own, over HTTP or (`status` 0 or 200) as a line of the answer.

    `retry_after` is the wait it asked for, in seconds; `secret` is masked where the server repeats it.
    """
    if is_overflow(status, said):
        return ContextOverflow(
            f"The conversation no longer fits the context size that {provider} runs this model with. Nothing "
            "was lost: start afresh with /new, go on from an earlier point with /fork, or give it more room: "
            "OLLAMA_CONTEXT_LENGTH=32768 ollama serve",
            status=status or None,
        )
    return http_fault(provider, status, said, retry_after=retry_after, secret=secret)


class OllamaAccumulator:
    """One answer in the making. `taken` are the tool call ids that the conversation already uses."""

    def __init__(
        self, origin: Origin, *, provider: str, taken: frozenset[str], secret: str | None = None
    ) -> None:
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.raw_usage: JSONObject = {}
        self._origin = origin
        self._provider = provider
        self._secret = secret
        self._used = set(taken)
        self._thinking: list[str] = []
        self._text: list[str] = []
        self._calls: list[ToolCall] = []

    @property
    def blocks(self) -> tuple[Block, ...]:
        blocks: list[Block] = []
        if thinking := "".join(self._thinking):
            blocks.append(Thinking(thinking, self._origin))
        if text := "".join(self._text):
            blocks.append(Text(text))
        if self.stop_reason == StopReason.TOOL_USE:
            blocks.extend(self._calls)
        return tuple(blocks)

    @property
    def usage(self) -> Usage:
        return ollama_usage(self.raw_usage)

    def feed(self, event: JSONObject) -> Iterable[StreamEvent]:
        """Take one line."""
        if error := event.get("error"):
            said = error if isinstance(error, str) else json.dumps(error)
            raise ollama_fault(self._provider, 200, said, secret=self._secret)
        model = event.get("model")
        if isinstance(model, str) and model:
            self.model = model
        events = list(self._said(section(event, "message")))
        if event.get("done") is True:
            self._finish(event)
        return events

    def _said(self, message: JSONObject) -> Iterator[StreamEvent]:
        thinking, text, calls = message.get("thinking"), message.get("content"), message.get("tool_calls")
        if isinstance(thinking, str) and thinking:
            self._thinking.append(thinking)
            yield ThinkingDelta(thinking)
        if isinstance(text, str) and text:
            self._text.append(text)
            yield TextDelta(text)
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                yield from self._called(call)

    def _called(self, sent: JSONObject) -> Iterator[StreamEvent]:
        """Calls come whole. An id that is missing or was used before is replaced by one of ours, for good."""
        function, wire_id = section(sent, "function"), sent.get("id")
        name = function.get("name")
        if not isinstance(name, str) or not name:
            return
        own = not isinstance(wire_id, str) or not wire_id or wire_id in self._used
        call = ToolCall(new_id("tool") if own else str(wire_id), name, _text_of(function.get("arguments")))
        self._used.add(call.id)
        self._calls.append(call)
        yield ToolCallStarted(call.id, name)
        yield ToolCallDelta(call.id, call.raw_arguments)

    def _finish(self, event: JSONObject) -> None:
        reason = event.get("done_reason") or "stop"  # old servers gave none
        stop = STOPPED.get(str(reason), str(reason))
        # This wire says `stop` also of a message that calls tools. One cut at its limit runs none of them.
        self.stop_reason = StopReason.TOOL_USE if self._calls and stop == StopReason.END_TURN else stop
        usage = {key: value for key, value in event.items() if key not in NOT_USAGE}
        if same_host(self._origin.endpoint, CLOUD):
            usage[HOSTED] = CLOUD
        if ollama_usage(usage).total_tokens:
            self.raw_usage = usage


def _text_of(arguments: JSON) -> str:
    """The arguments' JSON text, in the order in which they came: rendered so again, they match what the
    server's cache holds of the model's own words."""
    if isinstance(arguments, str):
        return arguments
    return json.dumps({} if arguments is None else arguments, separators=(",", ":"), ensure_ascii=False)
