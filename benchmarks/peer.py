"""A model provider on loopback that costs next to nothing: raw sockets, three wires, and a clock."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

TOOL = "read"
ARGUMENTS = {"path": "note.txt"}


@dataclass(frozen=True, slots=True)
class Wire:
    """One provider's wire: how a person points Cachet at the peer, and what an answer looks like on it."""

    model: str
    environ: Callable[[str], dict[str, str]]
    path: str
    content_type: str
    answer: Callable[[int, bool], bytes]
    """The body of answer number n, which wants one tool run if the second argument says so."""
    sdk: str = ""
    """The vendor's package that this wire loads."""


@dataclass(slots=True)
class Peer:
    """Answers the first `steps` requests with a tool call, and the next with text.

    `asked` and `answered` are the moments (`time.perf_counter`) at which a request had come whole, and its
    answer had been handed to the kernel.
    """

    wire: Wire
    steps: int = 0
    asked: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    _socket: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _first: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def pauses(self) -> list[float]:
        """Seconds between an answer and the next request."""
        return [asked - answered for answered, asked in zip(self.answered, self.asked[1:], strict=False)]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while request := stream.readline():
                length = 0
                while line := stream.readline().strip():
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                stream.read(length)
                moment = time.perf_counter()
                try:
                    self._reply(connection, request.split()[1].decode(), moment)
                except OSError:
                    return

    def _reply(self, connection: socket.socket, path: str, moment: float) -> None:
        if not path.endswith(self.wire.path):
            connection.sendall(_http("404 Not Found", "application/json", b'{"error":"not here"}'))
            return
        self.asked.append(moment)
        number = len(self.asked)
        body = self.wire.answer(number, number <= self.steps)
        connection.sendall(_http("200 OK", self.wire.content_type, body))
        self.answered.append(time.perf_counter())


def _http(status: str, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _anthropic(number: int, wants_tool: bool) -> bytes:
    block: dict[str, Any] = {"type": "text", "text": ""}
    delta: dict[str, Any] = {"type": "text_delta", "text": "Done."}
    if wants_tool:
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": TOOL, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(ARGUMENTS)}
    usage = {"input_tokens": 10, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 50}
    message: dict[str, Any] = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
    }
    message |= {"stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}
    stop = {"stop_reason": "tool_use" if wants_tool else "end_turn", "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    ]
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def _openai(number: int, wants_tool: bool) -> bytes:
    delta: dict[str, Any] = {"role": "assistant", "content": "Done."}
    if wants_tool:
        function = {"name": TOOL, "arguments": json.dumps(ARGUMENTS)}
        call = {"index": 0, "id": f"call_{number}", "type": "function", "function": function}
        delta = {"role": "assistant", "content": None, "tool_calls": [call]}
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    usage = {"prompt_tokens": 960, "completion_tokens": 20, "total_tokens": 980}
    details = {"prompt_tokens_details": {"cached_tokens": 900}}
    finish = "tool_calls" if wants_tool else "stop"
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
        {**head, "choices": [], "usage": {**usage, **details}},
    ]
    return b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks) + b"data: [DONE]\n\n"


def _ollama(number: int, wants_tool: bool) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": "Done."}
    if wants_tool:
        call = {"id": f"call_{number}", "function": {"index": 0, "name": TOOL, "arguments": ARGUMENTS}}
        message = {"role": "assistant", "content": "", "tool_calls": [call]}
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 960, "prompt_eval_cached_count": 900}
    lines: list[dict[str, Any]] = [
        {"model": "m", "message": message, "done": False},
        {"model": "m", "message": {"role": "assistant", "content": ""}, **end, "eval_count": 20},
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


OLLAMA = Wire(
    model="ollama/m",
    environ=lambda url: {"OLLAMA_HOST": url},
    path="/api/chat",
    content_type="application/x-ndjson",
    answer=_ollama,
)
ANTHROPIC = Wire(
    model="anthropic/m",
    environ=lambda url: {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "k"},
    path="/v1/messages",
    content_type="text/event-stream",
    answer=_anthropic,
    sdk="anthropic",
)
OPENAI = Wire(
    model="openai/m",
    environ=lambda url: {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "k"},
    path="/v1/chat/completions",
    content_type="text/event-stream",
    answer=_openai,
    sdk="openai",
)
