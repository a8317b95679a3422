"""Commands complete at the line's start, paths behind a typed at sign."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from cli.completion import CommandName, LineCompleter
from cli.paste import pasted


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("src/app.py", "src/deep/widget.py", "README.md", "my notes.txt", ".git/config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def offered(root: Path, text: str) -> list[str]:
    completer = LineCompleter(root, (CommandName("cost", "what it cost"), CommandName("checkpoints", "list")))
    return [found.text for found in completer.get_completions(Document(text), CompleteEvent())]


def test_commands_complete_at_the_start_only(project: Path) -> None:
    assert offered(project, "/co") == ["cost"]
    assert offered(project, "say /co") == []


def test_a_folder_is_completed_entry_by_entry(project: Path) -> None:
    assert offered(project, "look at @src/") == ["src/app.py", "src/deep/"]


def test_a_bare_word_finds_files_anywhere(project: Path) -> None:
    assert offered(project, "@widg") == ["src/deep/widget.py"]


def test_a_name_with_a_space_is_quoted(project: Path) -> None:
    assert offered(project, "@my") == ['"my notes.txt"']
    assert offered(project, '@"my n') == ['"my notes.txt"']


def test_the_private_folders_of_tools_are_not_offered(project: Path) -> None:
    assert offered(project, "@.g") == []


def test_an_address_or_a_pasted_sign_completes_nothing(project: Path) -> None:
    assert offered(project, "me@src") == []
    assert offered(project, pasted("@src")) == []
