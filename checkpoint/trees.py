"""Reads and compares the trees in the private git directory."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType

from checkpoint.git import Git, paths_in
from checkpoint.ledger import Facts
from checkpoint.types import Change, CheckpointError

EXECUTABLE = 0o100755
LINK = 0o120000
_NOTHING = 0
_ID = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a tree: git's mode for it, and the object with its bytes (of a link: where it points)."""

    mode: int
    blob: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One path in two trees; None where a tree doesn't have it."""

    path: str
    before: Entry | None
    after: Entry | None


def facts_of(git: Git, *trees: str) -> list[Facts]:
    """What each tree says of its files. Raises CheckpointError for a tree that isn't there."""
    with Blobs(git) as blobs:
        return [_facts(blobs, tree) for tree in trees]


def differences(git: Git, before: str, after: str) -> list[Difference]:
    """The paths whose content or kind differs, in path order."""
    if before == after:
        return []
    options = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev")
    out = git.in_store("diff-tree", *options, f"{before}:files", f"{after}:files").out
    fields = out.split(b"\0")
    return [
        _difference(head.decode("ascii"), path)
        for head, path in zip(fields[::2], paths_in(b"\0".join(fields[1::2])), strict=False)
    ]


def changes(git: Git, before: str, after: str) -> tuple[Change, ...]:
    """What one would see change from one tree to the other, permissions included."""
    if before == after:
        return ()
    first, second = facts_of(git, before, after)
    found = {
        each.path: Change(
            each.path, "added" if each.before is None else "deleted" if each.after is None else "modified"
        )
        for each in differences(git, before, after)
    }
    for path in modes_that_differ(first, second):
        found.setdefault(path, Change(path, "modified"))
    return tuple(found[path] for path in sorted(found))


def modes_that_differ(first: Facts, second: Facts) -> list[str]:
    """Paths whose permission bits differ although git sees no difference (0600 and 0644, say)."""
    differing = []
    for path in sorted(first.modes.keys() | second.modes.keys()):
        known = first.modes.get(path, second.modes.get(path, 0))
        executable = bool(known & 0o100)
        if first.mode(path, executable=executable) != second.mode(path, executable=executable):
            differing.append(path)
    return differing


def patch(git: Git, before: str, after: str, paths: Sequence[str] = ()) -> str:
    """A unified diff in git's format; binary files are only named."""
    facts_of(git, before, after)
    options = ("-r", "-p", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", "--abbrev=10")
    sides = (f"{before}:files", f"{after}:files")
    return git.in_store("--literal-pathspecs", "diff-tree", *options, *sides, "--", *paths).out.decode(
        "utf-8", "replace"
    )


def entries(git: Git, tree: str, paths: Iterable[str] = ()) -> dict[str, Entry]:
    """The tree's files, or those among `paths`."""
    out = git.in_store("ls-tree", "-r", "-z", "--full-tree", f"{tree}:files").out
    wanted = set(paths)
    found = {}
    for line in paths_in(out):
        head, _, path = line.partition("\t")
        mode, _, blob = head.split(" ")
        if not wanted or path in wanted:
            found[path] = Entry(int(mode, 8), blob)
    return found


class Blobs:
    """Objects' bytes, read one after the other from one git process."""

    __slots__ = ("_git", "_process")

    def __init__(self, git: Git) -> None:
        self._git = git

    def __enter__(self) -> Blobs:
        self._process: subprocess.Popen[bytes] = self._git.start_in_store("cat-file", "--batch")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def read(self, name: str) -> bytes | None:
        """The object's bytes; None where it is missing."""
        pipes = self._process
        assert pipes.stdin is not None
        assert pipes.stdout is not None
        pipes.stdin.write(name.encode("ascii") + b"\n")
        pipes.stdin.flush()
        head = pipes.stdout.readline().split()
        if len(head) != 3 or not head[2].isdigit():
            return None
        data = pipes.stdout.read(int(head[2]))
        pipes.stdout.read(1)
        return data


def _facts(blobs: Blobs, tree: str) -> Facts:
    data = blobs.read(f"{tree}:facts") if _ID.fullmatch(tree) else None
    if data is None:
        raise CheckpointError(
            f"The files of this checkpoint are gone (tree {tree[:12] or 'without a name'}): its session was "
            "removed, or Cachet's checkpoint folder was changed. The conversation can still be rewound."
        )
    try:
        return Facts.parse(data)
    except ValueError as error:
        raise CheckpointError(f"Tree {tree[:12]} can't be read: {error}") from error


def _difference(head: str, path: str) -> Difference:
    old_mode, new_mode, old, new, _ = head.lstrip(":").split(" ")
    return Difference(path, _entry(old_mode, old), _entry(new_mode, new))


def _entry(mode: str, blob: str) -> Entry | None:
    number = int(mode, 8)
    return None if number == _NOTHING else Entry(number, blob)
