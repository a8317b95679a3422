"""`agent models`: what each provider within reach offers, and what is in the way of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply
from tests.support.played import Cli, cli_in


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return cli_in(tmp_path, monkeypatch, capsys)


def listing(*names: str) -> Reply:
    return json_reply({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


def offered(cli: Cli) -> dict[str, list[str]]:
    rows = cli("models", "--json").json
    return {row["provider"]: [model["model"] for model in row["models"]] for row in rows}


def configure(cli: Cli, name: str, url: str) -> None:
    cli.home.mkdir(exist_ok=True)
    text = f'[providers.{name}]\nbase_url = "{url}"\napi_key = "key-of-a-test"\n'
    (cli.home / "config.toml").write_text(text)
    (cli.home / "config.toml").chmod(0o600)


def test_the_embedded_model_is_listed_in_any_case(cli: Cli) -> None:
    assert offered(cli) == {"local": ["local/smollm2"]}
    assert "local/smollm2" in cli("models").out


def test_an_endpoint_of_ones_own_is_asked_what_it_has(cli: Cli) -> None:
    with LoopbackServer(lambda request: listing("big", "small")) as server:
        configure(cli, "mine", server.url)
        assert offered(cli)["mine"] == ["mine/big", "mine/small"]


def test_a_running_ollama_is_asked_what_it_has(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(lambda request: json_reply({"models": [{"model": "qwen3:8b"}]})) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert offered(cli)["ollama"] == ["ollama/qwen3:8b"]


def test_a_provider_that_refuses_is_named_and_the_others_are_listed(cli: Cli) -> None:
    def refuse(request: Recorded) -> Reply:
        return json_reply({"error": {"message": "bad key"}}, 401)

    with LoopbackServer(refuse) as server:
        configure(cli, "mine", server.url)
        ran = cli("models")
    assert ran.code == 0
    assert "mine: " in ran.out
    assert "local/smollm2" in ran.out


def test_of_a_long_list_the_table_shows_a_part_and_says_so(cli: Cli) -> None:
    names = [f"model-{number}" for number in range(40)]
    with LoopbackServer(lambda request: listing(*names)) as server:
        configure(cli, "mine", server.url)
        out = cli("models").out
        assert len(offered(cli)["mine"]) == 40
    assert "mine has 15 models more" in out


@pytest.mark.parametrize("name", ["openai/gpt", "local/other", "smollm2", "ollama/"])
def test_what_cannot_be_fetched_says_what_can(cli: Cli, name: str) -> None:
    ran = cli("models", "pull", name)
    assert ran.code == 2
    assert f"'{name}' can't be fetched. There is local/smollm2, and ollama/MODEL." in ran.err


def test_a_model_is_pulled_through_ollama(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        b'{"status":"pulling","digest":"sha256:a","total":100,"completed":50}\n',
        b'{"status":"pulling","digest":"sha256:a","total":100,"completed":100}\n',
        b'{"status":"success"}\n',
    )

    def fetch(request: Recorded) -> Reply:
        return Reply(200, {"content-type": "application/x-ndjson"}, lines)

    with LoopbackServer(fetch) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        ran = cli("models", "pull", "ollama/tiny")
    assert (ran.code, server.requests[0].path) == (0, "/api/pull")
    assert "ollama/tiny is here" in ran.out
