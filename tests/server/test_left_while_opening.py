"""A client that leaves while its session is being opened leaves the session to others."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.permissions import Mode
from cli.compose import compose
from cli.options import Options
from cli.place import Place
from server.asked import response_asked
from server.keys import ClientKey, KeyRing
from server.responses import ResponseForm
from server.run import Run
from server.schemas import ResponsesRequest
from server.service import Ask, Service
from server.start import Settings, assemble
from sessions.journal import Journal
from sessions.setup import Setup
from tests.support.clients import MANY, environment
from tests.support.script import say, script


async def served(folder: Path) -> tuple[Service, ClientKey]:
    home, project = folder / "cachet", folder / "shop"
    project.mkdir()

    def composed(where: Path) -> Setup:
        place = Place.of(environment(folder), where)
        return compose(place, Options(permission_mode=Mode.PLAN), place.configuration().config)

    settings = Settings(
        home=home, workspace=project, compose=composed, models=(script(folder, say("One."), say("Two.")),)
    )
    key, _ = KeyRing.open(home).add("test", per_minute=MANY, concurrent=100)
    return (await assemble(settings)).service, key


def ask(key: ClientKey, id: int, **body: Any) -> Ask:
    asked = response_asked(ResponsesRequest(input="How much?", **body))
    return Ask(key=key, asked=asked, form=ResponseForm(), id=f"resp_{id}")


async def run(service: Service, asked: Ask) -> Run:
    taken = await service.taken(asked)
    assert isinstance(taken, Run)
    await taken.ended()
    return taken


async def test_whenever_a_client_leaves_its_session_and_its_branches_are_closed(tmp_path: Path) -> None:
    service, key = await served(tmp_path)
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
