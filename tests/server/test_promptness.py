"""A client that sends its request slowly keeps no connection; an answer may take as long as it takes."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from uvicorn.server import ServerState

from server.promptness import Patience
from server.start import configured
from tests.support.asgi import PATIENCE, Served, read_answer, served
from tests.support.clients import door
from tests.support.script import say, script

pytestmark = pytest.mark.slow

HEAD = Patience(head=1.0)
BODY = Patience(body=0.1, pace=1_000_000_000)
BOTH = Patience(head=1.0, body=0.5, pace=1)
"""A second more for each byte of a body."""
LARGE = 30_000_000
"""Bytes: more than two sockets take for a reader that doesn't read."""
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


class Slow:
    """Reads bodies, and streams between two events of a test."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.left = threading.Event()
        """Set once nobody takes the endless stream any more."""
        self.app = Starlette(
            routes=[
                Route("/health", self.health),
                Route("/body", self.body, methods=["POST"]),
                Route("/unread", self.health, methods=["POST"]),
                Route("/stream", self.stream),
                Route("/endless", self.endless),
                Route("/large", self.large),
            ]
        )

    async def health(self, request: Request) -> Response:
        return JSONResponse({"ok": True})

    async def body(self, request: Request) -> Response:
        return JSONResponse({"read": len(await request.body())})

    async def stream(self, request: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield "data: one\n\n"
            await asyncio.to_thread(self.go_on.wait, PATIENCE)
            yield "data: two\n\n"

        return StreamingResponse(pieces(), media_type="text/event-stream")

    async def endless(self, request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 65_536
                    await asyncio.sleep(0)
            finally:
                self.left.set()

        return StreamingResponse(pieces())

    async def large(self, request: Request) -> Response:
        return Response(b"x" * LARGE)


@pytest.fixture
def slow() -> Iterator[Slow]:
    app = Slow()
    yield app
    app.go_on.set()


@contextmanager
def opened(server: Served, *pieces: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        for piece in pieces:
            connection.sendall(piece)
        yield connection


def rest(connection: socket.socket) -> bytes:
    """Everything up to the server's close."""
    read = b""
    while piece := connection.recv(4096):
        read += piece
    return read


def timed_out(connection: socket.socket) -> bool:
    """Whether the one answer is that it took too long, and then the connection is closed."""
    answer = read_answer(connection)
    assert (answer.status, answer.code) == (408, "request_timeout")
    assert (answer.headers["connection"], answer.headers["x-should-retry"]) == ("close", "false")
    return rest(connection) == b""


def patience_has_run_out(server: Served) -> None:
    """Return once a connection that began now was closed."""
    with opened(server) as other:
        assert rest(other) == b""


@pytest.mark.parametrize("head", [b"G", b"GET /health HTTP/1.1", GET, GET + b"X-Long: "])
def test_headers_that_never_end_are_timed_out(slow: Slow, head: bytes) -> None:
    with served(slow.app, HEAD) as server, opened(server, head) as connection:
        assert timed_out(connection)


def test_headers_that_come_drop_by_drop_get_no_more_time(slow: Slow) -> None:
    with served(slow.app, HEAD) as server, opened(server, GET) as connection:
        while not select.select([connection], [], [], 0.01)[0]:
            connection.sendall(b"X-Drop: x\r\n")
        assert read_answer(connection).status == 408


def test_a_connection_that_says_nothing_is_closed_without_a_word(slow: Slow) -> None:
    with served(slow.app, HEAD) as server, opened(server) as connection:
        assert rest(connection) == b""


def test_the_second_request_of_a_connection_has_its_own_time(slow: Slow) -> None:
    with served(slow.app, HEAD) as server, opened(server, GET + b"\r\n") as connection:
        assert read_answer(connection).status == 200
        patience_has_run_out(server)
        connection.sendall(GET + b"\r\n")
        assert read_answer(connection).status == 200
        connection.sendall(GET)
        assert timed_out(connection)


