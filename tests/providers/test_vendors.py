"""The vendors that are known by name: where each is, whose key it wants, and where it is told an effort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from providers.endpoint import endpoint_of, is_loopback
from providers.errors import ConfigurationError, MissingKey
from providers.pricing import default_model
from providers.registry import open_provider
from providers.settings import KEY_VARIABLES, ProviderSettings
from providers.vendors import VENDORS
from tests.support.calls import played, request
from tests.support.loopback import LoopbackServer, Recorded, Reply, sse
from tests.support.openai_server import answer, refusal

HOSTED = ("openai", "gemini", "groq", "xai", "deepseek", "mistral", "openrouter")
LOCAL = ("lmstudio", "vllm", "llamacpp", "litellm")
EFFORTS = ("reasoning_effort", "reasoning", "thinking", "chat_template_kwargs")
NOTHING = ProviderSettings()


def test_the_vendors_are_those_that_the_documentation_lists() -> None:
    assert tuple(VENDORS) == (*HOSTED, *LOCAL)


@pytest.mark.parametrize("name", HOSTED)
def test_a_hosted_vendor_is_reached_with_the_key_of_its_variable(name: str) -> None:
    vendor = VENDORS[name]
    endpoint = endpoint_of(name, NOTHING, {vendor.key_variable: "sk-1"})
    assert (endpoint.base_url, endpoint.key) == (vendor.base_url, "sk-1")
    assert endpoint.base_url.startswith("https://")


@pytest.mark.parametrize("name", HOSTED)
def test_a_hosted_vendor_without_a_key_says_where_to_put_one(name: str) -> None:
    with pytest.raises(MissingKey, match=VENDORS[name].key_variable):
        endpoint_of(name, NOTHING, {})


@pytest.mark.parametrize("name", LOCAL)
def test_a_local_server_needs_no_key_but_sends_one_that_is_set(name: str) -> None:
    vendor = VENDORS[name]
    assert endpoint_of(name, NOTHING, {}).key is None
    assert endpoint_of(name, NOTHING, {vendor.key_variable: "sk-1"}).key == "sk-1"
    assert is_loopback(vendor.base_url)


def test_a_local_server_never_becomes_the_default_because_of_a_key() -> None:
    assert [name for name in KEY_VARIABLES if name in LOCAL and default_model(name)] == []


def test_a_vendors_host_wants_its_key_and_has_its_quirks_whatever_the_provider_is_called() -> None:
    at_deepseek = ProviderSettings(base_url="https://api.deepseek.com/v1")
    with pytest.raises(MissingKey, match="my-gate"):
        endpoint_of("my-gate", at_deepseek, {})
    mine = ProviderSettings(base_url="https://eu.api.openai.com/v1", api_key="k")
    assert VENDORS["openai"].quirks <= endpoint_of("my-gate", mine, {}).quirks


def test_another_server_at_a_known_port_of_this_machine_has_no_vendors_quirks() -> None:
    own = ProviderSettings(base_url="http://127.0.0.1:8080/v1")
    assert endpoint_of("my-gate", own, {}).quirks == frozenset()


@pytest.mark.parametrize(
    ("name", "variable"), [("openai", "OPENAI_BASE_URL"), ("litellm", "LITELLM_PROXY_API_BASE")]
)
def test_a_vendors_own_variable_moves_its_address_and_the_configuration_wins(
    name: str, variable: str
) -> None:
    environ = {variable: "http://127.0.0.1:9/v1/"}
    assert endpoint_of(name, NOTHING, environ).base_url == "http://127.0.0.1:9/v1"
    own = ProviderSettings(base_url="http://127.0.0.1:7/v1")
    assert endpoint_of(name, own, environ).base_url == "http://127.0.0.1:7/v1"


def test_an_address_in_a_variable_that_is_none_is_complained_of_by_the_variables_name() -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL"):
        endpoint_of("openai", NOTHING, {"OPENAI_BASE_URL": "localhost:8080"})


@pytest.mark.parametrize(
    ("configured", "added", "removed"),
    [
        ("-prompt_cache_key", set(), {"prompt_cache_key"}),
        ("efforts:low,high", {"efforts:low,high"}, {"efforts:high"}),
        ("max_completion_tokens", {"max_completion_tokens"}, set()),
    ],
    ids=["taken away", "another value", "added"],
)
def test_configured_quirks_add_to_a_vendors_replace_and_remove_them(
    configured: str, added: set[str], removed: set[str]
) -> None:
    usual = endpoint_of("mistral", ProviderSettings(api_key="k"), {}).quirks
    own = ProviderSettings(api_key="k", quirks=frozenset({configured}))
    quirks = endpoint_of("mistral", own, {}).quirks
    assert (quirks - usual, usual - quirks) == (added, removed)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8080/v1", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:80", True),
        ("http://localhost:1234/v1", True),
        ("http://127.example.com", False),
        ("http://192.168.1.7:8000/v1", False),
        ("https://api.openai.com/v1", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_what_is_on_this_machine_is_told_by_its_address(url: str, local: bool) -> None:
    assert is_loopback(url) is local


# --- effort -------------------------------------------------------------------------------------------------


async def efforts_sent(
    tmp_path: Path, provider: str, effort: str, *replies: Reply, quirks: tuple[str, ...] = ()
) -> list[Any]:
    """What each request said of effort; two calls are made where `replies` are given."""
    waiting = iter(replies)

    def reply(_: Recorded) -> Reply:
        return next(waiting, sse(*answer("fine")))

    with LoopbackServer(reply) as server:
        own = ProviderSettings(
            base_url=f"{server.url}/v1", api_key="k", quirks=frozenset(quirks), wire="openai-chat"
        )
        gate = open_provider(provider, {provider: own}, {}, tmp_path)
        for _ in range(2 if replies else 1):
            assert (await played(gate, request(f"{provider}/m", effort=effort))).text == "fine"
        await gate.aclose()
    return [{name: sent.json[name] for name in EFFORTS if name in sent.json} for sent in server.requests]


@pytest.mark.parametrize(
    ("provider", "effort", "sent"),
    [
        ("openai", "high", {"reasoning_effort": "high"}),
        ("openai", "none", {"reasoning_effort": "none"}),
        ("gemini", "max", {"reasoning_effort": "high"}),
        ("gemini", "none", {"reasoning_effort": "none"}),
        ("groq", "minimal", {"reasoning_effort": "low"}),
        ("xai", "xhigh", {"reasoning_effort": "xhigh"}),
        ("deepseek", "medium", {"reasoning_effort": "medium"}),
        ("deepseek", "max", {"reasoning_effort": "max"}),
        ("deepseek", "none", {"thinking": {"type": "disabled"}}),
        ("mistral", "low", {"reasoning_effort": "high"}),
        ("mistral", "none", {"reasoning_effort": "none"}),
        ("openrouter", "medium", {"reasoning": {"effort": "medium"}}),
        ("openrouter", "none", {"reasoning": {"effort": "none"}}),
        ("lmstudio", "high", {}),
        ("lmstudio", "none", {}),
        ("vllm", "xhigh", {"reasoning_effort": "high"}),
        ("llamacpp", "low", {"chat_template_kwargs": {"reasoning_effort": "low"}}),
        ("llamacpp", "none", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("litellm", "high", {"reasoning_effort": "high"}),
        ("gate", "high", {"reasoning_effort": "high"}),
    ],
)
async def test_an_effort_goes_where_the_endpoint_looks_for_it(
    tmp_path: Path, provider: str, effort: str, sent: Any
) -> None:
    assert await efforts_sent(tmp_path, provider, effort) == [sent]


async def test_a_configured_quirk_moves_the_effort(tmp_path: Path) -> None:
    sent = await efforts_sent(tmp_path, "lmstudio", "high", quirks=("effort:reasoning",))
    assert sent == [{"reasoning": {"effort": "high"}}]


async def test_an_effort_that_is_refused_in_xais_words_is_left_out_from_then_on(tmp_path: Path) -> None:
    no = refusal(400, "Model grok-build-0.1 does not support parameter reasoningEffort.")
    sent = await efforts_sent(tmp_path, "xai", "high", no)
    assert sent == [{"reasoning_effort": "high"}, {}, {}]


@pytest.mark.parametrize(
    "wrong", ["prompt_cache_keys", "affinity", "-affinity", "-max_tokens", "short_call_ids:yes"]
)
def test_a_quirk_that_nothing_would_heed_is_refused_with_those_there_are(wrong: str) -> None:
    own = ProviderSettings(base_url="https://gate.example/v1", quirks=frozenset({wrong}))
    with pytest.raises(
        ConfigurationError,
        match=r"\[providers\.gate\] has a quirk that is none.*affinity:, .*effort:",
    ):
        endpoint_of("gate", own, {})
