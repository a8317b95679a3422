"""A call that a person stops before any word came: booked as an estimate if it was sent, else as nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from providers.call import Call, estimate
from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import Usage
from tests.support.calls import request
from tests.support.loopback import LoopbackServer, Recorded, Reply
from tests.support.speakers import KEY, MUTE, SPEAKERS, Speaker

each_wire = pytest.mark.parametrize("wire", SPEAKERS, ids=lambda wire: wire.name)


async def _entered(call: Call) -> None:
    async with call:
        raise AssertionError("the server never answers")


async def _stopped(call: Call, when: asyncio.Event) -> None:
    """Make the call, and leave it at this event."""
    task = asyncio.create_task(_entered(call))
    await when.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@each_wire
async def test_a_sent_request_is_booked_as_an_estimate(wire: Speaker, tmp_path: Path) -> None:
    loop, came = asyncio.get_running_loop(), asyncio.Event()

    def silent(_: Recorded) -> Reply:
        loop.call_soon_threadsafe(came.set)
        return MUTE

    asked = request(wire.model)
    with LoopbackServer(silent) as server:
        provider = wire.open(server.url, tmp_path)
        call = provider.stream(asked)
        await _stopped(call, came)
        await provider.aclose()
    assert (call.usage, call.estimated) == (estimate(asked, 0), True)
    assert call.turn is None


@pytest.mark.parametrize("wire", ["anthropic", "openai-chat", "openai-responses", "ollama"])
async def test_a_request_without_a_connection_yet_is_booked_as_nothing(wire: str, tmp_path: Path) -> None:
    """The server takes the connection and never shakes hands for TLS."""
    came, done = asyncio.Event(), asyncio.Event()

    async def mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await done.wait()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = {"gateway": ProviderSettings(url, KEY, wire=wire)}
        provider = open_provider("gateway", settings, {}, tmp_path)
        call = provider.stream(request("gateway/served"))
        await _stopped(call, came)
        await provider.aclose()
        done.set()
    assert (call.usage, call.estimated) == (Usage(), False)
