"""Keeps a session's files: captures beside the turn, a snapshot at its end, the way back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agent.state import AgentState
from checkpoint.places import session_refs
from checkpoint.rewind import Rewind, RewindPlan, Rewound
from checkpoint.store import SnapshotStore, make_snapshot
from checkpoint.types import Capture, CheckpointError, Snapshot
from sessions.captures import Captures

__all__ = ["Keeper", "Moment", "RewindPlan", "Rewound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Where the conversation and the bill stand; a snapshot says this beside the files."""

    state: AgentState
    """A copy: only its counters are read."""
    message: str | None
    """The conversation's last message."""
    prompt: str
    model: str
    cost: float | None
    """US dollars to date; None where a part is unknown."""
    known_cost: float
    """The part that is known."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A capture, or why there is none."""

    capture: Capture
    off: str


class Keeper:
    """The async face of the checkpoint room for one session. One turn at a time uses it.

    A capture that fails doesn't stop the work: the snapshot says that files were not kept, and why.
    """

    def __init__(self, project: Path, home: Path, session: str, captures: Captures | None = None) -> None:
        """`captures` are the project's where other sessions make them too."""
        self._project = project
        self._session = session
        self._captures = captures or Captures(project, home)
        self._store = SnapshotStore(home, session)
        self._start: asyncio.Task[None] | None = None
        self._before: Kept | None = None
        self._named: set[Path] = set()
        self._one = asyncio.Lock()
        """Held while the files are kept: sub-agents may be about to change some side by side."""
        self._packing: asyncio.Task[bool] | None = None

    @cached_property
    def _rewind(self) -> Rewind:
        return Rewind(self._captures.files, self._store)

    def begin(self, moment: Moment) -> None:
        """See to it that there is a checkpoint of the files before this turn. Returns at once.

        That is checkpoint 0, or the end of the turn before; one that a crash cut short left none.
        """
        if self._start is None or _failed(self._start):
            self._start = asyncio.create_task(self._make_first(moment))

    async def before_change(self, paths: Iterable[Path]) -> None:
        """Return when the files are kept as they are before the turn's first change.

        `paths` are the files about to be written: they are kept even if the project ignores them.
        """
        if self._start is not None:
            await asyncio.shield(self._start)
        async with self._one:
            await self._keep_before(paths)

    async def snapshot(self, moment: Moment) -> Snapshot:
        """Write the checkpoint at a turn's end. Raises CheckpointUnwritable."""
        if self._start is not None:
            await asyncio.shield(self._start)
        before, self._before = self._before, None
        number = await asyncio.to_thread(self._store.next_number)
        try:
            made = await self._save(moment, number, before)
        except OSError:
            self._start = None  # the next turn begins with the checkpoint that this one owes
            raise
        self._pack()
        return made

    def snapshots(self) -> tuple[Snapshot, ...]:
        return self._store.list()

    def load(self, number: int) -> Snapshot:
        """Raises CheckpointError when there is no such checkpoint."""
        return self._store.load(number)

    def number_at(self, message: str | None) -> int:
        """The latest checkpoint at which the conversation ended with this message. Raises CheckpointError."""
        found = [each.number for each in self._store.list() if each.message == message]
        if not found:
            raise CheckpointError(
                "There is no checkpoint before that turn. To see those there are: /checkpoints"
            )
        return found[-1]

    async def plan(self, number: int) -> RewindPlan:
        return await asyncio.to_thread(self._rewind.plan, number)

    async def rewind(self, number: int, keep: frozenset[str]) -> Rewound:
        """Bring the files back; they are captured first. Raises CheckpointError."""
        return await asyncio.to_thread(self._rewind.restore, number, keep=keep)

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*filter(None, (self._start, self._packing)), return_exceptions=True)

    async def _keep_before(self, paths: Iterable[Path]) -> None:
        fresh = {path for path in paths if path not in self._named}
        if self._before is not None and not fresh:
            return
        number = await asyncio.to_thread(self._store.next_number)
        kept = await self._capture(f"{number}-{'before' if self._before is None else 'named'}", fresh)
        self._before = self._before or kept
        self._named |= fresh

    async def _make_first(self, moment: Moment) -> None:
        made = await asyncio.to_thread(self._store.list)
        if not any(snapshot.message == moment.message for snapshot in made):
            await self._save(moment, await asyncio.to_thread(self._store.next_number), None)

    async def _save(self, moment: Moment, number: int, before: Kept | None) -> Snapshot:
        kept = await self._capture(str(number), ())
        return await asyncio.to_thread(
            make_snapshot,
            moment.state,
            store=self._store,
            number=number,
            message=moment.message,
            prompt=moment.prompt,
            model=moment.model,
            cwd=self._project,
            cost_usd=moment.cost,
            cost_at_least=moment.known_cost,
            before=before.capture.tree if before else None,
            capture=kept.capture,
            files_off=kept.off or (before.off if before else ""),
        )

    async def _capture(self, name: str, extra: Iterable[Path]) -> Kept:
        try:
            ref = f"{session_refs(self._session)}/{name}"
            capture = await self._captures.capture(ref, extra)
        except CheckpointError as error:
            return Kept(Capture(""), str(error))
        return Kept(capture, self._captures.files.off)

    def _pack(self) -> None:
        if self._packing is None or self._packing.done():
            self._packing = asyncio.create_task(asyncio.to_thread(self._captures.files.maintain))


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
