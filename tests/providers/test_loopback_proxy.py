"""A proxy in the environment is not for servers on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.registry import open_provider
from providers.settings import ProviderSettings
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply

DEAD = "http://127.0.0.1:9"


def listing(request: Recorded) -> Reply:
    model = {"id": "here", "type": "model", "object": "model", "display_name": "", "created_at": "2026-01-01"}
    return json_reply({"object": "list", "data": [model], "models": [{"model": "here"}], "has_more": False})


@pytest.mark.parametrize("name", ["anthropic", "openai", "ollama", "mine"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_server_on_this_machine_is_asked_past_the_proxy(
    name: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for spared in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(spared, raising=False)
    monkeypatch.setenv(variable, DEAD)
    with LoopbackServer(listing) as server:
        settings = {name: ProviderSettings(base_url=server.url, api_key="key-of-a-test")}
        provider = open_provider(name, settings, {}, tmp_path)
        assert [model.name for model in await provider.models()] == ["here"]
        await provider.aclose()
