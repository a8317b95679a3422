"""Brings a project's files to a tree, path by path, touching no other path."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from checkpoint.git import Command, Git, paths_in, paths_out
from checkpoint.ledger import Facts
from checkpoint.placing import Blocked, Ground
from checkpoint.repository import read_rules
from checkpoint.trees import (
    EXECUTABLE,
    LINK,
    Blobs,
    Difference,
    Entry,
    differences,
    entries,
    facts_of,
    modes_that_differ,
)
from checkpoint.types import CheckpointError, Restored

_IGNORE_FILE = ".gitignore"


@dataclass(frozen=True, slots=True)
class _Target:
    """What a path is to become: an entry with its permission bits, or nothing."""

    path: str
    entry: Entry | None
    mode: int = 0


@dataclass(slots=True)
class _Work:
    """What to do, and what was done."""

    remove: list[str] = field(default_factory=list)
    write: list[_Target] = field(default_factory=list)
    permit: dict[str, int] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def restore(
    git: Git,
    now: str,
    tree: str,
    *,
    unsaved: Mapping[str, str],
    extras: Mapping[str, str],
    keep: frozenset[str],
) -> Restored:
    """Change the files that differ between `now`, just captured, and `tree`.

    `unsaved` are paths whose present content `now` doesn't hold, with the reason: they are left alone, as are
    those in `keep`. `extras` are ignored files of our tools, each with the first tree that knows of it.
    Raises CheckpointError for a tree that is gone; what fails for one path is a problem in the answer.
    """
    facts_now, facts = facts_of(git, now, tree)
    work = _Work()
    differing = differences(git, now, tree)
    earlier = _Earlier(git, facts, extras, _ignored_then(git, tree, differing))
    for each in differing:
        if each.path in keep:
            work.kept[each.path] = "you asked to keep it"
        elif each.path in unsaved:
            work.kept[each.path] = f"what it holds now could not be saved first ({unsaved[each.path]})"
        elif each.after is not None:
            work.write.append(_target(each.path, each.after, facts))
        else:
            _plan_removal(work, each, earlier)
    for path in modes_that_differ(facts_now, facts):
        if path not in keep and path not in unsaved:
            known = facts_now.modes.get(path, facts.modes.get(path, 0))
            work.permit[path] = facts.mode(path, executable=bool(known & 0o100))
    touched = {each.path for each in differing}
    work.permit = {path: mode for path, mode in work.permit.items() if path not in touched}
    with Ground.of(git.project) as ground:
        _remove(ground, work)
        _write(ground, git, work)
        _permit(ground, work)
    kept = tuple(f"{path}: {reason}" for path, reason in sorted(work.kept.items()))
    return Restored(tuple(work.changed), tuple(work.deleted), kept, tuple(work.problems), now)


@dataclass(frozen=True, slots=True)
class _Earlier:
    """Answers what a path was when a tree was made that doesn't have it."""

    git: Git
    facts: Facts
    extras: Mapping[str, str]
    ignored: frozenset[str]

    def of(self, path: str) -> _Target | str:
        """The path as it was, or why that isn't known (then it is nobody's to delete)."""
        for place in (path, *_folders(path)):
            if place in self.facts.skipped:
                return f"not part of the checkpoint ({self.facts.skipped[place]})"
        if path in self.facts.extras:
            return _Target(path, None)
        if first := self.extras.get(path):
            return self._at_first(path, first)
        return "ignored at that checkpoint" if path in self.ignored else _Target(path, None)

    def _at_first(self, path: str, first: str) -> _Target | str:
        """An ignored file that a tool of ours wrote later: as it was before that."""
        try:
            facts = facts_of(self.git, first)[0]
            found = entries(self.git, first, (path,)).get(path)
        except CheckpointError:
            return "ignored at that checkpoint, and no earlier copy is left"
        return _target(path, found, facts)


def _target(path: str, entry: Entry | None, facts: Facts) -> _Target:
    return _Target(path, entry, facts.mode(path, executable=entry.mode == EXECUTABLE) if entry else 0)


def _plan_removal(work: _Work, each: Difference, earlier: _Earlier) -> None:
    match earlier.of(each.path):
        case str(reason):
            work.kept[each.path] = reason
        case _Target(entry=None):
            work.remove.append(each.path)
        case target if target.entry != each.before:
            work.write.append(target)


def _ignored_then(git: Git, tree: str, differing: Iterable[Difference]) -> frozenset[str]:
    """Those of the paths missing in the tree that its ignore rules excluded: it says nothing of them.

    Asked only where an ignore file differs. The rules are laid out in a folder of their own: git reads them
    from files, and the project's files are those of today.
    """
    removals = [each.path for each in differing if each.after is None]
    if not removals or not any(os.path.basename(each.path) == _IGNORE_FILE for each in differing):
        return frozenset()
    below = git.project.relative_to(git.top)
    with tempfile.TemporaryDirectory(prefix=".rules-", dir=git.directory.parent) as name:
        top = Path(name)
        for folder in below.parents:
            _lay(top / folder / _IGNORE_FILE, read_rules(git.top / folder / _IGNORE_FILE))
        with Blobs(git) as blobs:
            for path, entry in entries(git, tree).items():
                if os.path.basename(path) == _IGNORE_FILE and entry.mode != LINK:
                    _lay(top / below / path, blobs.read(entry.blob) or b"")
        asked = paths_out([_from(below, path) for path in removals])
        command = Command(("check-ignore", "--no-index", "-z", "--stdin"), asked, (0, 1))
        answered = set(paths_in(git.at_once(command, top=top)[0].out))
    return frozenset(path for path in removals if _from(below, path) in answered)


def _from(below: Path, path: str) -> str:
    """The path from the top; the dot keeps a leading colon from meaning something to git."""
    return f"./{(below / path).as_posix()}"


def _lay(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _remove(ground: Ground, work: _Work) -> None:
    """Removals come first, so that a folder can become a file; folders left empty go too, as with git."""
    for path in sorted(work.remove):
        with _noting_problems(work, path):
            ground.remove(path)
            work.deleted.append(path)
            for folder in _folders(path):
                if not ground.remove_empty(folder):
                    break
    work.deleted.sort()


def _write(ground: Ground, git: Git, work: _Work) -> None:
    if not work.write:
        return
    with Blobs(git) as blobs:
        for target in work.write:
            with _noting_problems(work, target.path):
                _place(ground, target, blobs)
                work.changed.append(target.path)


def _place(ground: Ground, target: _Target, blobs: Blobs) -> None:
    data = blobs.read(target.entry.blob) if target.entry else None
    if target.entry is None or data is None:
        raise Blocked("its content is missing in Cachet's checkpoint folder")
    if target.entry.mode == LINK:
        ground.link(target.path, data)
    else:
        ground.write(target.path, data, target.mode)


def _permit(ground: Ground, work: _Work) -> None:
    for path, mode in work.permit.items():
        with _noting_problems(work, path):
            if ground.permit(path, mode):
                work.changed.append(path)
    work.changed.sort()


@contextmanager
def _noting_problems(work: _Work, path: str) -> Iterator[None]:
    """One path's failure is told, and the others go on."""
    try:
        yield
    except Blocked as error:
        work.problems.append(f"{path}: {error}")
    except OSError as error:
        work.problems.append(f"{path}: {error.strerror}")


def _folders(path: str) -> list[str]:
    """The folders that hold a path, the innermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]
