"""A project's files, kept in a private git directory: captured, compared and brought back."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from checkpoint import capturing, restoring, trees
from checkpoint.capturing import Caps, TooMuch
from checkpoint.directory import NO_GIT, Directory, ledger_of, ledger_path
from checkpoint.git import Git, find_git
from checkpoint.places import session_refs
from checkpoint.repository import Repository
from checkpoint.types import Capture, Change, CheckpointError, Restored

__all__ = ["Caps", "Capture", "Change", "FileStore", "Restored"]

_REF = re.compile(r"refs/ckpt(/[A-Za-z0-9_][A-Za-z0-9_-]*){2,}")
_LOOSE_BOUND = 2_000
_PACK_BOUND = 20
_SAVING_ROUNDS = 3


@dataclass(slots=True)
class FileStore:
    """The kept files of one project. All methods block; several processes may use one project's store.

    `off` says why files are not kept, and is empty while they are. While it is not, captures are empty, and
    what compares or restores raises CheckpointError with the reason. `project` is the real path.
    """

    project: Path
    home: Path
    off: str
    caps: Caps
    _environ: Mapping[str, str] = field(repr=False)
    _directory: Directory = field(repr=False)

    @classmethod
    def open(
        cls,
        project: Path,
        home: Path,
        *,
        caps: Caps | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> FileStore:
        """The store of the project's folder. Starts no process and writes nothing yet; never raises."""
        given = os.environ if environ is None else environ
        real = Path(os.path.realpath(project))
        directory = Directory(real, home.absolute(), given)
        return cls(real, home.absolute(), _why_off(real, given), caps or Caps(), given, directory)

    def capture(self, *refs: str, extra: Iterable[Path] = ()) -> Capture:
        """Keep the files as they are now, under names such as `refs/ckpt/<session>/<number>`.

        `extra` are files that a tool is about to write or wrote: they are kept although the project ignores
        them. Name them before the tool runs, existing or not, so that a restore knows how they were. Raises
        CheckpointError with the cause when git or the disk fails.
        """
        repository = Repository.around(self.project)
        head, branch = repository.head() if repository else ("", "")
        if self.off:
            return Capture("", (), head, branch)
        inside, outside = self._relative(extra)
        try:
            with self._directory.locked() as git:
                known = len(ledger_of(git).extras)
                tree, skipped = self._captured(git, inside)
                _name(git, refs, tree)
                if len(ledger_of(git).extras) > known:
                    # A later capture may take the name over; this tree has an ignored file's first copy.
                    _name(git, [f"{ref.rpartition('/')[0]}/first-{tree[:12]}" for ref in refs], tree)
        except TooMuch as reason:
            self.off = f"{reason}: files are not kept"
            return Capture("", (), head, branch)
        skipped |= dict.fromkeys(outside, "outside the project")
        told = tuple(f"{path}: {reason}" for path, reason in sorted(skipped.items()))
        return Capture(tree, told, head, branch)

    def diff(self, before: str, after: str) -> tuple[Change, ...]:
        """What changed from one tree to the other, by path."""
        return trees.changes(self._git(), before, after)

    def patch(self, before: str, after: str, paths: Sequence[str] = ()) -> str:
        """The same as a unified diff, of all paths or of those given; binary files are only named."""
        return trees.patch(self._git(), before, after, paths)

    def restore(
        self, tree: str, *, keep: frozenset[str] = frozenset(), safety: str = "refs/ckpt/safety/latest"
    ) -> Restored:
        """Bring the files to `tree`, after a capture of how they are, named `safety`.

        Only paths that differ are touched, and only those whose present content that capture holds. Paths in
        `keep` stay. Killed half-way, running it again completes it.
        """
        self._git()
        try:
            with self._directory.locked() as git:
                trees.facts_of(git, tree)
                now, unsaved = self._saved(git, tree)
                _name(git, (safety,), now)
                extras = ledger_of(git).extras
                return restoring.restore(git, now, tree, unsaved=unsaved, extras=extras, keep=keep)
        except TooMuch as reason:
            raise CheckpointError(f"Nothing was restored: {reason}, so they can't be saved first") from reason

    def holds(self, tree: str) -> bool:
        """Whether the tree is still there."""
        try:
            trees.facts_of(self._git(), tree)
        except CheckpointError:
            return False
        return True

    def maintain(self) -> bool:
        """Pack the store if it has grown; return whether it did. Takes seconds: run it in the background."""
        if self.off or not _has_grown(self._directory.path / "objects"):
            return False
        with self._directory.locked() as git:
            how = ("-d", "--geometric=2") if git.version() >= (2, 32) else ("-d",)
            git.in_store("repack", "-q", *how)
        return True

    def forget(self, session: str) -> None:
        """Remove a session's trees and what only they held. Also works when the project is gone."""
        folder = session_refs(session)
        if not self._directory.path.is_dir() or find_git(self._environ) is None:
            return
        with self._directory.locked() as git:
            names = git.in_store("for-each-ref", "--format=%(refname)", "refs/ckpt").out.decode().split()
            gone = [name for name in names if name.startswith(f"{folder}/")]
            if len(gone) == len(names):
                shutil.rmtree(git.directory)
            elif gone:
                git.in_store(
                    "update-ref", "--stdin", data="".join(f"delete {name}\n" for name in gone).encode()
                )
                _drop_unnamed(git)

    def _captured(self, git: Git, extra: Iterable[str]) -> tuple[str, dict[str, str]]:
        rules = self._directory.rules(git)
        return capturing.capture(rules, ledger_of(git), ledger_path(git), extra=extra, caps=self.caps)

    def _saved(self, git: Git, tree: str) -> tuple[str, dict[str, str]]:
        """Capture what there is, with every file that going to `tree` would overwrite, ignored ones too.

        Returns the tree, and those of them that could not be captured, with the reason.
        """
        more: set[str] = set()
        for _ in range(_SAVING_ROUNDS):
            now, skipped = self._captured(git, more)
            missing = {
                each.path
                for each in trees.differences(git, now, tree)
                if each.before is None and capturing.is_file_there(self.project, each.path)
            }
            if not missing - more - skipped.keys():
                break
            more |= missing
        return now, {path: skipped.get(path, "it is ignored") for path in missing}

    def _git(self) -> Git:
        if self.off:
            raise CheckpointError(self.off)
        if not self._directory.path.is_dir():
            raise CheckpointError(f"No files were kept yet for {self.project}")
        return self._directory.git()

    def _relative(self, extra: Iterable[Path]) -> tuple[set[str], set[str]]:
        """The paths relative to the project (folders' symlinks resolved), and those outside of it."""
        inside, outside = set(), set()
        for path in extra:
            place = Path(os.path.realpath(Path(self.project, path).parent), path.name)
            if place.is_relative_to(self.project) and place != self.project:
                inside.add(place.relative_to(self.project).as_posix())
            else:
                outside.add(str(path))
        return inside, outside


