"""What is asked for a list of models may be anything: an odd answer is an error of ours, never a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import ProviderError
from providers.registry import open_provider
from providers.settings import ProviderSettings
from tests.support.loopback import LoopbackServer, Reply, json_reply

ODD = {
    "a list": json_reply([]),
    "null": json_reply(None),
    "text": json_reply("hello"),
    "models that are none": json_reply({"data": [1, None], "models": 5}),
    "a web page": Reply(200, {"content-type": "text/html"}, (b"<html>",)),
    "half an object": Reply(200, {"content-type": "application/json"}, (b"{",)),
    "nothing": Reply(204),
}


@pytest.mark.parametrize("name", ["anthropic", "mine", "ollama"])
@pytest.mark.parametrize("reply", ODD.values(), ids=ODD.keys())
async def test_an_odd_answer_is_an_error_of_ours(name: str, reply: Reply, tmp_path: Path) -> None:
    with LoopbackServer(lambda request: reply) as server:
        settings = {name: ProviderSettings(base_url=server.url, api_key="key-of-a-test")}
        provider = open_provider(name, settings, {}, tmp_path)
        with pytest.raises(ProviderError):
            await provider.models()
        await provider.aclose()


@pytest.mark.parametrize("name", ["anthropic", "mine"])
async def test_names_that_are_numbers_are_names_all_the_same(name: str, tmp_path: Path) -> None:
    with LoopbackServer(lambda request: json_reply({"data": [{"id": 5, "display_name": 7}]})) as server:
        settings = {name: ProviderSettings(base_url=server.url, api_key="key-of-a-test")}
        provider = open_provider(name, settings, {}, tmp_path)
        assert [model.name for model in await provider.models()] == ["5"]
        await provider.aclose()
