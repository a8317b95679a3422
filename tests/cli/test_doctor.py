"""`agent doctor`: what it finds, and what it never does: send a prompt, show a key."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from cli import doctor_home, doctor_machine, doctor_reach
from cli.config import Config
from cli.doctor_check import Check, Finding, Level, blocking, examine, ok
from cli.place import Place
from providers.settings import ProviderSettings
from sessions.journal import Journal
from sessions.records import SessionLine
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply
from tests.support.ollama_server import OllamaServer
from tests.support.played import Cli, cli_in

KEY = "key-of-a-test-0123456789wxyz"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    made = cli_in(tmp_path, monkeypatch, capsys)
    monkeypatch.delenv("OLLAMA_HOST")
    return made


def configure(cli: Cli, url: str, *, model: str = "mine/big", more: str = "") -> Path:
    """A home that is in order, with one endpoint of one's own."""
    cli.home.mkdir(mode=0o700, exist_ok=True)
    file = cli.home / "config.toml"
    file.write_text(f'model = "{model}"\n{more}\n[providers.mine]\nbase_url = "{url}"\napi_key = "{KEY}"\n')
    file.chmod(0o600)
    return file


def listing(request: Recorded) -> Reply:
    return json_reply({"object": "list", "data": [{"id": "big"}, {"id": "small"}]})


def place(folder: Path, **environ: str) -> Place:
    return Place(folder / "home", folder, environ)


def levels(found: Iterable[Finding], thing: str) -> list[str]:
    return [each.level.value for each in found if each.thing == thing]


def told(found: list[dict[str, str]], thing: str) -> list[dict[str, str]]:
    return [each for each in found if each["thing"] == thing]


# --- the command --------------------------------------------------------------------------------------------


def test_where_everything_is_in_order_it_says_so_and_exits_with_0(cli: Cli) -> None:
    with LoopbackServer(listing) as server:
        configure(cli, server.url)
        ran = cli("doctor")
    assert ran.code == 0, ran.out
    assert ran.out.splitlines()[-1] == "Nothing is in the way."


def test_it_asks_for_lists_only_and_sends_no_prompt(cli: Cli) -> None:
    with LoopbackServer(listing) as server:
        configure(cli, server.url)
        cli("doctor")
        assert {(request.method, request.path) for request in server.requests} == {("GET", "/models")}


def test_a_problem_has_its_next_step_and_the_exit_code_1(cli: Cli) -> None:
    with LoopbackServer(listing) as server:
        file = configure(cli, server.url)
        file.chmod(0o644)
        cli.home.chmod(0o755)
        ran = cli("doctor", "--json")
    assert ran.code == 1
    (folder, files) = told(ran.json, "state")
    assert (folder["level"], folder["next"]) == ("problem", f"Run: chmod 700 {cli.home}")
    assert f"others may read 1 file in {cli.home}" in files["said"]


def test_an_endpoint_that_answers_tells_its_models_and_which_key_is_used(cli: Cli) -> None:
    with LoopbackServer(listing) as server:
        configure(cli, server.url)
        (mine,) = told(cli("doctor", "--json").json, "mine")
    assert mine["said"] == "2 models, key ••••wxyz from [providers.mine]"


def test_a_refused_key_is_named_by_its_source_and_never_shown(cli: Cli) -> None:
    def refuse(request: Recorded) -> Reply:
        said = f"Incorrect key: {request.headers['authorization']}, {request.headers['x-gateway']}"
        return json_reply({"error": {"message": said}}, 401)

    with LoopbackServer(refuse) as server:
        file = configure(cli, server.url)
        file.write_text(file.read_text() + 'headers = { X-Gateway = "secret-of-a-gateway" }\n')
        ran = cli("doctor", "--json")
    (mine,) = told(ran.json, "mine")
    assert mine["level"] == "problem"
    assert "refused the key" in mine["said"]
    assert "[providers.mine]" in mine["said"]
    assert KEY not in ran.out
    assert "secret-of-a-gateway" not in ran.out


def test_a_password_in_an_endpoints_address_is_a_problem_and_not_shown(cli: Cli) -> None:
    configure(cli, "http://me:secret-of-a-url@127.0.0.1:1")
    ran = cli("doctor", "--json")
    (mine,) = told(ran.json, "mine")
    assert mine["level"] == "problem"
    assert "secret-of-a-url" not in ran.out


def test_a_long_finding_is_told_to_its_end(cli: Cli) -> None:
    configure(cli, "http://me:pass@127.0.0.1:1/v1")
    [found] = told(cli("doctor", "--json").json, "mine")
    assert found["said"].endswith("from [providers.mine])")


