"""`agent models`: what each provider within reach offers, and what is in the way of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from providers.pricing import default_model, quote
from providers.types import ModelRef
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply
from tests.support.played import Cli, cli_in

HEADINGS = ["model", "context", "input", "output", "read", "write"]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return cli_in(tmp_path, monkeypatch, capsys)


def listing(*names: str) -> Reply:
    return json_reply({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


def offered(cli: Cli) -> dict[str, list[str]]:
    rows = cli("models", "--json").json
    return {row["provider"]: [model["model"] for model in row["models"]] for row in rows}


def configure(cli: Cli, name: str, url: str, more: str = "") -> None:
    cli.home.mkdir(exist_ok=True)
    text = f'[providers.{name}]\nbase_url = "{url}"\napi_key = "key-of-a-test"\n{more}'
    (cli.home / "config.toml").write_text(text)
    (cli.home / "config.toml").chmod(0o600)


def test_the_embedded_model_is_listed_in_any_case(cli: Cli) -> None:
    assert offered(cli)["local"] == ["local/smollm2"]
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


def priced(cli: Cli) -> dict[str, Any]:
    return {
        model["model"]: model["prices"] for row in cli("models", "--json").json for model in row["models"]
    }


def line(out: str, name: str) -> str:
    """The table's row of a model."""
    return next(line for line in out.splitlines() if line.startswith(name))


def test_prices_come_from_the_table_or_the_configuration_and_are_unknown_or_free_elsewhere(cli: Cli) -> None:
    own = '[prices."openai/whisper-1"]\ninput = 6\noutput = 0.5\n'
    with LoopbackServer(lambda request: listing("gpt-4o", "whisper-1", "no-such-model")) as server:
        configure(cli, "openai", server.url, own)
        prices, out = priced(cli), cli("models").out
    known = quote(ModelRef("openai", "gpt-4o"))
    assert known is not None
    assert prices["openai/gpt-4o"]["input"] == known.rates.input
    assert prices["openai/gpt-4o"]["cache_read"] == known.rates.cache_read
    assert prices["openai/whisper-1"]["source"] == "override:openai/whisper-1"
    assert prices["openai/no-such-model"] is None
    assert prices["local/smollm2"]["source"] == "free"
    assert line(out, "openai/whisper-1").split()[2:] == ["6", "0.5", "–", "–", "your", "price"]
    assert line(out, "openai/no-such-model").split()[1:] == ["unknown", "unknown"]
    assert line(out, "local/smollm2").split()[2] == "free"


def test_the_default_is_marked_and_stands_first(cli: Cli) -> None:
    default = default_model("openai")
    assert default is not None
    with LoopbackServer(lambda request: listing("gpt-4o", default)) as server:
        configure(cli, "openai", server.url)
        assert offered(cli)["openai"] == [f"openai/{default}", "openai/gpt-4o"]
        out = cli("models").out
    assert line(out, f"openai/{default}").startswith(f"openai/{default} *")
    assert " *" not in line(out, "openai/gpt-4o")


def test_a_window_that_the_endpoint_does_not_tell_comes_from_the_price_table(cli: Cli) -> None:
    with LoopbackServer(lambda request: listing("gpt-4o")) as server:
        configure(cli, "openai", server.url)
        assert line(cli("models").out, "openai/gpt-4o").split()[1] == "128k"


@pytest.mark.parametrize(("columns", "headings"), [(60, ["model", "context"]), (120, HEADINGS)])
def test_the_table_fits_and_prices_give_way(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: int, headings: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    long = "vendor/some-model-with-a-long-name-70b-instruct-2026-11-22:free"
    with LoopbackServer(lambda request: listing("gpt-4o", long)) as server:
        configure(cli, "openai", server.url)
        lines = cli("models").out.splitlines()
    assert lines[0].split() == headings
    assert max(len(line.rstrip()) for line in lines) <= columns


def test_a_local_server_that_was_pointed_at_is_asked(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(lambda request: listing("served")) as server:
        monkeypatch.setenv("LITELLM_PROXY_API_BASE", server.url)
        assert offered(cli)["litellm"] == ["litellm/served"]


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
    assert "100/100 bytes" in ran.out


def test_a_model_that_ollama_cannot_fetch_is_an_error_with_its_cause(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        b'{"status":"pulling manifest"}\n',
        b'{"error":"pull model manifest: file does not exist"}\n',
    )
    with LoopbackServer(
        lambda request: Reply(200, {"content-type": "application/x-ndjson"}, lines)
    ) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        ran = cli("models", "pull", "ollama/no-such-model")
    assert ran.code == 4
    assert "Ollama cannot fetch no-such-model (pull model manifest: file does not exist)" in ran.err
    assert "is here" not in ran.out
