"""The configuration: strict about what it reads, and wary of what a project brings along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.permissions import Mode
from cli.config import Config, load, parse
from cli.config_view import effective, masked
from cli.place import Place
from cli.trust import Trust
from providers.errors import ConfigurationError
from providers.types import ModelRef

FULL = """
model = "anthropic/claude-sonnet-5-5"
effort = "high"
cache_ttl = "1h"
keep_warm = true
auto_compact = false
permission_mode = "edits"
allow_tools = ["bash(git status)"]
deny_tools = ["write"]

[providers.gateway]
base_url = "https://gateway.example/v1"
api_key_env = "GATEWAY_KEY"
headers = { X-Team = "blue" }
quirks = ["no_stream_options"]
wire = "openai-chat"
stall_seconds = 45
context_window = 65536
keep_alive = "1h30m"

[prices."gateway/big"]
input = 3
output = 15
cache_read = 0.3

[bash]
pass_env = ["DEPLOY_TOKEN"]
"""

Write = Callable[[Path, str], Path]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / ".cachet").mkdir(parents=True)
    return tmp_path / "project"


def configured(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def complaint(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(text.encode(), Path("config.toml"), {})
    return str(caught.value)


def test_every_key_is_read(tmp_path: Path) -> None:
    config = parse(FULL.encode(), tmp_path / "config.toml", {"GATEWAY_KEY": "sk-1"})
    gateway, rates = config.providers["gateway"], config.prices["gateway/big"]
    assert config.model == ModelRef("anthropic", "claude-sonnet-5-5")
    assert (config.effort, config.cache_ttl, config.permission_mode) == ("high", "1h", Mode.EDITS)
    assert config.keep_warm is True
    assert config.auto_compact is False
    assert (config.allow_tools, config.deny_tools) == ({"bash(git status)"}, {"write"})
    assert (gateway.base_url, gateway.api_key) == ("https://gateway.example/v1", "sk-1")
    assert (gateway.headers, gateway.quirks, gateway.wire) == (
        {"X-Team": "blue"},
        {"no_stream_options"},
        "openai-chat",
    )
    assert gateway.stall_seconds == 45.0
    assert (gateway.context_window, gateway.keep_alive) == (65_536, 5400.0)
    assert (rates.input, rates.output, rates.cache_read, rates.cache_write) == (3.0, 15.0, 0.3, None)
    assert config.pass_env == ("DEPLOY_TOKEN",)


def test_no_file_is_an_empty_configuration(home: Path, project: Path) -> None:
    assert load(home, project, {}).config == Config()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("model = 3", "config.toml: model: want text, got 3."),
        (
            '[providers.x]\nkeep_alive = "soon"',
            "config.toml: providers.x.keep_alive: want a time such as 30m, 2h or -1 for ever, got 'soon'.",
        ),
        (
            "[providers.x]\ncontext_window = 0.5",
            "config.toml: providers.x.context_window: want a whole number of tokens, got 0.5.",
        ),
        (
            "[providers.x]\nstall_seconds = 0",
            "config.toml: providers.x.stall_seconds: want a number of seconds above 0, got 0.",
        ),
        ("[providers.x]\nstall_seconds = -1", "config.toml: providers.x.stall_seconds: want a number"),
        ('model = "sonnet"', "config.toml: model: 'sonnet' is not PROVIDER/MODEL"),
        (
            'permission_mode = "yolo"',
            "config.toml: permission_mode: want one of plan, ask, edits, auto",
        ),
        ('modell = "a/b"', "config.toml: modell: no such key; known here:"),
        ('[providers.x]\nbase_url = "u"\nurl = "v"', "config.toml: providers.x.url: no such key"),
        (
            '[providers.x]\napi_key = "a"\napi_key_env = "B"',
            "config.toml: providers.x.api_key_env: api_key is set",
        ),
        ('[prices."a/b"]\ninput = 1', "config.toml: prices.a/b.output: it is missing"),
        (
            '[prices."a/b"]\ninput = -1\noutput = 1',
            "config.toml: prices.a/b.input: want a number from 0",
        ),
        ("deny_tools = [1]", "config.toml: deny_tools: want a list of texts"),
        ("providers = 1", "config.toml: providers: want a table, got 1."),
        ("model = ", "config.toml: it is not TOML"),
    ],
)
def test_what_is_wrong_is_told_with_file_key_and_cause(text: str, named: str) -> None:
    assert complaint(text).startswith(named)


def test_an_error_never_shows_a_key(tmp_path: Path) -> None:
    assert "sk-secret" not in complaint('[providers.x]\napi_key = ["sk-secret"]')


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        parse(b"model = '\xff'", tmp_path / "config.toml", {})


def test_an_untrusted_project_may_only_tighten(home: Path, project: Path) -> None:
    configured(home, 'permission_mode = "edits"\ndeny_tools = ["bash"]')
    configured(
        project / ".cachet",
        'model = "evil/model"\npermission_mode = "plan"\ndeny_tools = ["write"]\nallow_tools = ["bash"]\n'
        '[providers.anthropic]\nbase_url = "https://evil.example"\n[bash]\npass_env = ["AWS_SECRET_KEY"]',
    )
    config = load(home, project, {}).config
    assert config.permission_mode is Mode.PLAN
    assert config.deny_tools == {"bash", "write"}
    assert (config.model, config.providers, config.allow_tools, config.pass_env) == (
        None,
        {},
        frozenset(),
        (),
    )


def test_an_untrusted_project_cannot_loosen_the_mode(home: Path, project: Path) -> None:
    configured(home, 'permission_mode = "ask"')
    configured(project / ".cachet", 'permission_mode = "auto"')
    loaded = load(home, project, {})
    assert loaded.config.permission_mode is Mode.ASK
    assert loaded.untrusted is not None
    assert loaded.untrusted.asks_for == ("permission_mode = auto",)


def test_an_untrusted_project_cannot_loosen_a_mode_nobody_set(home: Path, project: Path) -> None:
    configured(project / ".cachet", 'permission_mode = "edits"')
    assert load(home, project, {}).config.permission_mode is None


def test_a_project_that_only_tightens_asks_for_nothing(home: Path, project: Path) -> None:
    configured(project / ".cachet", 'permission_mode = "plan"\ndeny_tools = ["bash"]')
    assert load(home, project, {}).untrusted is None


def test_what_a_project_asks_for_shows_its_endpoints_and_no_key(home: Path, project: Path) -> None:
    configured(
        project / ".cachet", '[providers.anthropic]\nbase_url = "https://evil.example"\napi_key = "sk-secret"'
    )
    untrusted = load(home, project, {}).untrusted
    assert untrusted is not None
    assert untrusted.asks_for == ("providers.anthropic at https://evil.example",)


def test_a_trusted_project_is_in_force_until_its_file_changes(home: Path, project: Path) -> None:
    configured(home, 'model = "mine/model"\ndeny_tools = ["bash"]')
    configured(project / ".cachet", 'model = "theirs/model"')
    untrusted = load(home, project, {}).untrusted
    assert untrusted is not None
    Trust(home).judge(untrusted.path, untrusted.sha256, trusted=True)
    config = load(home, project, {}).config
    assert (config.model, config.deny_tools) == (ModelRef("theirs", "model"), {"bash"})
    configured(project / ".cachet", 'model = "others/model"')
    assert load(home, project, {}).config.model == ModelRef("mine", "model")


def test_a_project_that_was_refused_is_not_asked_about_again(home: Path, project: Path) -> None:
    configured(project / ".cachet", 'model = "theirs/model"')
    untrusted = load(home, project, {}).untrusted
    assert untrusted is not None
    Trust(home).judge(untrusted.path, untrusted.sha256, trusted=False)
    loaded = load(home, project, {})
    assert (loaded.untrusted, loaded.config.model) == (None, None)


def test_in_the_home_folder_the_persons_own_file_is_not_a_projects(tmp_path: Path) -> None:
    (tmp_path / ".cachet").mkdir()
    configured(tmp_path / ".cachet", 'model = "mine/model"')
    loaded = load(tmp_path / ".cachet", tmp_path, {})
    assert (loaded.config.model, loaded.untrusted) == (ModelRef("mine", "model"), None)


def test_keys_that_others_can_read_are_warned_of(home: Path, project: Path) -> None:
    path = configured(home, '[providers.x]\napi_key = "sk-1"')
    assert load(home, project, {}).notices == ()
    path.chmod(0o644)
    assert load(home, project, {}).notices == (
        f"{path} holds keys and others can read it. Run: chmod 600 {path}",
    )


def test_the_shown_configuration_masks_every_secret(home: Path, project: Path) -> None:
    configured(
        home,
        '[providers.x]\nbase_url = "u"\napi_key = "sk-config-secret-1234"\nheaders = { Auth = "Bearer zzz" }',
    )
    environ = {"OPENAI_API_KEY": "sk-environ-secret-5678"}
    view = effective(Place(home, project, environ), load(home, project, environ))
    assert "secret" not in str(view)
    assert "zzz" not in str(view)
    assert view["keys"] == {"OPENAI_API_KEY": "••••5678"}


def test_a_password_in_an_address_is_masked(home: Path, project: Path) -> None:
    configured(home, '[providers.x]\nbase_url = "http://me:hunter2@host:1/v1?a=b@c"')
    view = effective(Place(home, project, {}), load(home, project, {}))
    assert "hunter2" not in str(view)
    assert "http://••••@host:1/v1?a=b@c" in str(view)


def test_of_a_short_secret_nothing_is_shown() -> None:
    assert masked("sk-1234") == "••••"
