"""Whether something listens at an address."""

from __future__ import annotations

import socket

import pytest

from providers.listening import listens
from providers.ollama import reachable
from tests.support.loopback import LoopbackServer, json_reply


async def test_a_server_that_runs_is_heard_without_being_asked_anything() -> None:
    with LoopbackServer(lambda request: json_reply({})) as server:
        assert await listens(f"{server.url}/v1")
        assert await reachable({"OLLAMA_HOST": server.url})
        assert server.requests == []


async def test_a_port_without_a_server_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert not await listens(f"http://127.0.0.1:{port}/v1")
    assert not await reachable({"OLLAMA_HOST": f"127.0.0.1:{port}"})


@pytest.mark.parametrize(
    "url", ["", "nonsense", "http://", "http://127.0.0.1:99999", "http://[::1", "ftp://x"]
)
async def test_what_is_no_address_is_not_heard(url: str) -> None:
    assert not await listens(url, 0.2)
