"""Which provider a name means."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from providers.errors import ConfigurationError, MissingKey, UnknownModel
from providers.provider import Provider
from providers.registry import BUILT_IN, WIRES, open_provider, provider_names
from providers.settings import KEY_VARIABLES, ProviderSettings, key_of, required_key

ROOT = Path(__file__).parents[2]
HERE = ProviderSettings(base_url="http://127.0.0.1:9")


def opened(
    name: str, home: Path, *, environ: dict[str, str] | None = None, **settings: ProviderSettings
) -> Provider:
    return open_provider(name, settings, environ or {}, home)


def test_a_built_in_name_opens_its_provider(tmp_path: Path) -> None:
    provider = opened("anthropic", tmp_path, environ={"ANTHROPIC_API_KEY": "k"})
    assert provider.name == "anthropic"
    assert provider.encoder == "anthropic/1"


@pytest.mark.parametrize("module", sorted({*BUILT_IN.values(), *WIRES.values()}))
def test_every_module_of_the_table_has_a_connector(module: str) -> None:
    assert callable(importlib.import_module(module).connect)


def test_every_provider_with_a_key_variable_is_built_in() -> None:
    assert set(KEY_VARIABLES) <= set(BUILT_IN)


def test_a_configured_endpoint_speaks_chat_completions_unless_told_otherwise(tmp_path: Path) -> None:
    assert opened("gateway", tmp_path, gateway=HERE).encoder.startswith("openai-chat/")
    claude = ProviderSettings(base_url="http://127.0.0.1:9", wire="anthropic")
    provider = opened("gateway", tmp_path, gateway=claude)
    assert (provider.name, provider.encoder) == ("gateway", "anthropic/1")


OPENAI = {"OPENAI_API_KEY": "k"}
ELSEWHERE = {**OPENAI, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}


@pytest.mark.parametrize(
    ("environ", "settings", "begun_on", "encoder"),
    [
        (OPENAI, ProviderSettings(), "", "openai-responses/1"),
        (OPENAI, ProviderSettings(base_url="https://eu.api.openai.com/v1"), "", "openai-responses/1"),
        (OPENAI, ProviderSettings(), "openai-chat/1", "openai-chat/1"),
        (OPENAI, ProviderSettings(), "openai-responses/1", "openai-responses/1"),
        (OPENAI, ProviderSettings(wire="openai-chat"), "openai-responses/1", "openai-chat/1"),
        (ELSEWHERE, ProviderSettings(), "", "openai-chat/1"),
        (ELSEWHERE, ProviderSettings(), "openai-responses/1", "openai-chat/1"),
        (OPENAI, HERE, "", "openai-chat/1"),
        (ELSEWHERE, ProviderSettings(wire="openai-responses"), "", "openai-responses/1"),
    ],
)
def test_openai_speaks_responses_at_home_chat_elsewhere_and_what_it_is_told_to(
    tmp_path: Path, environ: dict[str, str], settings: ProviderSettings, begun_on: str, encoder: str
) -> None:
    provider = open_provider("openai", {"openai": settings}, environ, tmp_path, encoder=begun_on)
    assert (provider.name, provider.encoder) == ("openai", encoder)


def test_an_endpoint_of_ones_own_goes_on_with_a_sessions_wire_but_no_other_wire_is_made_of_claude(
    tmp_path: Path,
) -> None:
    gate = open_provider("gate", {"gate": HERE}, {}, tmp_path, encoder="openai-responses/1")
    assert gate.encoder == "openai-responses/1"
    claude = open_provider("anthropic", {}, {"ANTHROPIC_API_KEY": "k"}, tmp_path, encoder="openai-chat/1")
    assert claude.encoder == "anthropic/1"


def test_an_unknown_wire_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"No wire named 'soap' in \[providers.gateway\].*openai-chat"
    ):
        opened("gateway", tmp_path, gateway=ProviderSettings(base_url="http://x", wire="soap"))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpt", "openai"),
        ("claude", "anthropic"),
        ("antropic", "anthropic"),
        ("grok", "xai"),
        ("zzz", "openai"),
    ],
)
def test_an_unknown_name_is_answered_with_the_one_that_was_meant(
    tmp_path: Path, name: str, meant: str
) -> None:
    with pytest.raises(UnknownModel) as caught:
        opened(name, tmp_path)
    assert str(caught.value) == f"No provider named {name!r}. Try {meant}/<model>, or run: agent models"


def test_a_configured_name_without_an_address_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\[providers.gateway\] has no base_url"):
        opened("gateway", tmp_path, gateway=ProviderSettings(api_key="k"))


def test_a_missing_key_names_the_variable_and_another_way(tmp_path: Path) -> None:
    with pytest.raises(MissingKey) as caught:
        opened("anthropic", tmp_path)
    assert str(caught.value) == (
        "anthropic needs a key and ANTHROPIC_API_KEY has none. Set it, or run: agent -m local/smollm2"
    )


def test_the_configured_key_wins_over_the_environments() -> None:
    environ = {"GROQ_API_KEY": "from the environment"}
    assert key_of("groq", ProviderSettings(api_key="configured"), environ) == "configured"
    assert key_of("groq", ProviderSettings(), environ) == "from the environment"
    assert key_of("gateway", ProviderSettings(), environ) is None
    assert key_of("groq", ProviderSettings(), {"GROQ_API_KEY": "  "}) is None


@pytest.mark.parametrize("key", ["sk-1\nsk-2", "sk-…", "clé"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        required_key("openai", ProviderSettings(api_key=key), {})
    assert key not in str(caught.value)
    assert "openai" in str(caught.value)


def test_settings_do_not_show_their_secrets() -> None:
    settings = ProviderSettings(api_key="hunter2", headers={"Authorization": "hunter3"})
    assert "hunter" not in repr(settings)


def test_every_provider_that_can_be_named_is_listed_once() -> None:
    names = provider_names({"gateway": HERE, "anthropic": HERE, "keyless": ProviderSettings()})
    assert names[: len(BUILT_IN)] == tuple(BUILT_IN)
    assert "gateway" in names
    assert "keyless" not in names
    assert len(set(names)) == len(names)


PLUGIN = """
from providers.provider import ModelInfo

class Echo:
    encoder = "echo/1"
    def __init__(self, name):
        self.name = name

def connect(name, settings, environ, home):
    return Echo(name)
"""


def test_another_package_adds_a_provider_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "echo_provider.py").write_text(PLUGIN)
    _entry_point(tmp_path, "echo = echo_provider:connect\nbroken = nowhere_at_all:connect\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert opened("echo", tmp_path).encoder == "echo/1"
    assert "echo" in provider_names({})
    with pytest.raises(ConfigurationError, match=r"'broken' of the package echo-provider cannot be loaded"):
        opened("broken", tmp_path)


def _entry_point(folder: Path, lines: str) -> None:
    info = folder / "echo_provider-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: echo-provider\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[cachet.providers]\n{lines}")


def test_opening_a_provider_imports_neither_its_sdk_nor_another_provider(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from providers.registry import open_provider;"
        f"open_provider('anthropic', {{}}, {{'ANTHROPIC_API_KEY': 'k'}}, Path({str(tmp_path)!r}));"
        "heavy = {'anthropic', 'openai', 'httpx2', 'httpx', 'ollama', 'genai_prices', 'pydantic',"
        "'providers.openai_chat', 'providers.local', 'importlib.metadata'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
