"""Captures a project's files into the private git directory."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from checkpoint.git import Git, GitFailed, paths_out
from checkpoint.ignore import Rules
from checkpoint.ledger import Facts, Last, Ledger
from checkpoint.looking import Look, look_at, look_into_nested, probes

_MANY = 500
"""More files than these go into one pack at once: a tenth of the space, half the time of loose objects."""
_REFUSED_NAME = re.compile(r"^Ignoring path (.+)$", re.MULTILINE)


class TooMuch(Exception):
    """The folder holds more than is kept; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What is not kept for its size, in bytes: larger files, and whole folders that hold more."""

    file: int = 10_000_000
    total: int = 2_000_000_000


@dataclass(slots=True)
class _Plan:
    """What to tell the index."""

    add: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    """When each file last changed in any way, in seconds since the epoch."""
    size: int = 0

    def note(self, path: str, found: os.stat_result) -> None:
        self.modes[path] = stat.S_IMODE(found.st_mode)
        self.changed[path] = int(found.st_ctime)


def capture(
    rules: Rules, ledger: Ledger, ledger_path: Path, *, extra: Iterable[str], caps: Caps
) -> tuple[str, dict[str, str]]:
    """Bring the index up to date and write its tree; return the tree and what was skipped, with reasons.

    `extra` are paths to keep although the project ignores them, existing or not: what our tools write.
    Raises TooMuch, CheckpointError and OSError. Run it under the store's lock.
    """
    git = rules.git
    started = int(time.time())
    asked = set(extra) - ledger.extras.keys()
    rules.write(ledger.nested)
    look = look_at(git, asked)
    if look.nested:
        look = look_into_nested(rules, ledger, look, asked)
    fresh = look.ignored
    ledger.absent |= fresh
    plan = _plan(git.project, look, ledger, caps)
    plan.remove += [probe for probe in probes(look.nested) if probe not in plan.remove]
    _look_at_recent(git.project, ledger, plan)
    ledger.note_modes(plan.modes, plan.remove)
    ledger.recent = {path for path, changed in plan.changed.items() if changed >= started}
    if ledger.last and (plan.add or plan.remove):
        ledger.last = replace(ledger.last, index=())
    ledger.absent -= set(plan.add)
    ledger.absent |= ledger.extras.keys() & set(plan.remove)
    # The ledger first: should the machine stop in between, the next capture finds these paths changed again.
    ledger.write(ledger_path)
    _apply(git, plan)
    if plan.add or plan.remove:
        _backdate(git.index, started)
    tree = _tree(git, ledger, ledger.facts(plan.skipped, fresh), started)
    ledger.extras |= dict.fromkeys(fresh, tree)
    ledger.write(ledger_path)
    return tree, plan.skipped


def _plan(project: Path, look: Look, ledger: Ledger, caps: Caps) -> _Plan:
    plan = _Plan(skipped=dict(look.closed))
    tracked, new = set(look.tracked), set(look.new)
    for path in dict.fromkeys((*look.tracked, *look.new, *sorted(ledger.absent))):
        if path in tracked or os.path.lexists(project / path):
            _place(project, path, plan, caps, tracked=path in tracked, listed=path in new)
    if plan.size > caps.total:
        raise TooMuch(f"over {_megabytes(caps.total)} of files here, which is more than checkpoints keep")
    ledger.special |= set(_special_files(project, (*look.tracked, *look.new)))
    for path in sorted(ledger.special):
        if _is_special(project / path):
            plan.skipped[path] = "not a file (socket, pipe or device)"
        else:
            ledger.special.discard(path)
    return plan


def _place(project: Path, path: str, plan: _Plan, caps: Caps, *, tracked: bool, listed: bool) -> None:
    """Decide about one path by `lstat`, before any of it is read."""
    place = project / path
    reason = ""
    try:
        # What git lists as new lies behind no symlink; the others may do so by now.
        found = os.lstat(place) if listed or _reached_directly(project, path) else None
    except OSError:
        found = None
    if found is None or stat.S_ISDIR(found.st_mode):
        pass
    elif stat.S_ISLNK(found.st_mode):
        plan.add.append(path)
        return
    elif not stat.S_ISREG(found.st_mode):
        reason = "not a file (socket, pipe or device)"
    elif found.st_size > caps.file:
        reason = f"over {_megabytes(caps.file)}"
    elif not os.access(place, os.R_OK):
        reason = "unreadable"
    else:
        plan.add.append(path)
        plan.note(path, found)
        plan.size += found.st_size
        return
    if reason:
        plan.skipped[path] = reason
    if tracked:
        plan.remove.append(path)


def is_file_there(project: Path, path: str) -> bool:
    """Whether a file or link stands at the path itself; what lies behind a link doesn't count."""
    try:
        found = os.lstat(project / path)
    except OSError:
        return False
    return not stat.S_ISDIR(found.st_mode) and _reached_directly(project, path)


