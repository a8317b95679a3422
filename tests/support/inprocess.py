"""The server's service without HTTP, in the test's own event loop, and requests to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.permissions import Mode
from cli.compose import compose
from cli.options import Options
from cli.place import Place
from providers.types import ModelRef
from server.asked import response_asked
from server.keys import ClientKey, KeyRing
from server.responses import ResponseForm
from server.schemas import ResponsesRequest
from server.service import Ask, Service
from server.start import Settings, assemble
from sessions.setup import Setup
from tests.support.clients import MANY, environment


async def assembled(
    folder: Path, environ: Mapping[str, str], *models: str | ModelRef
) -> tuple[Service, ClientKey]:
    """A service for these models below `folder`, and a key to it."""
    home, project = folder / "cachet", folder / "shop"
    project.mkdir()
    variables = environment(folder) | dict(environ)

    def composed(where: Path) -> Setup:
        place = Place.of(variables, where)
        return compose(place, Options(permission_mode=Mode.PLAN), place.configuration().config)

    offered = tuple(ModelRef.parse(str(model)) for model in models)
    settings = Settings(home=home, workspace=project, compose=composed, models=offered)
    key, _ = KeyRing.open(home).add("test", per_minute=MANY, concurrent=100)
    return (await assemble(settings)).service, key


def ask(key: ClientKey, id: int, **body: Any) -> Ask:
    asked = response_asked(ResponsesRequest(input="How much?", **body))
    return Ask(key=key, asked=asked, form=ResponseForm(), id=f"resp_{id}")
