"""Any ASGI application behind a real uvicorn on loopback, and a client that sends it any bytes."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from server.promptness import Patience
from server.start import configured

PATIENCE = 30.0
"""Seconds that anything may take before it counts as hung."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The error's code in OpenAI's envelope."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error["code"]


@dataclass(frozen=True, slots=True)
class Served:
    """Where the application listens."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(self, *pieces: bytes) -> Answer:
        """Send these bytes on a connection of their own, and read the one answer to its end."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            for piece in pieces:
                connection.sendall(piece)
            return read_answer(connection)

    def ask(self, method: str, path: str, body: Any = None, *, key: str = "", headers: str = "") -> Answer:
        """A request with this key and a body in JSON, or in bytes as they are; `headers` are whole lines."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: localhost",
            "Connection: close",
            f"Content-Length: {len(data)}",
            *([f"Authorization: Bearer {key}"] if key else []),
            *headers.splitlines(),
        ]
        return self.send("".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1") + data)

    def get(self, path: str, *headers: str, host: str = "127.0.0.1", method: str = "GET") -> Answer:
        """A request without a body; `headers` are whole lines."""
        lines = (f"{method} {path} HTTP/1.1", *([f"Host: {host}"] if host else []), *headers)
        return self.send(
            "".join(f"{line}\r\n" for line in (*lines, "Connection: close", "")).encode("latin-1")
        )


def read_answer(connection: socket.socket) -> Answer:
    """One answer from an open connection: as long as its Content-Length says, else up to the end."""
    with connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        headers: dict[str, str] = {}
        while line := file.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            assert name.lower() not in headers, f"{name} came twice"
            headers[name.lower()] = value.strip()
        length = headers.get("content-length")
        return Answer(status, headers, file.read() if length is None else file.read(int(length)))


@contextmanager
def served(
    app: ASGIApp, patience: Patience | None = None, *, keep_alive: int | None = None
) -> Iterator[Served]:
    """The application on a free port of loopback, as `agent serve` serves its own, in a thread.

    `keep_alive` is the seconds that a connection may be without a request, where that is tested.
    """
    config = configured(app, patience)
    config.timeout_keep_alive = config.timeout_keep_alive if keep_alive is None else keep_alive
    server = _Telling(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `agent serve` does
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        assert server.up.wait(PATIENCE)
        try:
            yield Served(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()


class _Telling(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()
