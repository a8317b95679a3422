"""Which providers are within reach, and that a program which merely listens there is not taken for one."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.config import Config
from cli.place import Place
from cli.reach import Reached, offer, within_reach
from providers.errors import KeyRefused, MissingKey, Unreachable
from providers.settings import ProviderSettings
from providers.types import ModelRef
from providers.vendors import VENDORS
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply

NOWHERE: Mapping[str, str] = {
    "OLLAMA_HOST": "127.0.0.1:1",
}


def place(folder: Path, **environ: str) -> Place:
    return Place(folder / "home", folder, {**NOWHERE, **environ})


def one_model(request: Recorded) -> Reply:
    return json_reply({"object": "list", "data": [{"id": "served", "object": "model"}]})


async def names(here: Place, config: Config | None = None) -> set[str]:
    """Those that were set up; what listens on this machine is not the test's matter."""
    return {one.name for one in await within_reach(here, config or Config()) if not one.heard}


async def test_the_embedded_model_is_always_within_reach(tmp_path: Path) -> None:
    assert await names(place(tmp_path)) == {"local"}


async def test_a_key_an_address_or_an_address_variable_brings_a_provider_within_reach(tmp_path: Path) -> None:
    here = place(tmp_path, GROQ_API_KEY="gsk-test", OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    config = Config(providers={"mine": ProviderSettings(base_url="http://127.0.0.1:1")})
    assert await names(here, config) == {"local", "groq", "openai", "mine"}


async def test_a_key_that_can_be_none_is_told_of_and_not_passed_over(tmp_path: Path) -> None:
    assert await names(place(tmp_path, XAI_API_KEY="a\nb")) == {"local", "xai"}


async def test_a_local_servers_key_does_not_say_that_it_runs(tmp_path: Path) -> None:
    assert await names(place(tmp_path, VLLM_API_KEY="key-of-a-test")) == {"local"}


async def test_a_server_at_a_local_vendors_own_port_is_heard_without_being_set_up(tmp_path: Path) -> None:
    address = urlsplit(VENDORS["lmstudio"].base_url)
    with suppress(OSError), socket.create_server((address.hostname or "", address.port or 0)):
        assert Reached("lmstudio", heard=True) in await within_reach(place(tmp_path), Config())


async def test_the_provider_of_the_chosen_model_is_within_reach_without_a_key(tmp_path: Path) -> None:
    here, config = place(tmp_path), Config(model=ModelRef("groq", "big"))
    assert await names(here, config) == {"local", "groq"}
    told = await offer(here, config, Reached("groq"))
    assert told is not None
    assert isinstance(told.error, MissingKey)


async def test_an_offer_is_what_the_endpoint_lists(tmp_path: Path) -> None:
    with LoopbackServer(one_model) as server:
        config = Config(providers={"mine": ProviderSettings(base_url=server.url)})
        told = await offer(place(tmp_path), config, Reached("mine"))
    assert told is not None
    assert [model.name for model in told.models] == ["served"]


async def test_an_endpoint_that_does_not_answer_in_time_is_told_of(tmp_path: Path) -> None:
    with LoopbackServer(
        lambda request: Reply(200, {"content-type": "application/json"}, hold=True)
    ) as server:
        config = Config(providers={"mine": ProviderSettings(base_url=server.url)})
        told = await offer(place(tmp_path), config, Reached("mine"), 0.05)
        heard = await offer(place(tmp_path), config, Reached("mine", heard=True), 0.05)
    assert told is not None
    assert isinstance(told.error, Unreachable)
    assert heard is None


@pytest.mark.parametrize("reply", [json_reply({"error": "?"}, 404), Reply(200, {}, (b"<html>",))])
async def test_another_program_at_a_local_servers_port_is_passed_over(tmp_path: Path, reply: Reply) -> None:
    with LoopbackServer(lambda request: reply) as server:
        config = Config(providers={"vllm": ProviderSettings(base_url=server.url)})
        assert await offer(place(tmp_path), config, Reached("vllm", heard=True)) is None


async def test_a_local_server_that_wants_a_key_is_told_of(tmp_path: Path) -> None:
    with LoopbackServer(lambda request: json_reply({"error": {"message": "key?"}}, 401)) as server:
        config = Config(providers={"litellm": ProviderSettings(base_url=server.url)})
        told = await offer(place(tmp_path), config, Reached("litellm", heard=True))
    assert told is not None
    assert isinstance(told.error, KeyRefused)