def test_a_password_in_a_proxys_address_is_not_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret-of-a-proxy@127.0.0.1:9")
    ran = cli("doctor")
    assert "HTTPS_PROXY=http://••••@127.0.0.1:9" in ran.out
    assert "secret-of-a-proxy" not in ran.out


def test_an_endpoint_that_is_gone_is_a_problem_beside_which_the_others_are_told(cli: Cli) -> None:
    configure(cli, "http://127.0.0.1:1")
    ran = cli("doctor", "--json")
    (mine,) = told(ran.json, "mine")
    assert (ran.code, mine["level"]) == (1, "problem")
    assert "Cannot reach mine" in mine["said"]
    assert told(ran.json, "git")[0]["level"] == "ok"


def test_a_broken_configuration_is_a_problem_beside_which_the_rest_is_told(cli: Cli) -> None:
    configure(cli, "http://127.0.0.1:1").write_text("model = ")
    ran = cli("doctor", "--json")
    (config,) = told(ran.json, "config")
    assert (ran.code, config["level"]) == (1, "problem")
    assert "it is not TOML" in config["said"]
    assert told(ran.json, "shell")[0]["level"] == "ok"


def test_a_projects_configuration_that_waits_for_trust_is_a_note(cli: Cli) -> None:
    (cli.project / ".cachet").mkdir()
    (cli.project / ".cachet" / "config.toml").write_text('model = "theirs/big"')
    with LoopbackServer(listing) as server:
        configure(cli, server.url)
        ran = cli("doctor", "--json")
    assert ran.code == 0
    assert [each["level"] for each in told(ran.json, "config")] == ["note", "ok"]


def test_a_variable_that_should_hold_a_key_and_is_not_set_is_a_problem(cli: Cli) -> None:
    with LoopbackServer(listing) as server:
        file = configure(cli, server.url)
        file.write_text(file.read_text().replace(f'api_key = "{KEY}"', 'api_key_env = "NO_SUCH_KEY"'))
        (config, _) = told(cli("doctor", "--json").json, "config")
    assert (config["level"], config["next"]) == ("problem", "Set it: export NO_SUCH_KEY=…")


@pytest.mark.parametrize("columns", [60, 120])
def test_no_line_is_wider_than_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.of.a.company.example:3128")
    configure(cli, "http://127.0.0.1:1")
    out = cli("doctor").out
    assert max(map(len, out.splitlines())) <= columns
    assert all(line == line.rstrip() for line in out.splitlines())


# --- how checks run -----------------------------------------------------------------------------------------


async def test_a_check_that_takes_too_long_is_a_problem_and_the_others_are_told() -> None:
    never = threading.Event()

    async def slow() -> Iterable[Finding]:
        await asyncio.Event().wait()
        return ()

    def hangs() -> Iterable[Finding]:
        never.wait()
        return ()

    async def quick() -> Iterable[Finding]:
        return (ok("quick", "is here"),)

    found = await examine(
        [Check("slow", slow, 0.01), Check("stuck", blocking(hangs), 0.01), Check("q", quick)]
    )
    never.set()
    assert [(each.thing, each.level) for each in found] == [
        ("slow", Level.PROBLEM),
        ("stuck", Level.PROBLEM),
        ("quick", Level.OK),
    ]


async def test_a_check_that_fails_is_a_problem_with_its_cause() -> None:
    def fails() -> Iterable[Finding]:
        raise PermissionError(13, "Permission denied", "/the/file")

    (found,) = await examine([Check("it", blocking(fails))])
    assert (found.level, found.said) == (Level.PROBLEM, "/the/file: Permission denied")


# --- single checks ------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_yet_is_fine(tmp_path: Path) -> None:
    assert levels(doctor_home.state_folder(tmp_path / "home"), "state") == ["ok"]


def test_a_file_in_place_of_the_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert levels(doctor_home.state_folder(tmp_path / "home"), "state") == ["problem"]


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert levels(doctor_home.state_folder(tmp_path), "state") == ["ok"]
    assert list(tmp_path.iterdir()) == []


def test_an_open_file_in_a_closed_folder_is_only_a_note(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "trusted.json").write_text("{}")
    (tmp_path / "trusted.json").chmod(0o644)
    assert levels(doctor_home.state_folder(tmp_path), "state") == ["note"]


def test_a_session_that_a_process_has_open_is_named_and_one_that_a_crash_left_is_not(tmp_path: Path) -> None:
    for name in ("open", "left"):
        path = tmp_path / "sessions" / "shop-1" / f"{name}.jsonl"
        line = SessionLine(id=name, parent=None, at="", session=name, cwd="/", created="")
        journal = Journal.create(path, line)
        if name == "left":
            label = path.with_name("left.jsonl.lock").read_bytes()
            journal.close()
            path.with_name("left.jsonl.lock").write_bytes(label)
        else:
            kept = journal
    (found,) = doctor_home.writers(tmp_path)
    kept.close()
    assert found.level is Level.NOTE
    assert "open is open in process" in found.said
    assert levels(doctor_home.writers(tmp_path), "session") == ["ok"]


