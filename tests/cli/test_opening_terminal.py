"""How a chat begins in a real terminal: the question of trust, and the list of sessions to go on with."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.program import AGENT
from tests.support.terminal import Terminal

pytestmark = pytest.mark.terminal


@dataclass(frozen=True)
class Place:
    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def model(self) -> str:
        return f"scripted/{self.folder / 'script.json'}"

    def agent(self, *words: str) -> Terminal:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"}
        return Terminal(
            AGENT,
            words,
            environ={**environ, "CACHET_HOME": str(self.home)},
            cwd=self.project,
            cold=True,  # what is loaded when is part of how it begins
        )

    def verdicts(self) -> list[bool]:
        judged = json.loads((self.home / "trusted.json").read_text())
        return [each["trusted"] for each in judged.values()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.project.mkdir()
    steps = [{"text": f"answer {number}"} for number in range(1, 4)]
    (tmp_path / "script.json").write_text(json.dumps({"steps": steps}))
    return made


def configure(place: Place, text: str) -> None:
    (place.project / ".cachet").mkdir()
    (place.project / ".cachet" / "config.toml").write_text(text)


def test_a_projects_configuration_is_in_force_after_a_yes_and_not_asked_about_again(place: Place) -> None:
    configure(place, f'model = "{place.model}"\n')
    with place.agent() as terminal:
        terminal.wait_for("It asks for:", "model = scripted/", "Trust this content", "trust it")
        terminal.type("y")
        terminal.wait_gone("trust it")
        terminal.enter("hello there")
        terminal.wait_for("answer 1", "checkpoint 1")
    assert place.verdicts() == [True]
    with place.agent() as terminal:
        terminal.wait_for("script.json ·")
        terminal.enter("hello again")
        assert "Trust" not in terminal.wait_for("answer 1", "checkpoint 1")


def test_a_refused_configuration_only_tightens(place: Place) -> None:
    configure(place, 'permission_mode = "plan"\nallow_tools = ["bash"]\n')
    with place.agent("-m", place.model) as terminal:
        terminal.wait_for("allow_tools = bash", "trust it")
        terminal.type("n")
        terminal.wait_gone("trust it")
        terminal.enter("/permissions")
        assert "→ plan" in terminal.wait_for("what goes through")
    assert place.verdicts() == [False]


def test_resume_without_a_name_offers_the_folders_sessions(place: Place) -> None:
    with place.agent("-m", place.model, "the first question") as terminal:
        terminal.wait_for("answer 1", "checkpoint 1")
        terminal.press("ctrl-d")
        terminal.wait_exit()
    with place.agent("resume") as terminal:
        terminal.wait_for("1 turn", "the first question", "Go on with which?")
        terminal.type("1\r")
        terminal.wait_for("Resumed", ": 1 turn,")
        terminal.enter("the second question")
        terminal.wait_for("answer 2", "checkpoint 2")


def test_leaving_the_list_of_sessions_is_no_error(place: Place) -> None:
    with place.agent("-m", place.model, "the first question") as terminal:
        terminal.wait_for("answer 1", "checkpoint 1")
        terminal.press("ctrl-d")
        terminal.wait_exit()
    with place.agent("resume") as terminal:
        terminal.wait_for("Go on with which?")
        terminal.type("\r")
        assert terminal.wait_exit() == 0
