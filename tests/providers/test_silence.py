"""Noticing an endpoint that went silent, and how long it may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from providers.errors import Stalled
from providers.faults import stalled
from providers.silence import (
    LABOURING,
    LOADING,
    LONGEST,
    THINKING,
    USUAL,
    Patience,
    attentive,
    awaited,
    patience_for,
)

SILENT = partial(stalled, "acme")
LONG = 600.0
SHORT = 0.02


async def falls_silent(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    await asyncio.Event().wait()


async def later(event: asyncio.Event) -> AsyncIterator[bytes]:
    await event.wait()
    yield b"late"


# --- how long -----------------------------------------------------------------------------------------------


def test_an_endpoint_elsewhere_gets_twenty_seconds_for_any_byte() -> None:
    assert patience_for(None) == Patience(USUAL, USUAL) == Patience(20.0, 20.0)


def test_a_server_that_loads_its_model_gets_minutes_for_the_first_byte() -> None:
    assert patience_for(None, loads=True) == Patience(LOADING, LABOURING)


def test_a_wire_that_does_not_show_its_thinking_gets_minutes_throughout() -> None:
    assert patience_for(None, unseen_thinking=True) == Patience(THINKING, THINKING)
    assert patience_for(None, unseen_thinking=True, loads=True) == Patience(LOADING, THINKING)


def test_what_a_person_sets_replaces_all_of_that() -> None:
    set_by_hand = patience_for(45.0, loads=True, unseen_thinking=True, sending=10_000_000)
    assert set_by_hand == Patience(45.0, 45.0)


def test_a_large_request_has_time_to_be_sent_and_read() -> None:
    assert patience_for(None, sending=4_000_000) == Patience(120.0, 20.0)


@pytest.mark.parametrize(("factor", "seconds"), [(1.0, 20.0), (2.0, 40.0), (4.0, 80.0), (1024.0, LONGEST)])
def test_each_stall_lengthens_the_next_wait_up_to_a_limit(factor: float, seconds: float) -> None:
    assert patience_for(None, factor=factor) == Patience(seconds, seconds)


def test_the_limit_shortens_no_wait_that_was_longer_to_begin_with() -> None:
    assert patience_for(3600.0, factor=2.0).first == 3600.0


# --- noticing -----------------------------------------------------------------------------------------------


async def test_a_body_that_never_begins_is_a_stall() -> None:
    with pytest.raises(Stalled, match=r"acme sent nothing for 0\.02 s, so the call") as caught:
        async for _ in attentive(falls_silent(), Patience(SHORT, LONG), SILENT):
            pass
    assert not caught.value.begun
    assert caught.value.cause == "silent for 0.02 s"


async def test_a_body_that_stops_in_its_middle_is_a_stall_after_what_came() -> None:
    body = attentive(falls_silent(b"a", b"b"), Patience(LONG, SHORT), SILENT)
    assert [await anext(body), await anext(body)] == [b"a", b"b"]
    with pytest.raises(Stalled, match="in the middle of its answer") as caught:
        await anext(body)
    assert caught.value.begun


async def test_a_reader_that_takes_its_time_is_not_the_endpoints_silence() -> None:
    read, ended = attentive(_two(), Patience(SHORT, SHORT), SILENT), asyncio.Event()
    assert await anext(read) == b"a"
    asyncio.get_running_loop().call_later(3 * SHORT, ended.set)
    await ended.wait()
    assert await anext(read) == b"b"


async def _two() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


async def test_a_wait_for_headers_that_takes_too_long_is_a_stall() -> None:
    with pytest.raises(Stalled) as caught:
        async with awaited(SHORT, SILENT):
            await asyncio.Event().wait()
    assert not caught.value.begun


async def test_a_timeout_of_the_sockets_own_passes_as_it_is() -> None:
    with pytest.raises(TimeoutError, match="ETIMEDOUT"):
        async with awaited(LONG, SILENT):
            raise TimeoutError("ETIMEDOUT")


async def test_leaving_is_no_stall() -> None:
    event = asyncio.Event()

    async def listen() -> None:
        async for _ in attentive(later(event), Patience(LONG, LONG), SILENT):
            pass

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
