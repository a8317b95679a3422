"""`agent checkpoints`, `agent diff`, `agent rewind`: a session's checkpoints from outside the chat."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.harmless import harmless, one_line
from checkpoint.files import FileStore
from checkpoint.places import session_refs
from checkpoint.rewind import RewindPlan, Rewound, tree_at
from checkpoint.store import SnapshotStore
from checkpoint.types import CheckpointError, Snapshot
from cli import figures
from cli.compose import compose
from cli.config import Config
from cli.console import print_patch, print_table
from cli.failure import UsageProblem
from cli.offline import Offline
from cli.options import Options
from cli.place import Place
from cli.which import Which, folder_of
from providers.types import JSON
from sessions import begin
from sessions.session import Session


def show(text: str | None, *, as_json: bool) -> None:
    """Print a session's checkpoints, of this folder's last session if `text` is None."""
    which = Which.of(os.environ)
    path = which.named(text) if text else which.latest_here()
    store = SnapshotStore(which.home, path.stem)
    made = store.list()
    for problem in store.problems:
        print(f"note: {problem}", file=sys.stderr)
    if as_json:
        print(json.dumps([snapshot_object(each) for each in made], indent=2, ensure_ascii=False))
        return
    if not made:
        print(f"{path.stem} has no checkpoint yet: one is made after every turn.")
        return
    print_table(
        ("#", "made", "prompt", "files", "input", "read", "written", "output", "cost"),
        [_cells(each) for each in made],
        narrow=(0, 2, 3, 8),
        text=(0, 1, 2, 3),
        gives_way=2,
    )
    print(f"Each is a JSON file: {store.folder}{os.sep}<#>.json")


def snapshot_object(snapshot: Snapshot) -> dict[str, JSON]:
    """A checkpoint as `--json` gives it; its own file holds the same and more."""
    return {
        "number": snapshot.number,
        "session": snapshot.session,
        "created": snapshot.created,
        "turn_count": snapshot.turn_count,
        "prompt": snapshot.prompt,
        "model": snapshot.model,
        "token_snapshot": snapshot.token_snapshot,
        "cost_usd": snapshot.cost_usd,
        "cost_at_least": snapshot.cost_at_least,
        "files": snapshot.tree is not None,
        "files_off": snapshot.files_off,
        "skipped": list(snapshot.skipped),
        "path": str(snapshot.path),
    }


def show_diff(text: str, first: int, second: int | None) -> None:
    """Print what changed in the files from one checkpoint to another, or to the files as they are."""
    which = Which.of(os.environ)
    path = which.named(text)
    snapshots = SnapshotStore(which.home, path.stem).list()
    files = FileStore.open(folder_of(path, which.home), which.home)
    before = _tree(snapshots, first, path)
    if second is not None:
        after = _tree(snapshots, second, path)
    else:
        after = files.capture(f"{session_refs(path.stem)}/diff").tree
        if not after:
            raise CheckpointError(files.off)
    patch = files.patch(before, after)
    if patch:
        print_patch(patch)
    else:
        until = "" if second is None else f" up to checkpoint {second}"
        print(f"No file changed since checkpoint {first}{until}.", file=sys.stderr)


def rewind_to(text: str, number: int | None, *, files: bool, conversation: bool, dry_run: bool) -> None:
    """Bring a session back to a checkpoint; neither of `files` and `conversation` means both.

    On a terminal the person is asked about files they changed themselves; without one those stay.
    """
    which = Which.of(os.environ)
    path = which.named(text)
    place = Place.of(os.environ, folder_of(path, which.home))
    both = files == conversation
    asyncio.run(
        _rewind(place, path, number, files=both or files, conversation=both or conversation, dry_run=dry_run)
    )


async def _rewind(
    place: Place, path: Path, number: int | None, *, files: bool, conversation: bool, dry_run: bool
) -> None:
    setup = replace(compose(place, Options(), Config()), providers=Offline)
    session = await begin.resume(setup, path)
    try:
        target = await session.before_last_turn() if number is None else number
        plan = await session.preview_rewind(target)
        if dry_run:
            _print_plan(plan, files=files, conversation=conversation)
            return
        keep = _kept(plan.person_edits) if files else frozenset()
        if files and plan.files_off:
            _without_files(plan, conversation=conversation)
            files = False
        _report(session, await session.rewind(target, files=files, conversation=conversation, keep=keep))
    finally:
        await session.close()


def _without_files(plan: RewindPlan, *, conversation: bool) -> None:
    """Say that only the conversation goes back. Raises CheckpointError where that wasn't asked for."""
    if not conversation:
        raise CheckpointError(f"The files can't be brought back: {plan.files_off}")
    print(f"note: only the conversation goes back: {plan.files_off}", file=sys.stderr)


def _print_plan(plan: RewindPlan, *, files: bool, conversation: bool) -> None:
    if files and plan.files_off:
        print(f"The files can't be brought back: {plan.files_off}")
    elif files and plan.patch:
        print_patch(plan.patch)
    if files and not plan.files_off:
        print(f"{figures.plural(len(plan.changes), 'file')} would change.")
        if plan.person_edits:
            print(f"You changed these yourself: {_names(plan.person_edits)}")
        if plan.git_then != plan.git_now and plan.git_then:
            print(f"Your repository was at {plan.git_then[:10]} then; that is not brought back.")
    if conversation:
        print(f"The conversation would go back to checkpoint {plan.number}. Nothing billed is refunded.")


def _kept(edits: Sequence[str]) -> frozenset[str]:
    """Which of the files that the person changed to leave alone. Raises UsageProblem when they turn back."""
    if not edits:
        return frozenset()
    if not sys.stdin.isatty():
        print(f"note: kept as you changed them: {_names(edits)}", file=sys.stderr)
        return frozenset(edits)
    print(f"You changed these yourself: {_names(edits)}")
    match input("Keep your changes, or overwrite them? [k/o, Enter leaves] ").strip().lower():
        case "k":
            return frozenset(edits)
        case "o":
            return frozenset()
        case _:
            raise UsageProblem("Nothing was changed.")


def _report(session: Session, done: Rewound) -> None:
    moved = len(done.changed) + len(done.deleted)
    print(f"{session.id} is at checkpoint {done.number}; {figures.plural(moved, 'file')} changed.")
    for line in (*done.kept, *done.problems):
        print(f"  {harmless(line)}")
    print(f"What was billed stays booked. Go on: agent resume {session.id}")
    if done.problems:
        raise CheckpointError("Some files could not be brought back. Run it again once that is fixed.")


def _tree(snapshots: Sequence[Snapshot], number: int, path: Path) -> str:
    snapshot = next((each for each in snapshots if each.number == number), None)
    if snapshot is None:
        raise CheckpointError(
            f"{path.stem} has no checkpoint {number}. To list them: agent checkpoints {path.stem}"
        )
    tree = tree_at(snapshots, number)
    if tree is None:
        raise CheckpointError(f"No files were kept at checkpoint {number}. {snapshot.files_off}".rstrip())
    return tree


def _cells(snapshot: Snapshot) -> tuple[str, ...]:
    tokens = snapshot.token_snapshot
    return (
        str(snapshot.number),
        snapshot.created[:16].replace("T", " "),
        one_line(snapshot.prompt, 40) or "(start)",
        "kept" if snapshot.tree else "off" if snapshot.files_off else "-",
        *(figures.tokens(tokens.get(name, 0)) for name in ("input", "cache_read", "cache_write", "output")),
        figures.bill(snapshot.cost_usd, snapshot.cost_at_least),
    )


def _names(paths: Sequence[str]) -> str:
    return ", ".join(one_line(path) for path in paths)
