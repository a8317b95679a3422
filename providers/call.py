"""One model call: its events while it streams, and what it came to after any exit."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from providers.departure import departing
from providers.errors import ProviderError, Stalled, StreamTruncated
from providers.types import (
    AssistantTurn,
    Block,
    Image,
    JSONObject,
    Message,
    Opaque,
    Request,
    StopReason,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    Usage,
)

CHARACTERS = 4
"""To a token, roughly."""
IMAGE = CHARACTERS * 1_500
"""An image, as so many characters: about 1,500 tokens, what a large one costs with most providers."""


class Accumulator(Protocol):
    """Folds one wire's raw events into blocks and usage. One per call; each wire has its own."""

    model: str | None
    """The model's name as the provider gave it."""
    stop_reason: str | None
    """None until the wire's terminal marker came; then a `StopReason`, or the wire's own word."""
    raw_usage: JSONObject
    """The usage as the wire sent it, merged as that wire's rules say."""

    def feed(self, event: JSONObject) -> Iterable[StreamEvent]:
        """Take one raw event; give what it shows a person. Raises ProviderError for an error event."""
        ...

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks that are whole so far, in order; of text also what came of an unfinished one."""
        ...

    @property
    def usage(self) -> Usage:
        """`raw_usage` in disjoint buckets; all zeros while the wire has said nothing."""
        ...


class Call(Protocol):
    """A model call: an async context manager and an iterator of stream events.

    After any exit (the end, an error, cancellation) `turn`, `usage`, `raw_usage` and `estimated` say what it
    came to. `turn` is None when nothing came. When the stream ended early its `stop_reason` is
    `StopReason.INTERRUPTED` and it holds text only: no tool call of an unfinished message is ever handed out.
    """

    id: str

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __aiter__(self) -> AsyncIterator[StreamEvent]: ...

    @property
    def turn(self) -> AssistantTurn | None: ...

    @property
    def usage(self) -> Usage: ...

    @property
    def raw_usage(self) -> JSONObject: ...

    @property
    def estimated(self) -> bool:
        """True when the wire did not tell what it billed, so that `usage` is our estimate.

        With a `raw_usage` only the output is: the wire told of the prompt, then broke off.
        """
        ...

    @property
    def started(self) -> float:
        """When the request was sent, seconds since the epoch."""
        ...

    @property
    def duration(self) -> float:
        """Seconds from sending the request to the end."""
        ...

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds from sending the request to the first stream event; None when none came."""
        ...


Connect = Callable[[], AbstractAsyncContextManager[AsyncIterator[JSONObject]]]
"""Opens the stream and gives its raw events; raises only ProviderError (and CancelledError)."""


def new_id(kind: str) -> str:
    """A fresh id that sorts by time: `call_0198c2…`. Milliseconds since the epoch, then 40 random bits."""
    return f"{kind}_{time.time_ns() // 1_000_000:012x}{uuid.uuid4().hex[:10]}"


