"""`agent checkpoints`, `agent diff`, `agent rewind`: back in time without a chat, and without a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.played import Cli, cli_in
from tests.support.script import say, use

pytestmark = pytest.mark.slow

USAGE = {"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 80, "cache_write_tokens": 10}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return cli_in(tmp_path, monkeypatch, capsys)


@pytest.fixture
def session(cli: Cli) -> str:
    """Two turns: the first writes a file, the second deletes it with the shell and makes another."""
    first = (use(("write", {"path": "a.txt", "content": "one\n"}), **USAGE), say("written", **USAGE))
    made = cli.play("write a", *first)
    second = (use(("bash", {"command": "rm a.txt; echo two > b.txt"}), **USAGE), say("done", **USAGE))
    cli.play("replace it", *first, *second, words=("-c",))
    assert not (cli.project / "a.txt").exists()
    return str(made["session_id"])


def test_the_checkpoints_are_listed_with_what_was_billed_to_date(cli: Cli, session: str) -> None:
    listed = cli("checkpoints", session, "--json").json
    assert [each["number"] for each in listed] == [0, 1, 2]
    assert [each["token_snapshot"]["cache_read"] for each in listed] == [0, 160, 320]
    assert all(Path(each["path"]).is_file() for each in listed)
    assert "replace it" in cli("checkpoints").out


def test_a_diff_shows_what_changed_between_two_checkpoints(cli: Cli, session: str) -> None:
    out = cli("diff", session, "1", "2").out
    assert "-one" in out
    assert "+two" in out


def test_a_diff_with_the_present_shows_the_persons_edits_too(cli: Cli, session: str) -> None:
    assert cli("diff", session, "2").out == ""
    (cli.project / "b.txt").write_text("mine\n")
    assert "+mine" in cli("diff", session, "2").out


def test_a_dry_run_changes_nothing(cli: Cli, session: str) -> None:
    out = cli("rewind", session, "1", "--dry-run").out
    assert "2 files would change" in out
    assert not (cli.project / "a.txt").exists()
    assert cli("sessions", "list", "--json").json[0]["turns"] == 2


def test_a_rewind_brings_files_and_conversation_back_and_refunds_nothing(cli: Cli, session: str) -> None:
    assert cli("rewind", session, "1").code == 0
    assert (cli.project / "a.txt").read_text() == "one\n"
    assert not (cli.project / "b.txt").exists()
    shown = cli("sessions", "show", session, "--json").json
    assert shown["messages"][-1]["text"] == "written"
    assert shown["usage"]["output_tokens"] == 20


def test_without_a_number_the_last_turn_is_taken_back(cli: Cli, session: str) -> None:
    assert "is at checkpoint 1" in cli("rewind", session).out
    assert (cli.project / "a.txt").exists()


def test_only_the_files_can_go_back(cli: Cli, session: str) -> None:
    cli("rewind", session, "1", "--files")
    assert (cli.project / "a.txt").exists()
    assert cli("sessions", "show", session, "--json").json["messages"][-1]["text"] == "done"


def test_only_the_conversation_can_go_back(cli: Cli, session: str) -> None:
    cli("rewind", session, "1", "--conversation")
    assert not (cli.project / "a.txt").exists()
    assert cli("sessions", "show", session, "--json").json["messages"][-1]["text"] == "written"


def test_without_a_terminal_the_persons_own_edits_stay(cli: Cli, session: str) -> None:
    (cli.project / "b.txt").write_text("mine\n")
    ran = cli("rewind", session, "1")
    assert "b.txt" in ran.err
    assert (cli.project / "b.txt").read_text() == "mine\n"
    assert (cli.project / "a.txt").read_text() == "one\n"


@pytest.mark.parametrize("words", [("rewind", "9"), ("diff", "9"), ("diff", "1", "9")])
def test_a_checkpoint_that_is_not_there_is_told(cli: Cli, session: str, words: tuple[str, ...]) -> None:
    command, *numbers = words
    ran = cli(command, session, *numbers)
    assert ran.code == 1
    assert "no checkpoint 9" in ran.err
