"""Models with small context windows, on servers that bill like the providers, and what they are asked to do.

A task reads more files than fit the window; `Play` gives the agent and its sub-agents their answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.cache import server as benches
from benchmarks.cache.server import Answer, Choose, Clock, Say, Use
from providers.types import ModelRef
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply

FILES = 12
SUMMARY = "Read so far: nothing odd."


class SmallModels(LoopbackServer):
    """An endpoint of the OpenAI family whose model has a context window of 12,000 tokens, and tells it."""

    WINDOW = 12_000
    MODEL = ModelRef("openai", "small")
    WIDTH = 30
    """Characters of a line in the project's files: how much room a file takes."""

    def _reply(self, request: Recorded) -> Reply:
        if request.method != "GET":
            return super()._reply(request)  # type: ignore[misc]
        listed = {"id": "small", "object": "model", "max_model_len": self.WINDOW}
        return json_reply({"object": "list", "data": [listed]})


class ChatBench(SmallModels, benches.OpenAIBench):
    WIRE = ""


class ResponsesBench(SmallModels, benches.ResponsesBench):
    WIRE = "openai-responses"


class ClaudeBench(benches.AnthropicBench):
    """A model of Anthropic's, with the window that the price table knows it to have."""

    WINDOW = 200_000
    MODEL = ModelRef("anthropic", "claude-sonnet-4-5")
    WIDTH = 800
    WIRE = ""


Bench: TypeAlias = ClaudeBench | ChatBench | ResponsesBench


class Play:
    """Gives each conversation its answers in order, whatever it still holds of those before.

    `summary` answers every request for one. `names` tells whose each answered request was.
    """

    def __init__(self, go: Sequence[Answer], summary: Answer | None = None, **jobs: Sequence[Answer]) -> None:
        self._answers = {"go": iter(go)} | {f"job {name}": iter(played) for name, played in jobs.items()}
        self._summary = summary or Say(SUMMARY)
        self.names: list[str] = []

    def __call__(self, body: dict[str, Any]) -> Answer:
        said = [*_said_by_users(body)]
        (name,) = {name for name in self._answers for text in said if text.endswith(name)}
        self.names.append(name)
        return self._summary if "about to be replaced" in said[-1] else next(self._answers[name])


def _said_by_users(body: dict[str, Any]) -> Iterator[str]:
    for message in body.get("messages") or body["input"]:
        content = message.get("content")
        if message.get("role") != "user":
            continue
        yield from [content] if isinstance(content, str) else [block.get("text", "") for block in content]


def job(name: str) -> tuple[str, dict[str, Any]]:
    return ("task", {"description": f"the {name}", "prompt": f"job {name}"})


READING: tuple[Answer, ...] = tuple(Use((("read", {"path": f"{number}.txt"}),)) for number in range(FILES))
LONG_JOB = (*READING, Say("Nothing is odd."))
GO = (Use((job("read"),)), Say("Done."))


def on(folder: Path, bench: type[Bench], play: Choose) -> Bench:
    server = bench(Clock(folder / "clock"), play)
    server.billing.window = bench.WINDOW
    return server


def fill(project: Path, bench: type[Bench]) -> None:
    """Lay down the files to read, and instructions that each conversation begins with."""
    project.joinpath("AGENTS.md").write_text("Mind the gap. " * 450)
    for number in range(FILES):
        project.joinpath(f"{number}.txt").write_text(f"file {number:02} {'-' * bench.WIDTH}\n" * 100)