def _why_off(project: Path, environ: Mapping[str, str]) -> str:
    home = Path(os.path.realpath(environ.get("HOME") or Path.home()))
    if not project.is_dir():
        return f"{project} is not a folder: files are not kept"
    if project == Path(project.anchor):
        return f"{project} is not a project: files are not kept"
    if home.is_relative_to(project):
        return "$HOME is not a project: files are not kept"
    return "" if find_git(environ) else NO_GIT


def _name(git: Git, refs: Sequence[str], tree: str) -> None:
    """Give the tree names, which keep it. Raises CheckpointError for one that isn't one of ours."""
    for ref in refs:
        if not _REF.fullmatch(ref):
            raise CheckpointError(f"{ref!r} is not a checkpoint's name: want refs/ckpt/SESSION/NUMBER")
        (git.directory / f"{ref}.lock").unlink(missing_ok=True)
    git.in_store(
        "update-ref",
        "--stdin",
        data="".join(f"update {ref} {tree}\n" for ref in dict.fromkeys(refs)).encode(),
    )


def _drop_unnamed(git: Git) -> None:
    """Remove the objects that neither a ref nor the index names."""
    for other in git.directory.glob("index-*"):
        if other not in (git.index, ledger_path(git)):
            other.unlink()
    ledger = ledger_of(git)
    ledger.last = None
    ledger.write(ledger_path(git))
    if any((git.directory / "objects" / "pack").glob("*.pack")):
        git.in_store("repack", "-a", "-d", "-q")
    git.in_store("prune", "--expire=now")


def _has_grown(objects: Path) -> bool:
    if sum(1 for _ in (objects / "pack").glob("*.pack")) > _PACK_BOUND:
        return True
    return sum(1 for _ in objects.glob("[0-9a-f][0-9a-f]/*")) > _LOOSE_BOUND
