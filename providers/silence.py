"""Notices an endpoint that has gone silent: a connection that stays open and brings no byte.

Any byte is a sign of life: headers, a comment between events, a ping. The clock runs only while we wait, so a
reader that takes its time never counts as the endpoint's silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from providers.errors import ProviderError

USUAL = 20.0
"""Seconds. A healthy endpoint answers, pings or comments well within this."""
LOADING = 900.0
"""Seconds until the first byte of a server on this machine: it loads a model and reads the prompt first."""
LABOURING = 120.0
"""Seconds from byte to byte of such a server: it may swap, or read the next part of a long prompt."""
THINKING = 300.0
"""Seconds, where a wire may send nothing while the model thinks."""
LONGEST = 900.0
"""Seconds. Repeated stalls lengthen a wait up to here: a call has to end some day."""
DRAIN_SECONDS = 1.0
"""What the end of a body is waited for after its last event."""
BYTES_A_SECOND = 40_000
"""What a slow line sends of a request, and about what a slow model reads of a prompt."""

Chunk = TypeVar("Chunk")


class Silent(Protocol):
    """Makes the error for an endpoint that was silent, before its answer had `begun` or after."""

    def __call__(self, seconds: float, *, begun: bool = False) -> ProviderError: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an endpoint may be silent, in seconds."""

    first: float
    """Until the answer's headers, and from them until the first byte of its body."""
    between: float
    """From one byte of the body to the next."""


def patience_for(
    stall_seconds: float | None,
    *,
    factor: float = 1.0,
    loads: bool = False,
    unseen_thinking: bool = False,
    sending: int = 0,
) -> Patience:
    """The patience for one call.

    `stall_seconds` is the person's own limit for the provider and replaces all that follows. `loads`: the
    server may have to load its model first, as those on this machine do. `unseen_thinking`: the wire may send
    nothing while the model thinks. `sending` is the request's size in bytes. `factor` is `Request.patience`.

    Where thinking isn't seen, its silence cannot be told from a stall. To wait too long costs a person
    minutes, once, on an endpoint that broke; to leave too soon costs every call its thinking again, which
    is billed and may never finish. So that wire gets minutes, before its first byte and after it: some send
    a first empty chunk, then think.
    """
    if stall_seconds is not None:
        first = between = stall_seconds
    else:
        first, between = (LOADING, LABOURING) if loads else (USUAL, USUAL)
        if unseen_thinking:
            first, between = max(first, THINKING), max(between, THINKING)
        first += sending / BYTES_A_SECOND
    return Patience(_lengthened(first, factor), _lengthened(between, factor))


def _lengthened(seconds: float, factor: float) -> float:
    return min(seconds * factor, max(seconds, LONGEST))


@asynccontextmanager
async def awaited(seconds: float, silent: Silent, *, begun: bool = False) -> AsyncIterator[None]:
    """Around the wait for an answer's headers. Raises what `silent` makes once it took `seconds`."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise  # a timeout of the socket's, which is the caller's to name
        raise silent(seconds, begun=begun) from None


async def attentive(
    chunks: AsyncIterator[Chunk], patience: Patience, silent: Silent
) -> AsyncGenerator[Chunk]:
    """The chunks of an answer's body, or its events. Raises what `silent` makes when none comes in time."""
    seconds, begun = patience.first, False
    while True:
        try:
            async with awaited(seconds, silent, begun=begun):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        yield chunk
        seconds, begun = patience.between, True


async def drain(body: AsyncIterator[object], seconds: float = DRAIN_SECONDS) -> None:
    """Read to the end of a body whose last event came, so that its connection can serve the next call.

    Whatever goes wrong here, the answer was whole.
    """
    import httpx2

    with suppress(TimeoutError, ValueError, OSError, httpx2.HTTPError, httpx2.StreamError):
        async with asyncio.timeout(seconds):
            async for _ in body:
                pass
