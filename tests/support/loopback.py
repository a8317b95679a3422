"""A real HTTP/1.1 server on loopback that records what it is asked and answers what a test wrote down.

with LoopbackServer(lambda request: sse(FIXTURE)) as server:
    provider = connect("anthropic", ProviderSettings(base_url=server.url, api_key="k"), {}, tmp_path)
    ...
assert server.requests[0].json["model"] == "m"
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it came. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, its body sent chunk by chunk.

    `cut` drops the connection after the last chunk, so that the body never ends properly. `hold` keeps it
    open after the last chunk until the client leaves (`LoopbackServer.client_left`) or the server closes.
    `mute` holds it open likewise before anything was sent, headers included.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Iterable[bytes] = ()
    cut: bool = False
    hold: bool = False
    mute: bool = False


def sse(
    *events: bytes | str, headers: Mapping[str, str] | None = None, cut: bool = False, hold: bool = False
) -> Reply:
    """A 200 answer of server-sent events. Each argument is sent as one chunk, as it is."""
    chunks = tuple(event.encode() if isinstance(event, str) else event for event in events)
    return Reply(200, {"content-type": "text/event-stream", **(headers or {})}, chunks, cut, hold)


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer whose body is one JSON value."""
    return Reply(
        status, {"content-type": "application/json", **(headers or {})}, (json.dumps(value).encode(),)
    )


class LoopbackServer:
    """Serves `handler`'s replies from threads of its own until the `with` block ends.

    `requests` holds what came, in order. An exception in `handler` answers 500 and is raised at the end.
    """

    def __init__(self, handler: Callable[[Recorded], Reply]) -> None:
        self.requests: list[Recorded] = []
        self.client_left = threading.Event()
        """Set once a client has gone away during a `hold`."""
        self.closing = threading.Event()
        self.failures: list[BaseException] = []
        self.connections = 0
        """How many connections were made so far."""
        self._open = 0
        self._closed = threading.Condition()
        self._handler = handler
        self._server = _Server(self)

    @property
    def prompts(self) -> list[Recorded]:
        """The requests for an answer; Ollama is asked about its models too."""
        return [request for request in self.requests if request.path not in ("/api/show", "/api/ps")]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        if self.failures and error is None:
            raise self.failures[0]

    def opened(self, change: int) -> None:
        """A connection came (1) or went (-1)."""
        with self._closed:
            self.connections += change > 0
            self._open += change
            self._closed.notify_all()

    def all_closed(self, seconds: float) -> bool:
        """Whether no connection is open any more, or will be none within so many seconds."""
        with self._closed:
            return self._closed.wait_for(lambda: self._open == 0, seconds)

    def answer(self, request: Recorded) -> Reply:
        self.requests.append(request)
        try:
            return self._handler(request)
        except Exception as failure:
            self.failures.append(failure)
            return json_reply({"error": repr(failure)}, 500)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: LoopbackServer) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.owner = owner


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        self.server.owner.opened(1)
        super().setup()

    def finish(self) -> None:
        self.server.owner.opened(-1)
        super().finish()

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # left in the middle of its request: there is nothing to answer
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._play(self.server.owner.answer(Recorded(self.command, self.path, headers, body)))

    do_GET = do_DELETE = do_PUT = do_POST

    def _play(self, reply: Reply) -> None:
        try:
            if reply.mute:
                self.close_connection = True
                self._hold()
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for chunk in reply.chunks:
                self._send(chunk)
            if reply.hold:
                self._hold()
            if reply.cut or reply.hold:
                self.close_connection = True
                return
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except OSError:
            self.server.owner.client_left.set()
            self.close_connection = True

    def _send(self, chunk: bytes) -> None:
        if chunk:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.flush()

    def _hold(self) -> None:
        owner = self.server.owner
        self.connection.settimeout(0.02)
        while not owner.closing.is_set():
            try:
                if not self.connection.recv(1):
                    owner.client_left.set()
                    return
            except TimeoutError:
                continue

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a test's output is pytest's."""
