"""What the server loads before anyone asks."""

from __future__ import annotations

from pathlib import Path

from providers.errors import ConfigurationError
from providers.scripted import ScriptedProvider
from providers.types import ModelRef
from server.start import Settings, assemble
from tests.support.setups import setup


class Engine(ScriptedProvider):
    """A provider with something to load."""

    ready = False

    async def prepare(self) -> None:
        self.ready = True


async def test_each_model_is_loaded_before_its_first_call_but_those_that_cannot_be(tmp_path: Path) -> None:
    opened: list[Engine] = []

    def providers(name: str, encoder: str = "", /) -> Engine:
        if name == "broken":
            raise ConfigurationError("No key.")
        opened.append(Engine(name, tmp_path))
        return opened[-1]

    made = setup(tmp_path, providers=providers)
    models = tuple(ModelRef(name, "model") for name in ("one", "broken", "two"))
    settings = Settings(home=made.home, workspace=made.workspace.root, compose=lambda _: made, models=models)
    service = (await assemble(settings)).service
    try:
        await service.prepare()
        assert [(engine.name, engine.ready) for engine in opened] == [("one", True), ("two", True)]
    finally:
        await service.close()
