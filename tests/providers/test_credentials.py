"""No key and no password stands in what a person is shown, nor in the address that journals keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import ConfigurationError, KeyRefused
from providers.registry import open_provider
from providers.settings import ProviderSettings
from tests.support.calls import played, request
from tests.support.loopback import LoopbackServer, json_reply

WIRES = ("anthropic", "openai-chat", "openai-responses", "ollama", "bedrock")


@pytest.mark.parametrize("wire", WIRES)
def test_an_address_with_a_password_is_refused_without_showing_it(wire: str, tmp_path: Path) -> None:
    settings = ProviderSettings("https://me:hunter2@gateway.example:8080/v1", "key", wire=wire)
    with pytest.raises(ConfigurationError) as refusal:
        open_provider("gateway", {"gateway": settings}, {}, tmp_path)
    assert "headers" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("wire", ["anthropic", "openai-chat", "openai-responses", "ollama"])
async def test_a_key_that_an_endpoint_repeats_is_masked(wire: str, tmp_path: Path) -> None:
    said = {"error": {"message": "unknown key plain-words-key"}}
    with LoopbackServer(lambda _: json_reply(said, 401)) as server:
        settings = {"gateway": ProviderSettings(server.url, "plain-words-key", wire=wire)}
        provider = open_provider("gateway", settings, {}, tmp_path)
        made = await played(provider, request("gateway/served"))
        await provider.aclose()
    assert isinstance(made.error, KeyRefused)
    assert "unknown key …" in str(made.error)


def test_a_key_for_ollama_that_no_header_can_carry_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="characters that no key has"):
        open_provider("ollama", {}, {"OLLAMA_API_KEY": "two\nlines"}, tmp_path)