def _reached_directly(project: Path, path: str) -> bool:
    """Whether no folder on the way is a symlink (what lies behind one is not the project's file)."""
    place = project
    for part in path.split("/")[:-1]:
        place = place / part
        if place.is_symlink():
            return False
    return True


def _special_files(project: Path, paths: Iterable[str]) -> Iterator[str]:
    """Sockets, pipes and devices beside the given paths: git doesn't list them."""
    for folder in sorted({os.path.dirname(path) for path in paths} | {""}):
        try:
            with os.scandir(project / folder) as entries:
                for entry in entries:
                    if not (entry.is_symlink() or entry.is_dir() or entry.is_file(follow_symlinks=False)):
                        yield os.path.join(folder, entry.name)
        except OSError:
            continue


def _is_special(place: Path) -> bool:
    try:
        mode = os.lstat(place).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def _look_at_recent(project: Path, ledger: Ledger, plan: _Plan) -> None:
    """Look again at files that changed in the second of the latest capture.

    Git compares whole seconds: it would miss that such a file's permissions have changed since.
    """
    for path in ledger.recent - plan.modes.keys() - set(plan.remove):
        try:
            found = os.lstat(project / path)
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode):
            plan.note(path, found)


def _backdate(index: Path, started: int) -> None:
    """Date the index to the capture's start.

    Git compares a file's bytes again if the file isn't older than the index. One that was edited while a slow
    capture went on, in the second in which it had been read, would else count as unchanged for ever.
    """
    with suppress(FileNotFoundError):
        os.utime(index, (started, started))


def _apply(git: Git, plan: _Plan) -> None:
    if plan.remove:
        git.in_project("update-index", "-z", "--force-remove", "--stdin", data=paths_out(plan.remove))
    if not plan.add:
        return
    packed = ("-c", "core.bigFileThreshold=1") if len(plan.add) > _MANY and git.version() >= (2, 37) else ()
    options = ("-z", "--add", "--remove", "--replace", "--stdin")
    try:
        done = git.in_project(*packed, "update-index", *options, data=paths_out(plan.add))
    except GitFailed:
        _add_what_can_be(git, plan)
        return
    for found in _REFUSED_NAME.finditer(done.err):
        plan.skipped[found[1]] = "git refuses this name"


def _add_what_can_be(git: Git, plan: _Plan) -> None:
    """One path stopped `update-index`: add the others, and name what still isn't in."""
    there = [path for path in plan.add if os.path.lexists(git.project / path)]
    options = ("-f", "-A", "--ignore-errors", "--pathspec-from-file=-", "--pathspec-file-nul")
    answer = git.in_project("--literal-pathspecs", "add", *options, data=paths_out(there), allow=(0, 1, 128))
    look = look_at(git, ())
    for path in {*look.tracked, *look.new} & set(there):
        plan.skipped[path] = "git could not read it"
    if answer.code == 128 and not plan.skipped.keys() & set(there):
        raise GitFailed("add", answer.err)


def _tree(git: Git, ledger: Ledger, facts: Facts, started: int) -> str:
    """The tree of files and facts: made anew only where one of them changed."""
    last = ledger.last
    data = facts.encode()
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    same_index = last is not None and last.index == _stamp(git.index)
    if last is not None and same_index and last.facts == blob:
        return last.tree
    if last is None or last.facts != blob:
        git.in_store("hash-object", "-w", "--stdin", data=data)
    if last is not None and same_index:
        files = last.files
    else:
        files = _write_files(git)
        _backdate(git.index, started)
    entries = f"100644 blob {blob}\tfacts\n040000 tree {files}\tfiles\n"
    tree = git.in_store("mktree", data=entries.encode()).out.decode().strip()
    ledger.last = Last(_stamp(git.index), files, blob, tree)
    return tree


def _write_files(git: Git) -> str:
    below = git.project.relative_to(git.top).as_posix()
    if below == ".":
        return git.in_project("write-tree").out.decode().strip()
    if not git.in_project("ls-files", "-z", "--", ".").out:
        return git.in_store("mktree").out.decode().strip()
    return git.in_project("write-tree", f"--prefix={below}/").out.decode().strip()


def _stamp(index: Path) -> tuple[int, ...]:
    """Tells one state of the index file from another; empty where there is none."""
    try:
        found = os.stat(index)
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:g} MB" if size < 1_000_000_000 else f"{size / 1_000_000_000:g} GB"
