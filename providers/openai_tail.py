"""Reads what may follow the end of an answer, without waiting long for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

from providers.call import Accumulator

DRAIN_SECONDS = 0.2
"""What the end of a finished answer's body is waited for, so that its connection can be used again."""

TAIL_SECONDS = 5.0
"""What the usage, which may follow a finished answer, is waited for where the connection stays open."""


async def until_ended(
    chunks: AsyncIterator[bytes], answer: Accumulator, seconds: float
) -> AsyncGenerator[bytes]:
    """The chunks; once the answer has ended no more than `seconds` are waited for another one."""
    while True:
        limit = asyncio.timeout(seconds if answer.stop_reason is not None else None)
        try:
            async with limit:
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            if limit.expired():
                return
            raise
        yield chunk


async def drain(chunks: AsyncIterator[bytes]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in chunks:
                pass