def test_a_head_that_was_begun_behind_another_request_has_its_time_too(slow: Slow) -> None:
    with served(slow.app, HEAD) as server, opened(server, GET + b"\r\n" + GET) as connection:
        assert read_answer(connection).status == 200
        assert rest(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("body", [b"Content-Length: 9\r\n\r\nx", b"Transfer-Encoding: chunked\r\n\r\n5\r\nx"])
def test_a_body_that_never_ends_is_timed_out(slow: Slow, body: bytes) -> None:
    head = b"POST /body HTTP/1.1\r\nHost: localhost\r\n"
    with served(slow.app, BODY) as server, opened(server, head + body) as connection:
        assert timed_out(connection)


def test_a_body_that_comes_drop_by_drop_gets_no_more_time_than_its_pace_earns(slow: Slow) -> None:
    head = b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    with served(slow.app, BODY) as server, opened(server, head) as connection:
        while not select.select([connection], [], [], 0.01)[0]:
            connection.sendall(b"x")
        assert read_answer(connection).status == 408


def test_a_long_body_that_keeps_coming_is_read_to_its_end(slow: Slow) -> None:
    head = b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n"
    with served(slow.app, BOTH) as server, opened(server, head + b"x" * 1000) as connection:
        patience_has_run_out(server)
        connection.sendall(b"x")
        assert read_answer(connection).json == {"read": 1001}


def test_a_body_that_nobody_wants_keeps_no_connection_open(slow: Slow) -> None:
    head = b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx"
    with served(slow.app, Patience(body=1.0)) as server, opened(server, head) as connection:
        assert read_answer(connection).status == 200
        assert rest(connection) == b""


@pytest.mark.parametrize(
    ("head", "rest_of_body"),
    [(b"Content-Length: 1", b"x"), (b"Transfer-Encoding: chunked", b"0\r\n\r\n")],
    ids=["counted", "chunked"],
)
def test_a_body_that_ends_behind_its_answer_keeps_no_connection_open(
    slow: Slow, head: bytes, rest_of_body: bytes
) -> None:
    request = b"POST /unread HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n"
    with served(slow.app, keep_alive=2) as server, opened(server, request) as connection:
        assert read_answer(connection).status == 200
        connection.sendall(rest_of_body)
        assert rest(connection) == b""


def test_who_reads_nothing_is_let_go_in_the_middle_of_an_answer_and_behind_it(slow: Slow) -> None:
    get = b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with served(slow.app, Patience(reading=0.5)) as server, opened(server, get % b"/large") as behind:
        assert behind.recv(1)  # all of it was written, and the connection is being closed
        with opened(server, get % b"/endless"):
            assert slow.left.wait(PATIENCE)
        assert len(rest(behind)) < LARGE


class Waiting(asyncio.Transport):
    """A connection on its way to its end, on which so many bytes wait at each look."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.sizes = [*sizes]
        self.aborted = asyncio.Event()

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return self.sizes.pop(0)

    def abort(self) -> None:
        self.aborted.set()


async def test_who_takes_a_little_from_one_look_to_the_next_is_let_read_to_the_end(slow: Slow) -> None:
    config = configured(slow.app, Patience(reading=0.0))
    config.load()
    transport = Waiting(3_000, 2_000, 1_000, 1_000, 1_000)
    config.http_protocol_class(config=config, server_state=ServerState(), app_state={}).connection_made(
        transport
    )
    async with asyncio.timeout(PATIENCE):
        await transport.aborted.wait()
    assert transport.sizes == [1_000]


@pytest.mark.parametrize("body", [b"", b"Content-Length: 9\r\n"], ids=["whole", "unfinished"])
def test_an_answer_that_takes_longer_is_not_cut(slow: Slow, body: bytes) -> None:
    head = b"GET /stream HTTP/1.1\r\nHost: localhost\r\n" + body + b"\r\n"
    patience = Patience(head=1.0, body=1.0)
    with served(slow.app, patience) as server, opened(server, head) as connection:
        read = b""
        while b"one" not in read:
            read += connection.recv(4096)
        for _ in range(2):
            patience_has_run_out(server)
        slow.go_on.set()
        while b"two" not in read:
            piece = connection.recv(4096)
            assert piece, read
            read += piece


def test_a_request_that_never_came_whole_begins_no_run_and_leaves_no_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with door(tmp_path, script(tmp_path, say("Seven.")), patience=BODY) as here:
        server = Served(int(here.url.rpartition(":")[2]))
        head = f"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {here.secret}\r\n"
        with opened(server, head.encode(), b"Content-Length: 90\r\n\r\n", b'{"input": "x') as connection:
            assert timed_out(connection)
        assert here.http("GET", "/v1/sessions").json()["data"] == []
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []
