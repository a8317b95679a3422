"""How long a client may take to send a request, or to take an answer: who is still keeps no connection.

uvicorn waits for a request's headers, and its body, for ever; and for a client that reads nothing. Here a
request that isn't sent in time is answered 408, where nothing was answered yet, and its connection is closed.
An answer is never cut short while its client takes it, however long it streams; nor does it count where the
server is the slow one.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.errors import too_slow


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request may take to come in."""

    head: float = 20.0
    """Seconds for the request line and all headers: from where the connection begins, or from their first
    byte on a connection that had a request before."""
    body: float = 30.0
    """Seconds for the body, and more of them for what has come already:"""
    pace: int = 16_384
    """Bytes of it that a client must send in each second beyond these."""
    reading: float = 120.0
    """Seconds from one look at what waits for the client to the next: it must have taken some meanwhile."""


class PromptProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a clock that runs while a request comes in, and looks at what goes out."""

    patience = Patience()
    _clock: asyncio.TimerHandle | None = None
    _began = 0.0
    """When the body began, on the loop's clock."""
    _taken = 0
    """Bytes that came since."""
    _watch: asyncio.TimerHandle | None = None
    _waiting = math.inf
    """Bytes of answers that waited for the client at the last look."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wind(self.patience.head)
        self._watch = self.loop.call_later(self.patience.reading, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._waiting = math.inf
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        self._taken += len(data)
        super().data_received(data)

    def handle_events(self) -> None:
        """After whatever came in: the clock runs for a request's head, then for its body, and then stops."""
        before = self.conn.their_state
        super().handle_events()
        state = self.conn.their_state
        if self.transport.is_closing() or state not in (h11.IDLE, h11.SEND_BODY):
            self._stop()
        elif state is h11.SEND_BODY:
            if before is not h11.SEND_BODY:
                self._began, self._taken = self.loop.time(), len(self.cycle.body)
                self._wind(self.patience.body)
        elif self.conn.trailing_data[0]:
            if before is not h11.IDLE or self._clock is None:
                self._wind(self.patience.head)
        elif before is not h11.IDLE:
            self._stop()  # between two requests uvicorn's own keep-alive counts,
            self.timeout_keep_alive_task = self.loop.call_later(  # but not behind a body that nobody wanted
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _wind(self, seconds: float) -> None:
        self._stop()
        self._clock = self.loop.call_later(seconds, self._rang)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _rang(self) -> None:
        self._clock = None
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.SEND_BODY and (more := self._more()) > 0:
            self._wind(more)
            return
        begun = self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]
        if begun and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._refuse()
        self.transport.close()

    def _look(self) -> None:
        """Let a client go that took nothing since the last look, though nothing more can be sent to it."""
        waiting = self.transport.get_write_buffer_size()
        stands = self.flow.write_paused or self.transport.is_closing()
        if stands and waiting >= self._waiting:
            self.transport.abort()
            return
        self._waiting = waiting if stands else math.inf
        self._watch = self.loop.call_later(self.patience.reading, self._look)

    def _more(self) -> float:
        """Seconds that the body still has; as many as at first where the client is not who is slow."""
        answering = self.cycle.response_started and not self.cycle.response_complete
        if answering or self.flow.read_paused:
            return self.patience.body
        due = self._began + self.patience.body + self._taken / self.patience.pace
        return due - self.loop.time()

    def _refuse(self) -> None:
        error = too_slow()
        body = json.dumps(error.body()).encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
            **error.headers(),
        }
        head = h11.Response(
            status_code=error.status, headers=list(headers.items()), reason=b"Request Timeout"
        )
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")


def prompt(patience: Patience) -> type[PromptProtocol]:
    """The protocol with this patience: uvicorn makes one for each connection by itself."""
    members: dict[str, Any] = {"patience": patience}
    return type("PromptProtocol", (PromptProtocol,), members)
