"""Which model is used: the person's word first, then what is within reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.choose import NoModel, choose
from cli.config import Config
from cli.place import Place
from providers import local
from providers.errors import UnknownModel
from providers.pricing import default_model
from providers.types import ModelRef
from tests.support.loopback import LoopbackServer, json_reply

NOWHERE = {"OLLAMA_HOST": "127.0.0.1:1"}


def place(folder: Path, **environ: str) -> Place:
    return Place(folder, folder, {**NOWHERE, **environ})


async def chosen(
    folder: Path, *, wish: str | None = None, config: Config | None = None, **environ: str
) -> str:
    return str(await choose(place(folder, **environ), config or Config(), wish))


CONFIG = Config(model=ModelRef("configured", "model"))


async def test_the_option_goes_before_everything(tmp_path: Path) -> None:
    name = await chosen(tmp_path, wish="a/b/c", config=CONFIG, CACHET_MODEL="env/model", OPENAI_API_KEY="k")
    assert name == "a/b/c"


async def test_the_variable_goes_before_the_configuration(tmp_path: Path) -> None:
    assert await chosen(tmp_path, config=CONFIG, CACHET_MODEL="env/model") == "env/model"


async def test_the_configuration_goes_before_a_key(tmp_path: Path) -> None:
    assert await chosen(tmp_path, config=CONFIG, OPENAI_API_KEY="k") == "configured/model"


@pytest.mark.parametrize(
    ("variable", "provider"),
    [("ANTHROPIC_API_KEY", "anthropic"), ("OPENAI_API_KEY", "openai"), ("MISTRAL_API_KEY", "mistral")],
)
async def test_a_key_means_its_providers_default_model(tmp_path: Path, variable: str, provider: str) -> None:
    assert await chosen(tmp_path, **{variable: "k"}) == f"{provider}/{default_model(provider)}"


async def test_an_empty_key_is_none(tmp_path: Path) -> None:
    name = await chosen(tmp_path, ANTHROPIC_API_KEY=" ", OPENAI_API_KEY="k")
    assert name == f"openai/{default_model('openai')}"


async def test_a_name_that_is_none_says_what_one_looks_like(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="CACHET_MODEL 'sonnet' is not PROVIDER/MODEL"):
        await chosen(tmp_path, CACHET_MODEL="sonnet")


async def test_a_running_ollamas_first_model_is_taken_where_there_is_no_key(tmp_path: Path) -> None:
    listed = {"models": [{"model": "qwen3:8b", "size": 5_000_000_000}, {"model": "other"}]}
    with LoopbackServer(lambda request: json_reply(listed)) as server:
        assert await chosen(tmp_path, OLLAMA_HOST=server.url) == "ollama/qwen3:8b"


async def test_without_key_and_ollama_the_embedded_model_or_the_way_to_one(tmp_path: Path) -> None:
    if local.installed(tmp_path):
        assert await chosen(tmp_path) == "local/smollm2"
    else:
        with pytest.raises(NoModel, match="agent models pull local/smollm2"):
            await chosen(tmp_path)
