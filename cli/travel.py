"""`/checkpoints`, `/rewind`, `/undo`, `/diff`: back in time, shown before it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from agent.harmless import harmless, one_line
from checkpoint.files import FileStore
from checkpoint.rewind import RewindPlan, Rewound
from checkpoint.types import CheckpointError, Snapshot
from cli import figures
from cli.desk import Desk
from cli.paint import shortened
from cli.question import Choice, Chosen, Pick, Question
from cli.tables import table

_DIFF_LINES = 400
_NAMED = 10


async def checkpoints(desk: Desk, argument: str) -> None:
    """All checkpoints of the session, oldest first."""
    made = desk.session.checkpoints()
    if not made:
        desk.screen.note("No checkpoint yet: one is made after every turn.")
        return
    rows = [_row(snapshot) for snapshot in made]
    desk.screen.print(table(("#", "when", "prompt", "files", "read", "cost"), rows, numbers=2))
    desk.screen.note("Go back with /rewind N; see what changed since with /diff N.")


async def rewind(desk: Desk, argument: str) -> None:
    """Bring files, conversation or both back to a checkpoint, after showing what that changes."""
    number = _number(argument) if argument else await _picked(desk)
    if number is not None:
        await _go_back(desk, number, f"Go back to checkpoint {number}?")


async def undo(desk: Desk, argument: str) -> None:
    """Take the last turn back."""
    number = await desk.session.before_last_turn()
    await _go_back(desk, number, f"Take the last turn back (to checkpoint {number})?")


async def diff(desk: Desk, argument: str) -> None:
    """What changed in the files since a checkpoint; since the session's start where none is named."""
    session = desk.session
    number = _number(argument) if argument else 0
    plan = await session.preview_rewind(number)
    if plan.files_off:
        raise CheckpointError(f"{plan.files_off}. There is nothing to compare with.")
    if not plan.changes:
        desk.screen.note(f"No file changed since checkpoint {number}.")
        return
    files = FileStore.open(session.setup.workspace.root, session.setup.home)
    patch = await asyncio.to_thread(files.patch, plan.tree, plan.now)
    desk.screen.diff(shortened(patch, _DIFF_LINES))


async def _go_back(desk: Desk, number: int, question: str) -> None:
    session = desk.session
    plan = await session.preview_rewind(number)
    _show(desk, plan)
    keep = await _kept(desk, plan.person_edits)
    if keep is None:
        return
    choices: tuple[Choice, ...] = (Choice("c", "conversation only"), Choice("n", "no"))
    if not plan.files_off:
        choices = (Choice("y", "files and conversation"), Choice("f", "files only"), *choices)
    match await desk.prompt.ask(Question(question, choices)):
        case Chosen("y" | "f" | "c" as key):
            rewound = await session.rewind(number, files=key != "c", conversation=key != "f", keep=keep)
            _report(desk, rewound, key)
        case _:
            desk.screen.note("Nothing was changed.")


def _show(desk: Desk, plan: RewindPlan) -> None:
    """What the rewind would do to the files."""
    if plan.files_off:
        desk.screen.note(f"{plan.files_off}.")
        return
    if not plan.changes:
        desk.screen.note("The files are as they were then.")
        return
    if plan.patch:
        desk.screen.diff(shortened(plan.patch, _DIFF_LINES))
    desk.screen.note(f"It would change {figures.plural(len(plan.changes), 'file')}, as shown.")
    if plan.git_then != plan.git_now:
        then, now = plan.git_then[:10] or "no commit", plan.git_now[:10] or "no commit"
        desk.screen.note(f"Your git was at {then} then and is at {now} now; it stays where it is.")


async def _kept(desk: Desk, edits: Sequence[str]) -> frozenset[str] | None:
    """Which of the person's own edits to leave alone; None when they would rather not go back."""
    if not edits:
        return frozenset()
    desk.screen.note(f"You changed these yourself: {_names(edits)}")
    choices = (Choice("k", "keep my changes"), Choice("o", "overwrite them"), Choice("n", "don't go back"))
    match await desk.prompt.ask(Question("What about the files you changed?", choices)):
        case Chosen("k"):
            return frozenset(edits)
        case Chosen("o"):
            return frozenset()
        case _:
            desk.screen.note("Nothing was changed.")
            return None


def _report(desk: Desk, rewound: Rewound, key: str) -> None:
    what = {"y": "Files and conversation are", "f": "The files are", "c": "The conversation is"}[key]
    done = f"{len(rewound.changed)} written, {len(rewound.deleted)} deleted" if key != "c" else ""
    told = f" ({done})" if done else ""
    desk.screen.note(f"{what} back at checkpoint {rewound.number}{told}. What was billed stays billed.")
    if rewound.kept:
        desk.screen.note(f"Left alone: {_names(rewound.kept)}")
    for problem in rewound.problems:
        desk.screen.error(problem)


def _names(paths: Sequence[str]) -> str:
    shown = ", ".join(one_line(path) for path in paths[:_NAMED])
    return f"{shown} and {len(paths) - _NAMED} more" if len(paths) > _NAMED else shown


async def _picked(desk: Desk) -> int | None:
    made = desk.session.checkpoints()
    if not made:
        desk.screen.note("No checkpoint yet: one is made after every turn.")
        return None
    rows = tuple(" · ".join(cell for cell in _row(snapshot)[:3] if cell) for snapshot in reversed(made))
    choice = await desk.prompt.pick(Pick("Go back to which checkpoint?", rows))
    return None if choice is None else made[len(made) - 1 - choice].number


def _row(snapshot: Snapshot) -> tuple[str, ...]:
    read = snapshot.token_snapshot.get("cache_read", 0)
    return (
        str(snapshot.number),
        _clock(snapshot.created),
        harmless(snapshot.prompt) or "(start)",
        "off" if snapshot.files_off else "kept",
        figures.tokens(read),
        figures.bill(snapshot.cost_usd, snapshot.cost_at_least),
    )


def _clock(created: str) -> str:
    """The local time of day, from a snapshot's ISO 8601 text."""
    try:
        return datetime.fromisoformat(created).astimezone().strftime("%H:%M")
    except ValueError:
        return ""


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise CheckpointError(f"{one_line(text)!r} is no checkpoint's number. Try: /checkpoints") from error
