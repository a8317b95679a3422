"""Knows whether a request has left this machine: what was sent may be billed, though nobody waits for it.

An SDK doesn't tell, but the HTTP client below it traces what it does. Which call a request belongs to is told
by the context it is made in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

SENT = "send_request_body.started"
"""In the HTTP client's trace, behind the protocol's name: the connection stands, the headers are gone."""


@dataclass(slots=True)
class Departure:
    """Whether the request of one call was sent."""

    sent: bool = False


_current: ContextVar[Departure | None] = ContextVar("departure", default=None)


@contextmanager
def departing() -> Iterator[Departure]:
    """Around the sending of a call's request."""
    departure = Departure()
    token = _current.set(departure)
    try:
        yield departure
    finally:
        _current.reset(token)


def sent() -> None:
    """Say that the request of this context's call is sent, or that nobody can tell whether it is."""
    departure = _current.get()
    if departure is not None:
        departure.sent = True


async def traced(request: httpx2.Request) -> None:
    """An HTTP client's hook for requests: has each of them say when it is sent."""
    departure = _current.get()
    if departure is None:
        return

    async def trace(event: str, info: object) -> None:
        if event.endswith(SENT):
            departure.sent = True

    request.extensions["trace"] = trace