def test_without_git_files_are_not_kept_which_is_a_problem(tmp_path: Path) -> None:
    (found,) = doctor_machine.git(place(tmp_path, PATH=str(tmp_path)))
    assert (found.level, found.todo) == (Level.PROBLEM, "Install git.")


def test_a_git_that_does_not_run_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "git").chmod(0o700)
    (found,) = doctor_machine.git(place(tmp_path, PATH=str(tmp_path)))
    assert found.level is Level.PROBLEM
    assert "does not run" in found.said


def test_a_proxy_that_catches_this_machines_own_servers_is_a_note() -> None:
    proxy = {"http_proxy": "http://proxy:3128"}
    (caught,) = doctor_machine.proxies(proxy)
    (spared,) = doctor_machine.proxies({**proxy, "NO_PROXY": "localhost, 127.0.0.1"})
    assert (caught.level, caught.todo) == (Level.NOTE, "Add to NO_PROXY: localhost,127.0.0.1")
    assert spared.level is Level.OK
    assert doctor_machine.proxies({}) == ()


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("me:hush@proxy:3128", "••••@proxy:3128"),
        ("http://me:h#u/s@h@proxy:3128", "http://••••@proxy:3128"),
        ("socks5://proxy:3128", "socks5://proxy:3128"),
    ],
)
def test_no_password_of_a_proxy_is_shown_however_it_is_written(proxy: str, shown: str) -> None:
    (found,) = doctor_machine.proxies({"HTTPS_PROXY": proxy})
    assert found.said.startswith(f"HTTPS_PROXY={shown}. ")


def test_a_key_at_the_end_of_an_address_is_not_shown(cli: Cli) -> None:
    configure(cli, "http://127.0.0.1:1/v1?api-version=2&api-key=secret-of-an-address")
    ran = cli("doctor")
    assert "api-key=••••" in ran.out
    assert "secret-of-an-address" not in ran.out


class SmallOllama(OllamaServer):
    """An Ollama whose loaded model runs with a context of 4,096 tokens."""

    def _reply(self, request: Recorded) -> Reply:
        if request.path == "/api/ps":
            return json_reply({"models": [{"model": "qwen3:8b", "context_length": 4096}]})
        return super()._reply(request)


async def test_a_loaded_model_with_a_small_context_is_told_with_what_to_set(tmp_path: Path) -> None:
    with SmallOllama() as server:
        here = place(tmp_path, OLLAMA_HOST=server.url)
        found = tuple(await doctor_reach.ollama_server(here, Config(), 10.0))
    assert [each.level for each in found] == [Level.OK, Level.NOTE]
    assert "ollama/qwen3:8b runs with a context of 4,096 tokens" in found[1].said
    assert "OLLAMA_CONTEXT_LENGTH=" in found[1].todo


async def test_an_ollama_that_was_named_and_does_not_run_is_a_problem(tmp_path: Path) -> None:
    here = place(tmp_path, OLLAMA_HOST="127.0.0.1:1")
    assert levels(await doctor_reach.ollama_server(here, Config(), 10.0), "ollama") == ["problem"]


async def test_a_local_server_that_was_pointed_at_is_asked(tmp_path: Path) -> None:
    with LoopbackServer(listing) as server:
        here = place(tmp_path, OLLAMA_HOST="127.0.0.1:1", LITELLM_PROXY_API_BASE=server.url)
        found = await doctor_reach.endpoints(here, Config(), 10.0)
    assert levels(found, "litellm") == ["ok"]


async def test_an_endpoint_without_a_list_of_models_is_a_note(tmp_path: Path) -> None:
    with LoopbackServer(lambda request: json_reply({"error": "?"}, 404)) as server:
        config = Config(providers={"mine": ProviderSettings(base_url=server.url)})
        found = await doctor_reach.endpoints(place(tmp_path), config, 10.0)
    assert levels(found, "mine") == ["note"]


def test_damaged_weights_are_a_problem(tmp_path: Path) -> None:
    weights = tmp_path / "SmolLM2.gguf"
    weights.write_bytes(b"<html>")
    assert levels(doctor_reach.weights_found(weights), "embedded") == ["problem"]
    weights.write_bytes(b"GGUF" + bytes(100))
    assert levels(doctor_reach.weights_found(weights), "embedded") == ["ok"]
