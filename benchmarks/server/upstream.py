"""A model provider that takes no time: OpenAI's chat completions as prepared bytes over raw asyncio.

    python upstream.py --port N

`PUT /mode` says how answers come from then on, `GET /state` tells how many streams are open and how many
answers were begun.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

FIRST_WORD = "Zenith"
"""What every answer begins with, and nothing else contains: where it is seen, content has come."""
USAGE = {
    "prompt_tokens": 960,
    "completion_tokens": 20,
    "total_tokens": 980,
    "prompt_tokens_details": {"cached_tokens": 896},
}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Mode:
    """How answers come: so many pieces of text, with so many seconds between two of them."""

    pieces: int = 16
    pause: float = 0.0

    @property
    def words(self) -> list[str]:
        """The pieces of an answer's text."""
        return [FIRST_WORD, *(f" word{number}" for number in range(1, self.pieces))]


@dataclass(slots=True)
class Upstream:
    """What all connections share. `first`, `between` and `last` are an answer's bytes, ready to be sent."""

    mode: Mode = field(default_factory=Mode)
    open: int = 0
    answered: int = 0
    first: bytes = b""
    between: list[bytes] = field(default_factory=list)
    last: bytes = b""

    def __post_init__(self) -> None:
        self.switch(self.mode)

    def switch(self, mode: Mode) -> None:
        """Answer this way from now on; open answers go on as they began."""
        self.mode = mode
        first, *between = [_chunk(delta={"content": word}) for word in mode.words]
        self.first = HEAD + _chunk(delta={"role": "assistant", "content": ""}) + first
        self.between = between
        ends = (_chunk(delta={}, finish="stop"), _chunk(usage=USAGE), _framed(b"data: [DONE]\n\n"))
        self.last = b"".join(ends) + b"0\r\n\r\n"

    @property
    def state(self) -> dict[str, int]:
        return {"open": self.open, "answered": self.answered}


def _chunk(
    *,
    delta: Mapping[str, str] | None = None,
    finish: str | None = None,
    usage: Mapping[str, Any] | None = None,
) -> bytes:
    """One event of the stream in a chunk of HTTP's; without a delta one that has no choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_800_000_000,
        "model": "bench",
    }
    return _framed(f"data: {json.dumps({**head, 'choices': choices, 'usage': usage})}\n\n".encode())


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Connection(asyncio.Protocol):
    """One client's connection, kept alive; answers one request after the other."""

    __slots__ = ("_received", "_rest", "_timer", "_transport", "_upstream")

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._received = b""
        self._rest: Iterator[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._rest is not None:
            self._ended()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._rest is None and (request := self._next()) is not None:
            self._answer(*request)

    def _next(self) -> tuple[bytes, bytes] | None:
        """The request line and the body of a request that has come whole."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head, start = self._received[:end], end + 4
        stop = start + _length(head)
        if len(self._received) < stop:
            return None
        body, self._received = self._received[start:stop], self._received[stop:]
        return head.partition(b"\r\n")[0], body

    def _answer(self, line: bytes, body: bytes) -> None:
        match line.split()[:2]:
            case [b"POST", b"/v1/chat/completions"]:
                self._stream()
            case [b"PUT", b"/mode"]:
                self._upstream.switch(Mode(**json.loads(body)))
                self._say("200 OK", self._upstream.state)
            case [b"GET", b"/state"]:
                self._say("200 OK", self._upstream.state)
            case _:
                self._say("404 Not Found", {"error": {"message": "Only chat completions are here."}})

    def _say(self, status: str, value: object) -> None:
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)

    def _stream(self) -> None:
        upstream = self._upstream
        upstream.answered += 1
        self._transport.write(upstream.first)
        if not upstream.mode.pause:
            self._transport.write(b"".join(upstream.between) + upstream.last)
            return
        upstream.open += 1
        self._rest = iter([*upstream.between, upstream.last])
        self._wait(upstream.mode.pause)

    def _wait(self, pause: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(pause, self._trickle, pause)

    def _trickle(self, pause: float) -> None:
        assert self._rest is not None
        piece = next(self._rest)
        self._transport.write(piece)
        if not piece.endswith(b"0\r\n\r\n"):
            self._wait(pause)
            return
        self._ended()
        self.data_received(b"")

    def _ended(self) -> None:
        self._rest = self._timer = None
        self._upstream.open -= 1


def _length(head: bytes) -> int:
    """How long the body is that this head announces, in bytes."""
    lower = head.lower()
    at = lower.find(LENGTH)
    return 0 if at < 0 else int(lower[at + len(LENGTH) :].partition(b"\r\n")[0])


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    upstream = Upstream()
    server = await loop.create_server(lambda: Connection(upstream), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A model provider that takes no time.")
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
