"""A scratch project in which the real `agent` works against a billing server, on its clock."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cache.server import Answer, AnthropicBench, Clock, OpenAIBench, Server

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("providers", "agent", "checkpoint", "sessions", "cli")
MODELS = {"anthropic": "anthropic/claude-sonnet-4-5", "openai": "openai/gpt-5.1"}
PATIENCE = 300.0
"""Seconds that one run may take."""


@dataclass(slots=True)
class Stage:
    """Runs `agent -p`, each prompt in a process of its own, and scripts what the model answers."""

    folder: Path
    wire: str
    clock: Clock
    server: Server
    answers: list[Answer] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    code: Path = ROOT
    """The checkout whose code runs: another one after an upgrade."""

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def session(self) -> str:
        """The id of the session of the last run."""
        return str(self.results[-1]["session_id"])

    def ask(self, prompt: str, *answers: Answer, words: tuple[str, ...] = (), new: bool = False) -> None:
        """One prompt, in the session of the last run unless `new`; the model answers as given."""
        self.answers += answers
        goes_on = () if new or not self.results else ("resume", self.session)
        argv = (*goes_on, "-p", prompt, "--output-format", "json", "--permission-mode", "auto", *words)
        if not goes_on:
            argv = (*argv, "-m", MODELS[self.wire])
        self.results.append(json.loads(self.run(*argv)))
        left, self.answers[:] = len(self.answers), []
        if left:
            raise RuntimeError(f"{left} answers were never asked for after {prompt!r}")

    def run(self, *argv: str) -> str:
        """Run `agent` with these arguments; what it prints. Raises RuntimeError when it fails."""
        done = subprocess.run(
            [sys.executable, str(self.code / "benchmarks/cache/clocked.py"), str(self.clock.file), *argv],
            cwd=self.project,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "CACHET_HOME": str(self.folder / "cachet"),
                "TZ": "UTC",
                **self.server.environ(),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"agent {' '.join(argv)[:200]} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def upgrade(self) -> None:
        """From now on another version runs: its number, its system prompt and a tool's description differ."""
        self.code = self.folder / "upgraded"
        self.code.mkdir()
        shutil.copy(ROOT / "cachet.py", self.code)
        for room in (*ROOMS, "benchmarks"):
            shutil.copytree(ROOT / room, self.code / room, ignore=shutil.ignore_patterns("__pycache__"))
        _change(self.code / "cachet.py", '__version__ = "', '__version__ = "9.')
        _change(self.code / "agent/prompt.py", "You are Cachet,", "You are the newest Cachet,")
        _change(self.code / "agent/tools/read.py", "Read ", "Now read ")

    def choose(self, body: dict[str, Any]) -> Answer:
        return self.answers.pop(0)


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    if old not in text:
        raise RuntimeError(f"{file.name} has no {old!r} any more: mend the benchmark's upgrade")
    file.write_text(text.replace(old, new, 1))


@contextmanager
def stage(folder: Path, wire: str, *, lines: int = 120) -> Iterator[Stage]:
    """A project of ten files of `lines` lines, and a server of this wire."""
    project = folder / "project"
    project.mkdir(parents=True)
    for number in range(10):
        rows = (f"def part_{number}_{line}(value): return value + {line}" for line in range(lines))
        (project / f"part{number}.py").write_text("\n".join(rows) + "\n")
    clock = Clock(folder / "clock")
    made: list[Stage] = []
    kind = AnthropicBench if wire == "anthropic" else OpenAIBench
    with kind(clock, lambda body: made[0].choose(body)) as server:
        made.append(Stage(folder, wire, clock, server))
        yield made[0]
