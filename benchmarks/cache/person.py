"""Somebody at the chat's prompt: they ask, wait for the answer, and go for a walk."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.cache.server import Answer
from benchmarks.cache.stage import MODELS, Stage
from tests.support.terminal import Terminal

_PLAN = re.compile(r"kept warm\s.*?(?:next in (\d+):(\d\d)|not again|there is no entry|no \()", re.DOTALL)
"""What `/cache` says of the next request that keeps the entry alive."""

SPARE = 2.0
"""Seconds by which the screen's time may be too short, which has no fractions."""


@dataclass(slots=True)
class Person:
    """One who sees the screen and the journal, and has all the time on the stage's clock."""

    stage: Stage
    chat: Terminal
    turns: int = 0

    def ask(self, prompt: str, *answers: Answer) -> None:
        """Send a prompt that no earlier one is like, and wait for the end of its turn."""
        self.stage.answers += answers
        self.turns += 1
        self.chat.enter(prompt)
        self.chat.wait_until(lambda: self._journalled("checkpoint") >= self.turns, f"the end of {prompt!r}")
        if self.stage.answers:
            raise RuntimeError(f"{len(self.stage.answers)} answers were never asked for after {prompt!r}")

    def walk(self, seconds: float) -> None:
        """Be away for so long; what the chat does meanwhile is done at its time, and waited for."""
        back = self.stage.clock.now() + seconds
        while (planned := self._planned()) is not None and self.stage.clock.now() + planned < back:
            self._warmed_after(planned)
        self.stage.clock.advance(max(0.0, back - self.stage.clock.now()))

    def _planned(self) -> float | None:
        """Seconds until the chat keeps the entry alive once more; None where it won't."""
        before = self._plans()
        self.chat.enter("/cache")
        self.chat.wait_until(lambda: len(self._plans()) > len(before), "what `/cache` says")
        minutes, seconds = self._plans()[-1]
        return float(minutes) * 60 + float(seconds) + SPARE if minutes else None

    def _plans(self) -> list[tuple[str, str]]:
        return _PLAN.findall(self.chat.everything)

    def _warmed_after(self, seconds: float) -> None:
        """Let the time pass until the entry is kept alive, and wait until that is booked."""
        booked = self._warmings()
        self.stage.clock.advance(seconds)
        self.chat.wait_until(lambda: self._warmings() > booked, "a request that keeps the cache warm")

    def _warmings(self) -> int:
        return self._journalled("call", purpose="warm")

    def _journalled(self, kind: str, **facts: str) -> int:
        """How many whole lines of this kind the session's journal has, with these values in them."""
        found = self.stage.folder.glob("cachet/sessions/*/*.jsonl")
        lines = (line for path in found for line in path.read_text().splitlines(keepends=True))
        told = [json.loads(line) for line in lines if line.endswith("\n")]
        wanted = {"kind": kind, **facts}.items()
        return sum(wanted <= line.items() for line in told if line.get("kind") == kind)


@contextmanager
def person(stage: Stage, *words: str) -> Iterator[Person]:
    """Somebody before a chat that was begun with these words; at the end they leave it."""
    asked = [str(stage.clock.file), "-m", MODELS[stage.wire], "--permission-mode", "auto", *words]
    with Terminal(stage.program, asked, environ=stage.environ, cwd=stage.project, cold=True) as chat:
        chat.wait_for("cache n/a")
        yield Person(stage, chat)
        chat.press("ctrl-d")
        chat.wait_exit()