class StreamedCall:
    """The `Call` that every wire makes: it opens a connection and feeds an accumulator."""

    def __init__(
        self,
        request: Request,
        connect: Connect,
        accumulator: Accumulator,
        *,
        provisional: Callable[[], bool] = lambda: False,
    ) -> None:
        """`provisional` says whether the usage so far holds no final count of the output."""
        self.id = new_id("call")
        self.started = 0.0
        self.duration = 0.0
        self.time_to_first_token: float | None = None
        self._request = request
        self._connection = connect()
        self._accumulator = accumulator
        self._provisional = provisional
        self._events: AsyncIterator[JSONObject] | None = None
        self._message_id = new_id("msg")
        self._clock = 0.0
        self._heard = 0
        """Characters that were streamed: reasoning and unfinished tool calls too, all of it is billed."""
        self._given_up = False
        """Nobody waited for the end of a request that the provider had taken, or was sent at least."""

    async def __aenter__(self) -> Self:
        self.started = time.time()
        self._clock = time.monotonic()
        try:
            with departing() as departure:
                self._events = await self._connection.__aenter__()
        except BaseException as error:
            left = departure.sent and not isinstance(error, ProviderError)
            self._given_up = left or isinstance(error, Stalled)
            self.duration = time.monotonic() - self._clock
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._given_up = kind is not None and (
            issubclass(kind, Stalled) or not issubclass(kind, ProviderError)
        )
        try:
            await self._connection.__aexit__(kind, error, trace)
        finally:
            self.duration = time.monotonic() - self._clock

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        assert self._events is not None, "iterate inside `async with`"
        async for raw in self._events:
            for event in self._accumulator.feed(raw):
                if self.time_to_first_token is None:
                    self.time_to_first_token = time.monotonic() - self._clock
                self._heard += _length(event)
                yield event
        if self._accumulator.stop_reason is None:
            raise StreamTruncated(
                f"The answer of {self._request.prefix.model} broke off before its end. "
                "Nothing of it was run; try again."
            )

    @property
    def turn(self) -> AssistantTurn | None:
        blocks = self._accumulator.blocks
        stop = self._accumulator.stop_reason
        if stop is None:
            blocks = tuple(block for block in blocks if isinstance(block, Text) and block.text)
            if not blocks:
                return None
        return AssistantTurn(
            message=Message(self._message_id, "assistant", blocks),
            usage=self.usage,
            stop_reason=stop or StopReason.INTERRUPTED,
            model=self._accumulator.model or self._request.prefix.model.name,
            call_id=self.id,
            raw_usage=self.raw_usage,
        )

    @property
    def usage(self) -> Usage:
        told = self._accumulator.usage
        if not self.estimated:
            return told
        if not self._told:
            return estimate(self._request, self._heard)
        return replace(told, output_tokens=max(told.output_tokens, self._heard // CHARACTERS))

    @property
    def raw_usage(self) -> JSONObject:
        return self._accumulator.raw_usage

    @property
    def estimated(self) -> bool:
        """Estimated where no usage came of an answer that began, or that nobody waited for.

        A provider that took the request may bill the prompt though we left before its first token. A request
        that it refused, or had not taken yet, is booked as nothing. Where the usage is provisional only the
        output is our estimate: the prompt's counts are as the wire told them.
        """
        if self._told:
            return self._provisional()
        return self.time_to_first_token is not None or self._given_up

    @property
    def _told(self) -> bool:
        """Whether the wire said what it billed. Another package's provider may keep no raw object of it."""
        return bool(self.raw_usage) or self._accumulator.usage.total_tokens > 0


def estimate(request: Request, heard: int) -> Usage:
    """A rough usage for a call whose wire told none: one token for four characters, nothing known of caching.

    `heard` is how many characters of the answer came.
    """
    prompt = len(request.prefix.system) + sum(
        len(tool.name) + len(tool.description) + len(tool.parameters) for tool in request.prefix.tools
    )
    prompt += sum(characters(block) for message in request.messages for block in message.blocks)
    return Usage(input_tokens=prompt // CHARACTERS, output_tokens=heard // CHARACTERS)


def characters(block: Block) -> int:
    """The length of a block, as `estimate` counts it."""
    match block:
        case Text(text) | Thinking(text=text):
            return len(text)
        case ToolResult(text=text, images=images):
            return len(text) + sum(map(characters, images))
        case ToolCall(name=name, raw_arguments=arguments):
            return len(name) + len(arguments)
        case Image():
            return IMAGE
        case Opaque(raw, origin):
            # The embedded model's tokens say once more what stands beside them as text.
            return 0 if origin.wire == "local" else len(raw)


def _length(event: StreamEvent) -> int:
    match event:
        case (
            TextDelta(text) | ThinkingDelta(text) | ToolCallDelta(json_text=text) | ToolCallStarted(name=text)
        ):
            return len(text)
