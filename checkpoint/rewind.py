"""The way back to a checkpoint's files: what it would change, what of that is the person's own, doing it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from checkpoint.files import FileStore
from checkpoint.places import make_private, session_refs
from checkpoint.store import SnapshotStore
from checkpoint.types import Capture, Change, CheckpointError, Restored, Snapshot
from checkpoint.writing import json_bytes, write_whole

_PASSAGES = "rewinds.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RewindPlan:
    """What bringing back a checkpoint's files would do. Nothing has been changed yet."""

    number: int
    files_off: str
    """Why no files can be brought back; empty when they can."""
    tree: str
    """The files to bring back."""
    now: str
    """The files as they are."""
    changes: tuple[Change, ...]
    """From now to then: `deleted` are files made since, `added` are files that come back."""
    patch: str
    """The same as a unified diff."""
    person_edits: tuple[str, ...]
    """Those of the changes' paths that the person changed since; ask, and pass the ones to `keep`."""
    git_then: str
    """The commit that the project's own repository was on; empty without one. It is not brought back."""
    git_now: str


@dataclass(frozen=True, slots=True)
class Rewound:
    """What a rewind did to the files."""

    number: int
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    """Each with its reason."""
    problems: tuple[str, ...] = ()
    """Each with its reason. Running the rewind again tries these again."""
    safety: str = ""
    """The tree of the files just before; `Rewind.take_back` returns to it."""

    @classmethod
    def nothing(cls, number: int) -> Rewound:
        """A rewind that left the files alone."""
        return cls(number)

    @classmethod
    def of(cls, number: int, done: Restored) -> Rewound:
        return cls(number, done.changed, done.deleted, done.kept, done.problems, done.safety)


@dataclass(frozen=True, slots=True)
class Passage:
    """A rewind that was made: its changes between two trees are nobody's edits."""

    after: int
    """The latest checkpoint at that time."""
    left: str
    reached: str


@dataclass(frozen=True, slots=True)
class Rewind:
    """The way back for one session. Methods block, and raise CheckpointError."""

    files: FileStore
    store: SnapshotStore

    def plan(self, number: int) -> RewindPlan:
        """What a rewind to this checkpoint would change. Captures the files as they are."""
        snapshot, snapshots = self.store.load(number), self.store.list()
        tree = tree_at(snapshots, number)
        off = self.files.off or ("" if tree else _why_no_tree(snapshot))
        if off or tree is None:
            return _nothing_to_do(snapshot, off)
        now = self._capture("now")
        if not now.tree:
            return _nothing_to_do(snapshot, self.files.off)
        changes = self.files.diff(now.tree, tree)
        edits = person_edits(self.files, snapshots, number, now.tree, passages=read_passages(self.store))
        return RewindPlan(
            number=number,
            files_off="",
            tree=tree,
            now=now.tree,
            changes=changes,
            patch=self.files.patch(now.tree, tree),
            person_edits=tuple(change.path for change in changes if change.path in set(edits)),
            git_then=snapshot.git_head,
            git_now=now.head,
        )

    def restore(self, number: int, *, keep: frozenset[str] = frozenset()) -> Rewound:
        """Bring back this checkpoint's files; paths in `keep` stay as they are.

        They are captured first, so it can be taken back. Killed half-way, running it again completes it.
        """
        tree = tree_at(self.store.list(), number)
        if tree is None:
            raise CheckpointError(self.files.off or _why_no_tree(self.store.load(number)))
        return Rewound.of(number, self._bring(tree, keep))

    def take_back(self) -> Rewound:
        """Undo the latest rewind of this session's files."""
        passages = read_passages(self.store)
        if not passages:
            raise CheckpointError(f"No rewind of files was made in session {self.store.session}")
        latest = passages[-1]
        return Rewound.of(latest.after, self._bring(latest.left, frozenset()))

    def _bring(self, tree: str, keep: frozenset[str]) -> Restored:
        safety = f"{session_refs(self.store.session)}/safety-{time.time_ns() // 1_000_000}"
        done = self.files.restore(tree, keep=keep, safety=safety)
        reached = self._capture("now").tree
        passage = Passage(self.store.next_number() - 1, done.safety, reached)
        _write_passages(self.store, (*read_passages(self.store), passage))
        return done

    def _capture(self, label: str) -> Capture:
        return self.files.capture(f"{session_refs(self.store.session)}/{label}")


def tree_at(snapshots: Iterable[Snapshot], number: int) -> str | None:
    """The files at a checkpoint: those captured then, else as they were before the first change after it.

    None where nothing was captured from there on.
    """
    for snapshot in sorted(snapshots, key=lambda each: each.number):
        if snapshot.number == number and snapshot.tree:
            return snapshot.tree
        if snapshot.number > number and (found := snapshot.before or snapshot.tree):
            return found
    return None


def person_edits(
    files: FileStore,
    snapshots: Iterable[Snapshot],
    since: int,
    now: str,
    *,
    passages: Sequence[Passage] = (),
) -> tuple[str, ...]:
    """Paths that the person (or another program) changed between turns since a checkpoint.

    That is what differs between a turn's end and the next turn's first change, or `now`; what rewinds did in
    between doesn't count. Trees that are gone are passed over.
    """
    ordered = sorted((each for each in snapshots if each.number >= since), key=lambda each: each.number)
    found: set[str] = set()
    end = tree_at(ordered, since)
    for snapshot in ordered:
        if snapshot.number > since:
            start = snapshot.before or snapshot.tree
            found |= _changed(files, end, start)
            end = snapshot.tree or start or end
        for passage in passages:
            if passage.after == snapshot.number:
                found |= _changed(files, end, passage.left)
                end = passage.reached or end
    return tuple(sorted(found | _changed(files, end, now)))


def read_passages(store: SnapshotStore) -> tuple[Passage, ...]:
    """The session's rewinds, in order. A file that can't be read counts as none: more is asked then."""
    try:
        rows = json.loads(_passages_path(store).read_bytes())
        return tuple(Passage(int(row["after"]), str(row["left"]), str(row["reached"])) for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def remove_session(home: Path, project: Path, session: str) -> None:
    """Remove a session's checkpoints: its trees in the project's store, then its JSON files."""
    store = SnapshotStore(home, session)
    FileStore.open(project, home).forget(session)
    store.remove()


def _changed(files: FileStore, before: str | None, after: str | None) -> set[str]:
    if not before or not after or before == after:
        return set()
    try:
        return {change.path for change in files.diff(before, after)}
    except CheckpointError:
        return set()


def _write_passages(store: SnapshotStore, passages: Iterable[Passage]) -> None:
    make_private(store.folder)
    write_whole(_passages_path(store), json_bytes([asdict(passage) for passage in passages], indent=2))


def _passages_path(store: SnapshotStore) -> Path:
    return store.folder / _PASSAGES


def _why_no_tree(snapshot: Snapshot) -> str:
    reason = f": {snapshot.files_off}" if snapshot.files_off else ""
    return f"No files were kept at checkpoint {snapshot.number}{reason}"


def _nothing_to_do(snapshot: Snapshot, off: str) -> RewindPlan:
    return RewindPlan(
        number=snapshot.number,
        files_off=off,
        tree="",
        now="",
        changes=(),
        patch="",
        person_edits=(),
        git_then=snapshot.git_head,
        git_now="",
    )
