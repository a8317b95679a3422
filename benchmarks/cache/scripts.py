"""What the benchmark's people do: each script drives the real program through one way of working."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.cache.person import person
from benchmarks.cache.server import ANSWERING, Answer, Say, Use
from benchmarks.cache.stage import MODELS, OTHER_MODELS, Stage

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Script:
    """One way of working."""

    act: Callable[[Stage, float], None]
    """`act(stage, size)`: `size` is 1 for the whole thing; tests run a part of it."""
    minimum: int = 1024
    """Tokens below which Anthropic's side caches nothing: 512 to 4,096, by model."""
    lifetimes: bool = False
    """Whether it is only for wires on which an entry has a lifetime that was paid for."""

    def plays_on(self, wire: str) -> bool:
        return wire == "anthropic" or (self.minimum == 1024 and not self.lifetimes)


def read(number: int, *, lines: int = 20, pause: float = ANSWERING) -> Use:
    """The model reads some lines of one of the project's files."""
    arguments = {"path": f"part{number % 10}.py", "offset": 1 + number % 7, "limit": lines}
    return Use((("read", arguments),), pause=pause)


def edit(number: int, *, pause: float = ANSWERING) -> Use:
    """The model changes one line of a file that it has read."""
    line = f"def part_{number % 10}_{3}(value): return value + 3"
    once = {"path": f"part{number % 10}.py", "old": line, "new": f"{line}  # seen {number}"}
    return Use((("edit", once),), pause=pause)


def loop(stage: Stage, steps: int, *, pause: float = ANSWERING) -> None:
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


def edits(stage: Stage, size: float) -> None:
    """One job of thirty steps: look for something, read the file, change a line, part by part."""
    steps: list[Answer] = []
    for part in range(max(1, round(10 * size))):
        seek = {"pattern": f"def part_{part}_\\d*7\\(", "path": f"part{part}.py"}
        line = f"def part_{part}_47(value): return value + 47"
        better = f"def part_{part}_47(value: int) -> int:\n    return value + {part} + 47"
        change = {"path": f"part{part}.py", "old": line, "new": better}
        steps += [
            Use((("grep", seek),), SEEKING.format(part=part)),
            Use((("read", {"path": f"part{part}.py"}),), READING.format(part=part)),
            Use((("edit", change),), CHANGING.format(part=part)),
        ]
    stage.ask(
        "In every part the function 47 forgets to add the number of its part. Mend that, and give it types.",
        *steps,
        Say("All parts add their number now, and function 47 has types in each. Nothing else was touched."),
    )


SEEKING = (
    "Next is part {part}. I look for the functions whose name ends in seven, so that I see how the wrong one "
    "differs from those around it, and whether anything else in the file has the same fault. If so, I "
    "say that, and leave it alone."
)
READING = (
    "There it is, and it is the only one. Before I touch it I read the whole of part {part}: others may call "
    "it by its position, and I want to keep to the way in which this file is laid out, blank lines included."
)
CHANGING = (
    "Nothing else in the file depends on it. Function 47 adds its own number but forgets that of its part. I "
    "add {part} there, and say what goes in and what comes out; the other lines stay as they are."
)


def compaction(stage: Stage, size: float) -> None:
    """The conversation no longer fits the window: a summary takes its place, and the work goes on."""
    steps = max(8, round(12 * size))
    stage.ask("Look at the parts.", *(read(step) for step in range(steps)), Say("They are fine."))
    stage.server.billing.window = stage.server.billing.calls[-1].segments.tokens + 500
    stage.ask(
        "Look at the rest.",
        Use((("read", {"path": "part9.py"}),)),
        Say("The parts were read; part 9 is left."),
        Use((("read", {"path": "part8.py", "limit": 30}),), allowed="compaction"),
        Say("All of it is fine."),
    )
    if not stage.server.billing.refused:
        raise RuntimeError("every request fitted the window: mend the benchmark's compaction")


def tasks(stage: Stage, size: float) -> None:
    """Three sub-agents side by side in one step, then the same once more."""
    for turn in range(2):
        words = [f"errand-{turn}-{number}" for number in range(3)]
        jobs = tuple(
            ("task", {"description": f"part {number}", "prompt": f"Do {word}: say what this part holds."})
            for number, word in enumerate(words)
        )
        stage.aside = {word: [read(turn), read(turn + 1), Say("It adds.")] for word in words}
        stage.ask("Have the parts looked at.", read(turn), Use(jobs), Say("They all add."))


def model_switch(stage: Stage, size: float) -> None:
    """Another model for one turn, then the first one again."""
    stage.ask("Look.", *(read(step) for step in range(6)), Say("Yes."))
    other = ("-m", OTHER_MODELS[stage.wire])
    stage.ask("And you?", Use(read(6).calls, allowed="model switch"), Say("Me too."), words=other)
    stage.ask("Go on.", read(7), Say("Done."), words=("-m", MODELS[stage.wire]))


def folders(stage: Stage, size: float) -> None:
    """A session in one project, then one in another."""
    stage.ask("Look.", read(1), Say("Yes."))
    stage.clock.advance(MINUTE)
    stage.move()
    stage.ask("Look here, too.", read(1), Say("Yes."), new=True)


WALKS = (6, 4, 8, 5.5, 9, 4.5, 7, 6.5, 4, 8.5, 5, 7.5)
"""Minutes for which somebody is away between two prompts."""
FIVE = ("--cache-ttl", "5m")


def walks(stage: Stage, size: float, words: Sequence[str] = ()) -> None:
    """A long conversation in the chat, begun with these words, and a walk after each turn."""
    with person(stage, *words) as somebody:
        many = [Use(tuple(read(part, lines=120).calls[0] for part in range(8))) for _ in range(3)]
        somebody.ask("Read the parts.", *many, Say("I have read the parts."))
        for turn, minutes in enumerate(WALKS[: max(3, round(len(WALKS) * size))]):
            somebody.walk(minutes * MINUTE)
            somebody.ask(f"And what of part {turn}?", read(turn), Say(f"Part {turn} is fine."))


SCRIPTS: Mapping[str, Script] = {
    "30-step loop": Script(short_loop),
    "100-step loop": Script(long_loop),
    "30-step edit": Script(edits),
    "30-step edit, minimum 4,096": Script(edits, minimum=4096),
    "30 steps, 6 min between": Script(slow_loop),
    "12 turns with pauses": Script(turns),
    "a process per turn": Script(resume),
    "an upgrade": Script(upgrade),
    "rewind and fork": Script(rewind),
    "12 reads in a step": Script(lambda stage, size: parallel(stage, 12)),
    "25 reads in a step": Script(lambda stage, size: parallel(stage, 25)),
    "40 reads in a step": Script(lambda stage, size: parallel(stage, 40)),
    "permission mode changes": Script(permissions),
    "compaction": Script(compaction),
    "sub-agents": Script(tasks),
    "model switch": Script(model_switch),
    "another folder": Script(folders),
    "walks, 5m": Script(partial(walks, words=FIVE), lifetimes=True),
    "walks, 5m, kept warm": Script(partial(walks, words=(*FIVE, "--keep-warm")), lifetimes=True),
    "walks, auto": Script(walks, lifetimes=True),
}
