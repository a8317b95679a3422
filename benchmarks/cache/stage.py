"""A scratch project in which the real `agent` works against a billing server, on its clock."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from benchmarks.cache.server import Answer, AnthropicBench, Clock, OpenAIBench, ResponsesBench, Server
from tests.support.start import run

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("providers", "agent", "checkpoint", "sessions", "cli")
MODELS = {
    "anthropic": "anthropic/claude-sonnet-4-5",
    "openai": "openai/gpt-5.1",
    "responses": "openai/gpt-5.1",
}
OTHER_MODELS = {
    "anthropic": "anthropic/claude-haiku-4-5",
    "openai": "openai/gpt-5-mini",
    "responses": "openai/gpt-5-mini",
}
SERVERS: Mapping[str, type[Server]] = {
    "anthropic": AnthropicBench,
    "openai": OpenAIBench,
    "responses": ResponsesBench,
}


@dataclass(slots=True)
class Stage:
    """Runs `agent -p`, each prompt in a process of its own, and scripts what the model answers."""

    folder: Path
    project: Path
    wire: str
    clock: Clock
    server: Server
    answers: list[Answer] = field(default_factory=list)
    aside: dict[str, list[Answer]] = field(default_factory=dict)
    """The answers to sub-agents, by a word that stands in the prompt of that one only."""
    results: list[dict[str, Any]] = field(default_factory=list)
    code: Path = ROOT
    """The checkout whose code runs: another one after an upgrade."""

    @property
    def session(self) -> str:
        """The id of the session of the last run."""
        return str(self.results[-1]["session_id"])

    @property
    def program(self) -> Path:
        """What runs `agent` on this stage's clock; its first argument is the clock's file."""
        return self.code / "benchmarks/cache/clocked.py"

    @property
    def environ(self) -> Mapping[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "CACHET_HOME": str(self.folder / "cachet"),
            "TZ": "UTC",
            **self.server.environ(),
        }

    def ask(self, prompt: str, *answers: Answer, words: tuple[str, ...] = (), new: bool = False) -> None:
        """One prompt, in the session of the last run unless `new`; the model answers as given."""
        self.answers += answers
        goes_on = () if new or not self.results else ("resume", self.session)
        argv = (*goes_on, "-p", prompt, "--output-format", "json", "--permission-mode", "auto", *words)
        if not goes_on:
            argv = (*argv, "-m", MODELS[self.wire])
        self.results.append(json.loads(self.run(*argv)))
        left = len(self.answers) + sum(map(len, self.aside.values()))
        if left:
            raise RuntimeError(f"{left} answers were never asked for after {prompt!r}")

    def run(self, *argv: str) -> str:
        """Run `agent` with these arguments; what it prints. Raises RuntimeError when it fails."""
        code, out, err = run(
            self.program,
            [str(self.clock.file), *argv],
            cwd=self.project,
            environ=self.environ,
            cold=self.code != ROOT,
        )
        if code:
            raise RuntimeError(f"agent {' '.join(argv)[:200]} ended with {code}: {err}")
        return out

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

    def move(self) -> None:
        """From now on the person works in another folder, which holds the same files."""
        other = self.folder / "somewhere-else-entirely"
        shutil.copytree(self.project, other)
        self.project = other

    def choose(self, body: dict[str, Any]) -> Answer:
        """The next answer: to a sub-agent its own, to the main conversation the next in order."""
        prompts = first_prompts(body)
        lane = next((answers for word, answers in self.aside.items() if word in prompts), self.answers)
        return lane.pop(0)


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    if old not in text:
        raise RuntimeError(f"{file.name} has no {old!r} any more: mend the benchmark's upgrade")
    file.write_text(text.replace(old, new, 1))


def first_prompts(body: dict[str, Any]) -> str:
    """What a person, or who sent a sub-agent, said before the model's first answer."""
    said = takewhile(
        lambda item: item.get("role") != "assistant" and item.get("type", "message") == "message",
        body.get("messages") or body["input"],
    )
    return json.dumps([item["content"] for item in said if item.get("role") == "user"])


@contextmanager
def stage(folder: Path, wire: str, *, minimum: int = 1024, lines: int = 120) -> Iterator[Stage]:
    """A project of ten files of `lines` lines, and a server of this wire."""
    project = folder / "project"
    project.mkdir(parents=True)
    for number in range(10):
        rows = (f"def part_{number}_{line}(value): return value + {line}" for line in range(lines))
        (project / f"part{number}.py").write_text("\n".join(rows) + "\n")
    clock = Clock(folder / "clock")
    made: list[Stage] = []
    (folder / "cachet").mkdir()
    (folder / "cachet" / "config.toml").write_text(SERVERS[wire].CONFIG)
    with SERVERS[wire](clock, lambda body: made[0].choose(body), minimum=minimum) as server:
        made.append(Stage(folder, project, wire, clock, server))
        yield made[0]
