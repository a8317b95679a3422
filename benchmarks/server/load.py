"""A client of many streams at once, in a process of its own: raw asyncio, to take little of what it measures.

    python load.py < ORDER > REPORT

Either each stream asks again as soon as its answer has ended, for so many seconds, after one request that is
not measured; or each asks once and listens until the end. Connections are kept alive, as vendors' SDKs do.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

END_OF_BODY = b"\r\n0\r\n\r\n"
PATIENCE = 180.0
"""Seconds beyond its own time after which an order's open streams count as dropped."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to ask, of whom, on how many connections."""

    port: int
    path: str
    headers: dict[str, str]
    body: str
    streams: int
    seconds: float
    """How long to go on asking; 0: each stream asks once."""
    first: str
    """Text that an answer contains from its first content on, and not before."""
    last: str
    """Text that only a whole answer contains."""
    wanted: str
    """What an answer says."""

    @property
    def request(self) -> bytes:
        body = self.body.encode()
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"host: 127.0.0.1:{self.port}",
            "content-type: application/json",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


@dataclass(slots=True)
class Report:
    """What came of it. Times are in seconds."""

    first: list[float] = field(default_factory=list)
    """From each request to the first content of its answer."""
    whole: list[float] = field(default_factory=list)
    """From each request to its answer's end."""
    seconds: float = 0.0
    """From the first of these requests to the end of the last answer."""
    longest_silence: float = 0.0
    """Between two arrivals on one stream, once content has come."""
    most_open: int = 0
    """How many streams were between first content and end at once."""
    failures: dict[str, int] = field(default_factory=dict)
    """How many streams failed, by reason; one that failed asks no more."""
    usage: dict[str, Any] = field(default_factory=dict)
    """The usage that one of the answers told."""


class Stream(asyncio.Protocol):
    """One connection: it asks, listens, and tells its load what came."""

    __slots__ = ("_asked", "_first", "_heard", "_load", "_transport", "received", "silence")

    def __init__(self, load: Load) -> None:
        self._load = load
        self.received = bytearray()
        self._asked = self._first = self._heard = 0.0
        self.silence = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self) -> None:
        self.received.clear()
        self._first = 0.0
        self._asked = perf_counter()
        self._transport.write(self._load.request)

    @property
    def speaking(self) -> bool:
        """Whether content of its answer has come."""
        return self._first > 0

    def leave(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        self.received += data
        if self._first:
            self.silence = max(self.silence, now - self._heard)
        elif self._load.first in self.received:
            self._first = now
            self._load.opened()
        self._heard = now
        if self.received.endswith(END_OF_BODY):
            self._ended(now)
        elif self._refused():
            self._load.failed(self, self.received.decode(errors="replace"))

    def connection_lost(self, error: Exception | None) -> None:
        self._load.failed(self, f"dropped: {error!r}" if error else "dropped")

    def _refused(self) -> bool:
        """Whether a head that is no success has come whole, with something of its body."""
        head, blank, body = self.received.partition(b"\r\n\r\n")
        return bool(blank and body) and b" 200 " not in head.partition(b"\r\n")[0]

    def _ended(self, now: float) -> None:
        if not self._first or self._load.last not in self.received:
            self._load.failed(self, self.received.decode(errors="replace"))
            return
        self._load.answered(self, self._first - self._asked, now - self._asked, now)


class Load:
    """All streams of one order. Run it once."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.request = order.request
        self.first, self.last = order.first.encode(), order.last.encode()
        self.report = Report()
        self._until = 0.0
        self._measured = not order.seconds
        self._failures: Counter[str] = Counter()
        self._left: set[Stream] = set()
        self._open = 0
        self._over = asyncio.Event()

    async def run(self) -> Report:
        loop = asyncio.get_running_loop()
        connections = [
            await loop.create_connection(lambda: Stream(self), "127.0.0.1", self.order.port)
            for _ in range(self.order.streams)
        ]
        streams = [stream for _, stream in connections]
        await self._all(streams)
        if self.order.seconds and not self._failures:
            self._measured = True
            self._until = perf_counter() + self.order.seconds
            await self._all(streams)
        self._judge(streams)
        for stream in streams:
            stream.leave()
        return self.report

    async def _all(self, streams: list[Stream]) -> None:
        """Let every stream ask, and wait until all are done."""
        began = perf_counter()
        self._over.clear()
        self._left.update(streams)
        for stream in streams:
            stream.ask()
        try:
            await asyncio.wait_for(self._over.wait(), PATIENCE + self.order.seconds)
        except TimeoutError:
            for stream in list(self._left):
                self.failed(stream, "not done in time")
        self.report.seconds = perf_counter() - began

    def _judge(self, streams: list[Stream]) -> None:
        """Read each stream's last answer, and complete the report."""
        report = self.report
        for stream in streams if not self._failures else ():
            text, usage = read(bytes(stream.received))
            self._failures["another answer than the upstream gave"] += text != self.order.wanted
            report.usage = usage or report.usage
        report.failures = dict(+self._failures)
        report.longest_silence = max(stream.silence for stream in streams)

    def opened(self) -> None:
        self._open += 1
        self.report.most_open = max(self.report.most_open, self._open)

    def answered(self, stream: Stream, first: float, whole: float, now: float) -> None:
        self._open -= 1
        if self._measured:
            self.report.first.append(first)
            self.report.whole.append(whole)
        if now < self._until:
            stream.ask()
        else:
            self._done(stream)

    def failed(self, stream: Stream, reason: str) -> None:
        if stream in self._left:
            self._open -= stream.speaking
            self._failures[reason] += 1
            self._done(stream)

    def _done(self, stream: Stream) -> None:
        self._left.discard(stream)
        if not self._left:
            self._over.set()


def read(response: bytes) -> tuple[str, dict[str, Any]]:
    """What a streamed answer says, and the usage it tells: of chat completions, or of a response."""
    text, usage = "", {}
    for event in _events(response):
        match event:
            case {"type": "response.output_text.delta", "delta": str(delta)}:
                text += delta
            case {"type": "response.completed", "response": {"usage": dict(told)}}:
                usage = told
            case {"choices": [{"delta": {"content": str(delta)}}]}:
                text += delta
        match event:
            case {"object": "chat.completion.chunk", "usage": dict(told)}:
                usage = told
    return text, usage


def _events(response: bytes) -> Iterator[Any]:
    for line in _unframed(response.partition(b"\r\n\r\n")[2]).splitlines():
        if line.startswith(b"data:") and line != b"data: [DONE]":
            yield json.loads(line.removeprefix(b"data:"))


def _unframed(body: bytes) -> bytes:
    """A body without the frames of HTTP's chunks."""
    pieces, at = [], 0
    while size := int(body[at : (start := body.index(b"\r\n", at) + 2)], 16):
        pieces.append(body[start : start + size])
        at = start + size + 2
    return b"".join(pieces)


def main() -> None:
    order = Order(**json.load(sys.stdin))
    gc.disable()

    async def run() -> Report:
        return await Load(order).run()

    json.dump(asdict(asyncio.run(run())), sys.stdout)


if __name__ == "__main__":
    main()
