"""What no request gets past: a foreign Host or Origin, a body too large, a missing key."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from server.errors import api_error
from server.guard import Guard, Identified, bearer
from server.keys import ClientKey, KeyRing
from tests.support.asgi import PATIENCE, Answer, Served, read_answer, served

pytestmark = pytest.mark.slow

LARGEST = 1000
FOREIGN_HOSTS = [
    *("evil.example", "127.0.0.1.evil.example", "evil.example:127.0.0.1", "localhost.evil.example"),
    *("", "127.0.0.1:80:80", "[::1", "::1", "user@127.0.0.1", "127.0.0.1/", "127.0.0.1 evil", "0.0.0.0"),
]


class Echo:
    """Tells what reached it; streams between two events of a test."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.client: list[ClientKey] = []
        self.go_on = threading.Event()
        routes = [
            Route("/health", self.health),
            Route("/body", self.body, methods=["POST"]),
            Route("/stream", self.stream),
            Route("/fault", self.fault),
        ]
        self.app = Starlette(routes=routes, exception_handlers={Exception: self.told})

    async def health(self, request: Request) -> Response:
        self.reached.append(request.state.request_id)
        return JSONResponse({"ok": True}, headers={"Cache-Control": "public", "X-Request-Id": "mine"})

    async def body(self, request: Request) -> Response:
        self.client.append(request.state.client)
        read = await request.body()
        self.reached.append(str(len(read)))
        return JSONResponse({"read": len(read)})

    async def fault(self, request: Request) -> Response:
        raise KeyError("/home/ada")

    async def told(self, request: Request, error: Exception) -> Response:
        return JSONResponse(api_error(error).body(), 500)

    async def stream(self, request: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield "data: one\n\n"
            await asyncio.to_thread(self.go_on.wait, PATIENCE)
            yield "data: two\n\n"

        return StreamingResponse(pieces(), media_type="text/event-stream")


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing.open(tmp_path)


@pytest.fixture
def secret(ring: KeyRing) -> str:
    return ring.add("laptop")[1]


@pytest.fixture
def server(echo: Echo, ring: KeyRing) -> Iterator[Served]:
    app = Guard(
        Identified(echo.app, ring),
        hosts=frozenset({"box.local"}),
        origins=frozenset({"http://localhost:3000"}),
        largest=LARGEST,
    )
    with served(app) as here:
        yield here


def post(secret: str, *headers: str) -> bytes:
    """The head of a request to `/body`."""
    lines = ("POST /body HTTP/1.1", "Host: localhost", f"Authorization: Bearer {secret}", *headers, "", "")
    return "\r\n".join(lines).encode()


def refused(answer: Answer, status: int, code: str | None) -> bool:
    """Whether it is this error, with the headers that every answer has."""
    always = answer.headers["x-content-type-options"], answer.headers["cache-control"]
    assert always == ("nosniff", "no-store")
    assert answer.headers["x-request-id"].startswith("req_")
    return (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8321", "LOCALHOST", "[::1]:1", "box.local:99"])
def test_loopbacks_names_and_those_given_are_answered_on_any_port(server: Served, host: str) -> None:
    assert server.get("/health", host=host).status == 200


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_name_rebound_to_this_machine_is_refused(server: Served, echo: Echo, host: str) -> None:
    answer = server.get("/health", *([] if host else ["Host:"]), host=host)
    assert refused(answer, 403, "host_not_allowed")
    assert echo.reached == []


def test_a_request_without_a_host_or_with_two_is_refused(server: Served, echo: Echo) -> None:
    assert server.send(b"GET /health HTTP/1.0\r\n\r\n").status == 403
    twice = b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    assert server.send(twice).status == 400
    assert echo.reached == []


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3001", "http://127.0.0.1"]
)
def test_a_web_page_is_refused_whatever_key_it_holds(
    server: Served, echo: Echo, secret: str, origin: str
) -> None:
    key = f"Authorization: Bearer {secret}"
    assert refused(server.get("/health", f"Origin: {origin}", key), 403, "origin_not_allowed")
    preflight = server.get(
        "/body", f"Origin: {origin}", "Access-Control-Request-Method: POST", method="OPTIONS"
    )
    assert refused(preflight, 403, "origin_not_allowed")
    assert echo.reached == []


def test_not_even_an_allowed_origin_gets_a_cors_header(server: Served) -> None:
    answer = server.get("/health", "Origin: http://localhost:3000")
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_every_answer_has_a_request_id_of_its_own_which_the_application_knows(
    server: Served, echo: Echo
) -> None:
    ids = [server.get("/health", "X-Request-Id: theirs").headers["x-request-id"] for _ in range(2)]
    assert ids == echo.reached
    assert len(set(ids)) == 2
    assert server.get("/health").headers["cache-control"] == "no-store"


def test_a_body_that_names_too_great_a_length_is_refused_unread(
    server: Served, echo: Echo, secret: str
) -> None:
    answer = server.send(post(secret, f"Content-Length: {LARGEST + 1}"))
    assert refused(answer, 413, "request_too_large")
    assert echo.reached == []


def test_a_body_that_names_no_length_is_counted_while_it_comes_in(
    server: Served, echo: Echo, secret: str
) -> None:
    chunk = b"%x\r\n%b\r\n" % (600, b"x" * 600)
    answer = server.send(post(secret, "Transfer-Encoding: chunked"), chunk, chunk)
    assert refused(answer, 413, "request_too_large")
    assert echo.reached == []


def test_a_body_of_just_the_largest_size_is_taken_either_way(server: Served, secret: str) -> None:
    whole = b"x" * LARGEST
    assert server.send(post(secret, f"Content-Length: {LARGEST}"), whole).json == {"read": LARGEST}
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (LARGEST, whole)
    assert server.send(post(secret, "Transfer-Encoding: chunked"), chunked).json == {"read": LARGEST}


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "+5", "ten", "5, 6", "9" * 30])
def test_a_length_that_is_no_number_is_a_bad_request(
    server: Served, echo: Echo, secret: str, length: str
) -> None:
    assert server.send(post(secret, f"Content-Length: {length}")).status in (400, 413)
    assert echo.reached == []


