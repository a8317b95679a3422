"""`agent sessions` and `agent resume`: finding, showing, importing, removing, going on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.played import Cli, cli_in
from tests.support.script import say, use

pytestmark = pytest.mark.slow

OLD = {
    "messages": [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi", "tool_calls": []},
    ],
    "turn_count": 1,
    "total_input_tokens": 120,
    "total_output_tokens": 30,
}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return cli_in(tmp_path, monkeypatch, capsys)


def test_a_folder_without_sessions_says_how_to_start(cli: Cli) -> None:
    assert "agent sessions list --all" in cli("sessions", "list").out


def test_the_list_has_this_folders_sessions(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cli.play("hello there", say("hi", input_tokens=5))
    assert [each["id"] for each in cli("sessions", "list", "--json").json] == [made["session_id"]]
    monkeypatch.chdir(tmp_path)
    assert cli("sessions", "list", "--json").json == []
    assert len(cli("sessions", "list", "--all", "--json").json) == 1


def test_a_session_is_called_by_its_prompt(cli: Cli) -> None:
    cli.play("why is the sky blue", say("scattering"))
    assert cli("sessions", "list", "--json").json[0]["prompt"] == "why is the sky blue"
    assert "why is the sky blue" in cli("sessions", "list").out


def test_a_session_is_shown_with_its_tools(cli: Cli) -> None:
    (cli.project / "note.txt").write_text("remember the milk\n")
    made = cli.play("read it", use(("read", {"path": "note.txt"}), text="Reading."), say("It is about milk."))
    out = cli("sessions", "show", made["session_id"]).out
    for part in ("read it", "→ read", "remember the milk", "It is about milk."):
        assert part in out
    roles = [
        message["role"] for message in cli("sessions", "show", made["session_id"], "--json").json["messages"]
    ]
    assert roles == ["user", "assistant", "tool", "assistant"]


def test_an_older_file_is_imported_once(cli: Cli, tmp_path: Path) -> None:
    old = tmp_path / "session.json"
    old.write_text(json.dumps(OLD))
    before = old.read_bytes()
    first = cli("sessions", "import", str(old), "--json").json
    second = cli("sessions", "import", str(old), "--json").json
    assert [each["id"] for each in first] == [each["id"] for each in second]
    assert first[0]["usage"]["input_tokens"] == 120
    assert first[0]["usage"]["cache_read_tokens"] == 0
    assert old.read_bytes() == before


def test_what_is_no_session_file_is_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("nothing of the kind")
    ran = cli("sessions", "import", str(tmp_path / "x.txt"))
    assert ran.code == 2
    assert "x.txt" in ran.err


def test_removing_needs_a_yes(cli: Cli) -> None:
    made = cli.play("hello", say("hi"))
    assert cli("sessions", "rm", made["session_id"]).code == 2
    assert cli("sessions", "rm", made["session_id"], "--yes").code == 0
    assert cli("sessions", "list", "--all", "--json").json == []
    assert not (cli.home / "checkpoints" / made["session_id"]).exists()


def test_continue_goes_on_with_this_folders_last_session(cli: Cli) -> None:
    first = cli.play("one", say("1"))
    second = cli.play("two", say("1"), say("2"), words=("-c",))
    assert (second["session_id"], second["turns"], second["result"]) == (first["session_id"], 2, "2")


def test_resume_goes_on_in_the_sessions_own_folder(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cli.project / "note.txt").write_text("milk\n")
    made = cli.play("one", say("1"), use(("read", {"path": "note.txt"})), say("2"))
    monkeypatch.chdir(tmp_path)
    ran = cli("resume", made["session_id"][:15], "two", "-p", "--output-format", "json")
    assert (ran.code, ran.json["session_id"], ran.json["result"]) == (0, made["session_id"], "2")
    assert "milk" in cli("sessions", "show", made["session_id"]).out


def test_a_session_whose_folder_is_gone_says_what_to_do(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cli.play("one", say("1"))
    monkeypatch.chdir(tmp_path)
    cli.project.rmdir()
    ran = cli("resume", made["session_id"], "two", "-p")
    assert ran.code == 2
    assert f"agent resume {made['session_id']} -C DIR" in ran.err


def test_a_fork_is_a_session_of_its_own(cli: Cli) -> None:
    made = cli.play("one", say("1"))
    model = cli.project.parent / "steps.json"
    model.write_text(json.dumps({"steps": [{"text": "1"}, {"text": "2"}]}))
    forked = cli("resume", made["session_id"], "two", "--fork", "-p", "--output-format", "json").json
    assert forked["session_id"] != made["session_id"]
    assert forked["result"] == "2"
    assert len(cli("sessions", "list", "--json").json) == 2


def test_an_older_session_without_a_model_goes_on_with_the_default_one(cli: Cli, tmp_path: Path) -> None:
    old, model = tmp_path / "session.json", tmp_path / "steps.json"
    old.write_text(json.dumps(OLD))
    model.write_text(json.dumps({"steps": [{"text": "unused"}, {"text": "welcome back"}]}))
    (cli.home).mkdir()
    (cli.home / "config.toml").write_text(f'model = "scripted/{model}"')
    ran = cli("resume", str(old), "go on", "-p")
    assert (ran.code, ran.out) == (0, "welcome back\n")
