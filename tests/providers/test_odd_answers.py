"""Whatever bytes an endpoint answers with, a person reads one line about it, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import ProviderError, RateLimited, Unreachable
from tests.support.calls import played, request
from tests.support.loopback import LoopbackServer, Reply
from tests.support.speakers import SPEAKERS, Speaker

DEEP = b'{"error":' + b"[" * 100_000
JSON = {"content-type": "application/json"}

each_wire = pytest.mark.parametrize("wire", SPEAKERS, ids=lambda wire: wire.name)


async def _failure(wire: Speaker, reply: Reply, home: Path) -> BaseException | None:
    with LoopbackServer(lambda _: reply) as server:
        provider = wire.open(server.url, home)
        made = await played(provider, request(wire.model))
        await provider.aclose()
    return made.error


@each_wire
@pytest.mark.parametrize("status", [200, 400])
async def test_json_nested_too_deeply_to_be_read(status: int, wire: Speaker, tmp_path: Path) -> None:
    assert isinstance(await _failure(wire, Reply(status, JSON, (DEEP,)), tmp_path), ProviderError)


@each_wire
async def test_an_event_nested_too_deeply_to_be_read(wire: Speaker, tmp_path: Path) -> None:
    event = DEEP.decode() if wire.name == "ollama" else f"data: {DEEP.decode()}"
    failure = await _failure(wire, wire.reply(wire.begin(), event + "\n\n"), tmp_path)
    assert isinstance(failure, ProviderError)


@each_wire
async def test_a_refusal_that_breaks_off_in_its_own_words(wire: Speaker, tmp_path: Path) -> None:
    failure = await _failure(wire, Reply(500, JSON, (b'{"error":',), cut=True), tmp_path)
    assert isinstance(failure, Unreachable)


@each_wire
async def test_a_refusal_that_is_not_packed_as_it_says(wire: Speaker, tmp_path: Path) -> None:
    failure = await _failure(wire, Reply(500, {**JSON, "content-encoding": "gzip"}, (b"plain",)), tmp_path)
    assert isinstance(failure, Unreachable)


@each_wire
async def test_a_wait_until_a_year_that_no_calendar_has(wire: Speaker, tmp_path: Path) -> None:
    headers = {"retry-after": "Mon, 01 Jan 99999999999999 00:00:00 GMT"}
    failure = await _failure(wire, wire.refusal(429, "rate_limit_error", "slow down", headers), tmp_path)
    assert isinstance(failure, RateLimited)
    assert failure.retry_after is None