async def test_a_length_is_judged_whatever_parser_the_server_uses(echo: Echo) -> None:
    guard = Guard(echo.app, frozenset(), frozenset(), LARGEST)
    for lengths, status in (([b"ten"], 400), ([b"5", b"6"], 400), ([b""], 400), ([b"1001"], 413)):
        sent: list[dict[str, object]] = []

        async def send(message: dict[str, object], sent: list[dict[str, object]] = sent) -> None:
            sent.append(message)

        async def receive() -> dict[str, object]:
            raise AssertionError("the body was read")

        headers = [(b"host", b"localhost"), *((b"content-length", length) for length in lengths)]
        await guard({"type": "http", "path": "/health", "headers": headers}, receive, send)  # type: ignore[arg-type]
        assert sent[0]["status"] == status


def test_a_stream_passes_through_piece_by_piece(server: Served, echo: Echo, secret: str) -> None:
    request = f"GET /stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        connection.sendall(request)
        read = b""
        while b"data: one" not in read:
            read += connection.recv(4096)
        assert b"two" not in read
        echo.go_on.set()
        while b"data: two" not in read:
            read += connection.recv(4096)


def test_an_error_that_was_answered_leaves_the_connection_open_and_is_told_once(
    server: Served, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    ask = f"GET /fault HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        for _ in range(2):
            connection.sendall(ask)
            assert refused(read_answer(connection), 500, None)
    assert caplog.records == []


async def test_an_error_that_nobody_answered_becomes_an_envelope_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("/home/ada")

    with served(Guard(broken, frozenset(), frozenset(), LARGEST)) as here:
        answer = await asyncio.to_thread(here.get, "/health")
    assert refused(answer, 500, None)
    assert b"ada" not in answer.body
    assert answer.headers["x-request-id"] in caplog.text


def test_the_same_connection_serves_on_after_a_refusal(server: Served, secret: str) -> None:
    key = f"Authorization: Bearer {secret}"
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert read_answer(connection).status == 403
        connection.sendall(f"GET /health HTTP/1.1\r\nHost: localhost\r\n{key}\r\n\r\n".encode())
        assert read_answer(connection).status == 200


def test_only_health_is_open(server: Served) -> None:
    assert server.get("/health").json == {"ok": True}
    for path in ("/body", "/openapi.json", "/health/", "//health", "/health/../body", "/no/such/path", "*"):
        answer = server.get(path)
        assert refused(answer, 401, "invalid_api_key"), path
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_key_opens_what_there_is_and_tells_what_there_is_not(
    server: Served, echo: Echo, ring: KeyRing, secret: str
) -> None:
    assert server.send(post(secret, "Content-Length: 2"), b"{}").status == 200
    assert echo.client == list(ring.keys)
    assert server.get("/no/such/path", f"Authorization: Bearer {secret}").status == 404


def test_every_wrong_key_gets_the_very_same_answer(server: Served, ring: KeyRing, secret: str) -> None:
    removed = ring.add("old")[1]
    ring.remove("old")
    digest = json.loads(ring.path.read_text())["keys"][0]["digest"]
    wrong = [
        "",
        "x",
        secret[:-1],
        f"{secret}x",
        secret.upper(),
        secret.removeprefix("sk-cachet-"),
        removed,
        digest,
    ]
    lines = [
        *(f"Authorization: Bearer {each}" for each in wrong),
        f"Authorization: Basic {secret}",
        f"Authorization: {secret}",
        f"Authorization: Bearer {secret} {secret}",
        "X-Other: x",
    ]
    answers = [server.get("/body", line) for line in lines]
    assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}
    assert secret.encode() not in answers[0].body


def test_a_key_that_was_removed_elsewhere_is_out_at_once(server: Served, tmp_path: Path, secret: str) -> None:
    key = f"Authorization: Bearer {secret}"
    assert server.get("/x", key).status == 404
    KeyRing.open(tmp_path).remove("laptop")
    assert server.get("/x", key).status == 401


def test_a_broken_key_file_lets_nobody_in_and_tells_the_client_no_path(
    server: Served, ring: KeyRing, secret: str
) -> None:
    ring.path.write_text("{")
    answer = server.get("/x", f"Authorization: Bearer {secret}")
    assert refused(answer, 500, "server_misconfigured")
    assert str(ring.path).encode() not in answer.body


@pytest.mark.parametrize(
    ("values", "secret"),
    [
        ([b"Bearer k"], "k"),
        ([b"bearer  k "], "k"),
        ([b"Bearer"], None),
        ([b"Bearer a b"], None),
        ([b"Bearer \xe9"], None),
        ([b"Token k"], None),
        ([], None),
        ([b"Bearer k", b"Bearer k"], None),
    ],
)
def test_a_bearer_token_is_read_from_one_header_of_that_scheme(
    values: list[bytes], secret: str | None
) -> None:
    assert bearer([(b"authorization", value) for value in values]) == secret


def test_a_web_socket_is_closed_unopened(echo: Echo) -> None:
    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    guard = Guard(echo.app, frozenset(), frozenset(), LARGEST)
    asyncio.run(guard({"type": "websocket", "path": "/health", "headers": []}, send, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]
