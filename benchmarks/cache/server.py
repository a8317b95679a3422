"""A model server on loopback that bills like the providers, refuses what they refuse, on its own time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.cache.billing import (
    AnthropicCache,
    Bill,
    OpenAICache,
    Segments,
    anthropic_segments,
    openai_segments,
)
from benchmarks.cache.oracle import Made
from tests.support import anthropic_server, openai_server
from tests.support.loopback import LoopbackServer, Recorded, Reply, sse

START = 1_800_000_000.0
"""Where the clock begins, in seconds since the epoch."""


@dataclass(slots=True)
class Clock:
    """The benchmark's time, in a file that the agent reads."""

    file: Path
    time: float = START

    def __post_init__(self) -> None:
        self.advance(0.0)

    def now(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds
        self.file.write_text(repr(self.time))


@dataclass(frozen=True, slots=True)
class Say:
    """An answer of text; `pause` is how many seconds pass after it."""

    words: str
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Use:
    """An answer that calls tools, each by name with its arguments."""

    calls: tuple[tuple[str, dict[str, Any]], ...]
    words: str = ""
    pause: float = 0.0


Answer = Say | Use
Choose = Callable[[dict[str, Any]], Answer]
"""The answer to a request's body."""


@dataclass(slots=True)
class Billing:
    """One provider's side: it bills requests on the clock and keeps what it was asked."""

    clock: Clock
    minimum: int
    calls: list[Made] = field(default_factory=list)
    allowed: str = ""
    """Why the next call may pay again for what was sent before; taken by that call."""


class AnthropicBench(LoopbackServer):
    """Speaks Anthropic's Messages API."""

    def __init__(self, clock: Clock, choose: Choose, *, minimum: int = 1024) -> None:
        super().__init__(self._reply)
        self.billing = Billing(clock, minimum)
        self.choose = choose
        self._cache = AnthropicCache(clock.now, minimum)
        self._order = threading.Lock()
        self._numbers = iter(range(1, 1_000_000))

    def environ(self) -> dict[str, str]:
        return {"ANTHROPIC_API_KEY": "sk-ant-0123456789abcdef", "ANTHROPIC_BASE_URL": self.url}

    def _reply(self, request: Recorded) -> Reply:
        body = request.json
        complaint = anthropic_server.objection(body)
        if complaint:
            return anthropic_server.refusal(400, "invalid_request_error", complaint)
        with self._order:
            answer = self.choose(body)
            segments = anthropic_segments(body)
            bill, keep = self._cache.bill(segments)
            blocks = self._blocks(answer)
            bill = replace(bill, output=anthropic_server.length(blocks))
            _book(self.billing, segments, "", bill)
        events = anthropic_server.answer(*blocks, usage=_anthropic_usage(bill), model=body["model"])
        return _stream(events, keep, self.billing.clock, answer.pause)

    def _blocks(self, answer: Answer) -> tuple[dict[str, Any], ...]:
        match answer:
            case Say(words):
                return (anthropic_server.text(words),)
            case Use(calls, words):
                said = (anthropic_server.text(words),) if words else ()
                used = [
                    anthropic_server.tool_use(f"toolu_{next(self._numbers):05}", name, **arguments)
                    for name, arguments in calls
                ]
                return (*said, *used)


class OpenAIBench(LoopbackServer):
    """Speaks OpenAI's chat completions."""

    def __init__(self, clock: Clock, choose: Choose, *, minimum: int = 1024, step: int = 128) -> None:
        super().__init__(self._reply)
        self.billing = Billing(clock, minimum)
        self.choose = choose
        self._cache = OpenAICache(clock.now, minimum, step)
        self._order = threading.Lock()
        self._numbers = iter(range(1, 1_000_000))

    def environ(self) -> dict[str, str]:
        return {"OPENAI_API_KEY": "sk-0123456789abcdef", "OPENAI_BASE_URL": f"{self.url}/v1"}

    def _reply(self, request: Recorded) -> Reply:
        body = request.json
        with self._order:
            answer = self.choose(body)
            segments, key = openai_segments(body), str(body.get("prompt_cache_key", ""))
            bill, keep = self._cache.bill(segments, key)
            words, calls = self._said(answer)
            bill = replace(bill, output=max(1, (len(words) + sum(len(str(call)) for call in calls)) // 4))
            _book(self.billing, segments, key, bill)
        usage = openai_server.usage(bill.prompt, bill.output, bill.read)
        return _stream(openai_server.answer(words, calls, **usage), keep, self.billing.clock, answer.pause)

    def _said(self, answer: Answer) -> tuple[str, tuple[tuple[str, str, dict[str, Any]], ...]]:
        match answer:
            case Say(words):
                return words, ()
            case Use(calls, words):
                return words, tuple((f"call_{next(self._numbers):05}", name, args) for name, args in calls)


Server = AnthropicBench | OpenAIBench


def _book(billing: Billing, segments: Segments, key: str, bill: Bill) -> None:
    billing.calls.append(Made(billing.clock.now(), segments, key, bill, billing.allowed))
    billing.allowed = ""


def _stream(events: tuple[str, ...], keep: Callable[[], None], clock: Clock, pause: float) -> Reply:
    """The answer; its entries are there once it begins, and its pause is over when it ends."""

    def chunks() -> Iterator[bytes]:
        keep()
        for event in events[:-1]:
            yield event.encode()
        clock.advance(pause)
        yield events[-1].encode()

    return replace(sse(), chunks=chunks())


def _anthropic_usage(bill: Bill) -> dict[str, Any]:
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
