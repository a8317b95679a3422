"""What an endpoint is sent stays with it: no redirect takes keys or a conversation to another address."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import ProviderError, RequestRejected
from providers.registry import open_provider
from providers.settings import ProviderSettings
from tests.support.calls import played, request
from tests.support.loopback import LoopbackServer, Reply, json_reply
from tests.support.speakers import KEY

WIRES = ("anthropic", "openai-chat", "openai-responses", "ollama")


def _settings(url: str, wire: str) -> dict[str, ProviderSettings]:
    headers = {"x-gateway-key": "another-secret"}
    quirks = frozenset({"x-api-key"}) if wire == "anthropic" else frozenset()
    return {"gateway": ProviderSettings(url, KEY, headers, quirks, wire)}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("wire", WIRES)
async def test_an_endpoint_that_sends_a_request_on_is_refused(wire: str, status: int, tmp_path: Path) -> None:
    with LoopbackServer(lambda _: json_reply({})) as elsewhere:
        location = elsewhere.url.replace("127.0.0.1", "user:password@localhost") + "/v1"
        with LoopbackServer(lambda _: Reply(status, {"location": location})) as server:
            provider = open_provider("gateway", _settings(server.url, wire), {}, tmp_path)
            made = await played(provider, request("gateway/served"))
            await provider.aclose()
        assert elsewhere.requests == []
    assert isinstance(made.error, RequestRejected)
    assert made.error.status == status
    assert elsewhere.url.replace("127.0.0.1", "localhost") in str(made.error)
    assert "base_url" in str(made.error)
    assert "password" not in str(made.error)
    assert made.call.usage.total_tokens == 0


@pytest.mark.parametrize("wire", WIRES)
async def test_a_list_of_models_is_fetched_from_nowhere_else(wire: str, tmp_path: Path) -> None:
    with (
        LoopbackServer(lambda _: json_reply({})) as elsewhere,
        LoopbackServer(lambda _: Reply(307, {"location": elsewhere.url})) as server,
    ):
        provider = open_provider("gateway", _settings(server.url, wire), {}, tmp_path)
        with pytest.raises(ProviderError):
            await provider.models()
        await provider.aclose()
        assert elsewhere.requests == []
