"""What the benchmark's people do: each script drives the real program through one way of working."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.cache.server import Say, Use
from benchmarks.cache.stage import Stage

MINUTE = 60.0
Script = Callable[[Stage, float], None]
"""`script(stage, size)`: `size` is 1 for the whole thing; tests run a part of it."""


def read(number: int, *, lines: int = 20, pause: float = 0.0) -> Use:
    """The model reads some lines of one of the project's files."""
    arguments = {"path": f"part{number % 10}.py", "offset": 1 + number % 7, "limit": lines}
    return Use((("read", arguments),), pause=pause)


def edit(number: int, *, pause: float = 0.0) -> Use:
    """The model changes one line of a file that it has read."""
    line = f"def part_{number % 10}_{3}(value): return value + 3"
    once = {"path": f"part{number % 10}.py", "old": line, "new": f"{line}  # seen {number}"}
    return Use((("edit", once),), pause=pause)


def loop(stage: Stage, steps: int, *, pause: float = 0.0) -> None:
    """One prompt, so many tool steps, and an answer."""
    stage.ask("Go through the parts.", *(read(step, pause=pause) for step in range(steps)), Say("Done."))


def short_loop(stage: Stage, size: float) -> None:
    loop(stage, round(30 * size))


def long_loop(stage: Stage, size: float) -> None:
    loop(stage, round(100 * size))


def slow_loop(stage: Stage, size: float) -> None:
    """Six minutes pass between the steps: a build, a test suite."""
    loop(stage, round(30 * size), pause=6 * MINUTE)


def turns(stage: Stage, size: float) -> None:
    """Twelve turns with a person's pauses, some of seven minutes and one of forty."""
    pauses = [1, 0.5, 7, 2, 1, 40, 1, 7, 0.5, 3, 7, 1]
    for turn, pause in enumerate(pauses[: max(2, round(12 * size))]):
        stage.ask(f"Look at part {turn}.", read(turn), read(turn + 1), read(turn + 2), Say("It is fine."))
        stage.clock.advance(pause * MINUTE)


def resume(stage: Stage, size: float) -> None:
    """A new process for every turn."""
    for turn in range(max(2, round(8 * size))):
        stage.ask(f"Look at part {turn}.", read(turn), Say("It is fine."))
        stage.clock.advance(MINUTE)


def upgrade(stage: Stage, size: float) -> None:
    """Another version takes the conversation up: its prompt and its tools' descriptions differ."""
    for turn in range(max(1, round(3 * size))):
        stage.ask(f"Look at part {turn}.", read(turn), Say("It is fine."))
    stage.upgrade()
    for turn in range(max(1, round(3 * size))):
        stage.ask(f"And part {turn}?", read(turn), Say("It is fine."))


def rewind(stage: Stage, size: float) -> None:
    """Back to an earlier checkpoint, on with another prompt, then on in a fork."""
    for turn in range(3):
        stage.ask(f"Look at part {turn}.", read(turn), read(turn + 1), Say("It is fine."))
    stage.run("rewind", stage.session, "1")
    stage.ask("Then look elsewhere.", read(5), Say("There."))
    stage.ask("Try it another way.", read(6), Say("So."), words=("--fork",))
    stage.ask("Go on.", read(7), Say("Done."))


def parallel(stage: Stage, calls: int) -> None:
    """So many reads in one step, twice."""
    many = tuple(("read", {"path": f"part{n % 10}.py", "offset": 1 + n, "limit": 5}) for n in range(calls))
    stage.ask("Read all of it.", Use(many), Use(many), Say("Read."))


def permissions(stage: Stage, size: float) -> None:
    """The permission mode changes in mid-session."""
    stage.ask("Look.", read(1), Say("Yes."), words=("--permission-mode", "plan"))
    stage.ask("Now change it.", read(3), edit(3), Say("Changed."), words=("--permission-mode", "auto"))
    stage.ask("And look again.", read(3), Say("Good."), words=("--permission-mode", "plan"))


SCRIPTS: Mapping[str, Script] = {
    "30-step loop": short_loop,
    "100-step loop": long_loop,
    "30 steps, 6 min between": slow_loop,
    "12 turns with pauses": turns,
    "a process per turn": resume,
    "an upgrade": upgrade,
    "rewind and fork": rewind,
    "12 reads in a step": lambda stage, size: parallel(stage, 12),
    "25 reads in a step": lambda stage, size: parallel(stage, 25),
    "40 reads in a step": lambda stage, size: parallel(stage, 40),
    "permission mode changes": permissions,
}
