"""The command line run in this process, on a home and a project of its own, with scripted models."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.main import execute
from tests.support.script import script


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Cli:
    """Runs `agent WORDS` in `project`; `play` answers a prompt from steps and gives what `-p` prints."""

    home: Path
    project: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Ran:
        self.capture.readouterr()
        code = execute(list(words), version="0")
        said = self.capture.readouterr()
        return Ran(code, said.out, said.err)

    def play(self, prompt: str, *steps: dict[str, Any], words: tuple[str, ...] = ()) -> Any:
        """A new session that plays the steps; with `words` such as `-c`, a session that goes on."""
        model = script(self.project.parent, *steps, name="steps.json")
        ran = self(
            "-p", prompt, "-m", str(model), "--output-format", "json", "--permission-mode", "auto", *words
        )
        assert ran.code == 0, ran.err
        return ran.json


def cli_in(folder: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> Cli:
    """A command line whose environment holds no keys and whose home is empty."""
    project = folder / "shop"
    project.mkdir()
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "CACHET_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CACHET_HOME", str(folder / "home"))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    return Cli(folder / "home", project, capture)
