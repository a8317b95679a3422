"""Calls that begin side by side, as those of sub-agents do, share one client, which is closed at the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.calls import played, request
from tests.support.loopback import LoopbackServer
from tests.support.speakers import SPEAKERS, Speaker


@pytest.mark.parametrize("wire", SPEAKERS, ids=lambda wire: wire.name)
async def test_no_connection_stays_open_behind_them(wire: Speaker, tmp_path: Path) -> None:
    reply = wire.reply(wire.begin(), wire.say("hi"), wire.end(wire.done))
    with LoopbackServer(lambda _: reply) as server:
        provider = wire.open(server.url, tmp_path)
        made = await asyncio.gather(*(played(provider, request(wire.model)) for _ in range(4)))
        assert [each.error for each in made] == [None] * 4
        await provider.aclose()
        assert await asyncio.to_thread(server.all_closed, 20.0)
