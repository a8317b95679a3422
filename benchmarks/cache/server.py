"""A model server on loopback that bills like the providers, refuses what they refuse, on its own time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.cache.billing import (
    AnthropicCache,
    Bill,
    OpenAICache,
    Segments,
    anthropic_segments,
    openai_segments,
    responses_segments,
)
from benchmarks.cache.oracle import Made
from tests.support import anthropic_server, openai_server, responses_server
from tests.support.loopback import LoopbackServer, Recorded, Reply, sse

START = 1_800_000_000.0
"""Where the clock begins, in seconds since the epoch."""


@dataclass(slots=True)
class Clock:
    """The benchmark's time, in a file that the agent reads."""

    file: Path
    time: float = START
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.advance(0.0)

    def now(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        with self._turn:
            self.time += seconds
            new = self.file.with_suffix(".new")
            new.write_text(repr(self.time))
            new.replace(self.file)  # the agent may be reading it


ANSWERING = 4.0
"""Seconds that pass from a request to the next one, where a script says nothing else."""


@dataclass(frozen=True, slots=True)
class Say:
    """An answer of text; `pause` is how many seconds pass while it comes."""

    words: str
    pause: float = ANSWERING
    allowed: str = ""
    """Why the request that gets this answer may pay again for what was sent; empty if it may not."""


@dataclass(frozen=True, slots=True)
class Use:
    """An answer that calls tools, each by name with its arguments; its `pause` is theirs too."""

    calls: tuple[tuple[str, dict[str, Any]], ...]
    words: str = ""
    pause: float = ANSWERING
    allowed: str = ""


WARMED = Say("", pause=1.0)
"""To a request whose answer may have no token (`max_tokens: 0`)."""

Answer: TypeAlias = Say | Use
Choose: TypeAlias = Callable[[dict[str, Any]], Answer]
"""The answer to a request's body."""
Called: TypeAlias = tuple[str, str, dict[str, Any]]
"""A tool call: its id, the tool's name, the arguments."""


@dataclass(slots=True)
class Billing:
    """One provider's side: it bills requests on the clock and keeps what it was asked."""

    clock: Clock
    minimum: int
    calls: list[Made] = field(default_factory=list)
    window: int = 1_000_000
    """Tokens of a prompt beyond which a request is refused, as a model's context window demands."""
    refused: int = 0
    """How many requests did not fit the window."""

    def fits(self, request: Segments) -> bool:
        """Whether a request fits the window; one that doesn't is counted."""
        if request.tokens <= self.window:
            return True
        self.refused += 1
        return False

    def book(
        self, request: Segments, key: str, bill: Bill, allowed: str = "", *, warms: bool = False
    ) -> None:
        """Keep a request that is answered."""
        self.calls.append(Made(self.clock.now(), request, key, bill, allowed, warms))


class AnthropicBench(LoopbackServer):
    """Speaks Anthropic's Messages API."""

    CONFIG = ""
    """What `config.toml` has to say so that the program speaks to it."""

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
        segments = anthropic_segments(body)
        with self._order:
            if not self.billing.fits(segments):
                too_long = f"prompt is too long: {segments.tokens} tokens > {self.billing.window} maximum"
                return anthropic_server.refusal(400, "invalid_request_error", too_long)
            warms = body.get("max_tokens") == 0
            answer = WARMED if warms else self.choose(body)
            bill, keep = self._cache.bill(segments)
            blocks = () if warms else self._blocks(answer)
            bill = replace(bill, output=anthropic_server.length(blocks) if blocks else 0)
            self.billing.book(segments, "", bill, answer.allowed, warms=warms)
        events = anthropic_server.answer(
            *blocks,
            usage=anthropic_server.usage_of(bill),
            model=body["model"],
            stop_reason="max_tokens" if warms else None,
        )
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

    CONFIG = ""

    def __init__(self, clock: Clock, choose: Choose, *, minimum: int = 1024, step: int = 128) -> None:
        super().__init__(self._reply)
        self.billing = Billing(clock, minimum)
        self.choose = choose
        self._cache = OpenAICache(clock.now, minimum, step)
        self._order = threading.Lock()
        self._numbers = iter(range(1, 1_000_000))

    def environ(self) -> dict[str, str]:
        return {"OPENAI_API_KEY": "sk-0123456789abcdef", "OPENAI_BASE_URL": f"{self.url}/v1"}

    def segments(self, body: dict[str, Any]) -> Segments:
        return openai_segments(body)

    def objection(self, body: dict[str, Any]) -> str:
        """What the API would refuse in a request; "" if nothing."""
        return openai_server.objection(body)

    def events(self, words: str, calls: Sequence[Called], bill: Bill) -> tuple[str, ...]:
        """The answer as it is streamed."""
        billed = openai_server.usage(bill.prompt, bill.output, bill.read)
        return openai_server.answer(words, calls, **billed)

    def _reply(self, request: Recorded) -> Reply:
        body = request.json
        complaint = self.objection(body)
        if complaint:
            return openai_server.refusal(400, complaint, kind="invalid_request_error")
        segments, key = self.segments(body), str(body.get("prompt_cache_key", ""))
        with self._order:
            if not self.billing.fits(segments):
                return openai_server.refusal(400, "too long", code="context_length_exceeded")
            answer = self.choose(body)
            bill, keep = self._cache.bill(segments, key)
            words, calls = self._said(answer)
            bill = replace(bill, output=max(1, (len(words) + sum(len(str(call)) for call in calls)) // 4))
            self.billing.book(segments, key, bill, answer.allowed)
        return _stream(self.events(words, calls, bill), keep, self.billing.clock, answer.pause)

    def _said(self, answer: Answer) -> tuple[str, tuple[Called, ...]]:
        match answer:
            case Say(words):
                return words, ()
            case Use(calls, words):
                return words, tuple((f"call_{next(self._numbers):05}", name, args) for name, args in calls)


class ResponsesBench(OpenAIBench):
    """Speaks OpenAI's Responses API."""

    CONFIG = '[providers.openai]\nwire = "openai-responses"\n'

    def segments(self, body: dict[str, Any]) -> Segments:
        return responses_segments(body)

    def objection(self, body: dict[str, Any]) -> str:
        return responses_server.objection(body)

    def events(self, words: str, calls: Sequence[Called], bill: Bill) -> tuple[str, ...]:
        number = next(self._numbers)
        said = (responses_server.said(words, f"msg_{number:05}"),) if words else ()
        billed = responses_server.usage(bill.prompt, bill.output, bill.read)
        used = (responses_server.called(*call) for call in calls)
        return responses_server.answer(*said, *used, usage=billed)


Server: TypeAlias = AnthropicBench | OpenAIBench


def _stream(events: tuple[str, ...], keep: Callable[[], None], clock: Clock, pause: float) -> Reply:
    """The answer; its entries are there once it begins, and its pause is over when it ends."""

    def chunks() -> Iterator[bytes]:
        keep()
        for event in events[:-1]:
            yield event.encode()
        clock.advance(pause)
        yield events[-1].encode()

    return replace(sse(), chunks=chunks())
