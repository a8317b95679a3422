"""A client that leaves while its session is being opened leaves the session to others."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from server.run import Run
from server.service import Ask, Service
from sessions.journal import Journal
from tests.support.inprocess import ask, assembled
from tests.support.script import say, script


async def run(service: Service, asked: Ask) -> Run:
    taken = await service.taken(asked)
    assert isinstance(taken, Run)
    await taken.ended()
    return taken


async def test_whenever_a_client_leaves_its_session_and_its_branches_are_closed(tmp_path: Path) -> None:
    service, key = await assembled(tmp_path, {}, script(tmp_path, say("One."), say("Two.")))
    first = await run(service, ask(key, 0))
    await run(service, ask(key, 1, previous_response_id="resp_0"))
    for moment in range(2, 80, 3):
        place = {"conversation": first.session.id} if moment % 2 else {"previous_response_id": "resp_0"}
        taking = asyncio.create_task(service.taken(ask(key, moment, **place)))
        for _ in range(moment):
            await asyncio.sleep(0)
        taking.cancel()
        with suppress(asyncio.CancelledError):
            taken = await taking
            assert isinstance(taken, Run)
            taken.cancel()
            await taken.ended()
    await service.close()
    for path in tmp_path.glob("cachet/sessions/*/*.jsonl"):
        Journal.open(path).close()
