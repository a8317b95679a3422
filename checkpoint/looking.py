"""Asks git which of the project's files differ from the index of the latest capture."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from checkpoint.git import Command, Git, paths_in, paths_out
from checkpoint.ignore import Rules
from checkpoint.ledger import Ledger

_EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
_PROBE = ".cachet-probe"
_CLOSED_FOLDER = re.compile(r"^warning: could not open directory '(.*?)/?': (.+)$", re.MULTILINE)


@dataclass(slots=True)
class Look:
    """What git says differs from the index."""

    tracked: list[str]
    """Paths in the index that changed or went."""
    new: list[str]
    nested: set[str]
    """Folders with a repository of their own whose files aren't listed yet."""
    ignored: set[str]
    """Those of the asked paths that the ignore rules exclude."""
    closed: dict[str, str]


def look_at(git: Git, asked: Collection[str]) -> Look:
    commands = [
        Command(("diff-files", "-z", "--name-only", "--no-renames", "--relative")),
        Command(("ls-files", "-z", "-o", "--exclude-standard")),
    ]
    if asked:
        commands.append(
            Command(
                ("check-ignore", "-z", "--stdin"), paths_out([f"./{path}" for path in sorted(asked)]), (0, 1)
            )
        )
    changed, listed, *checked = git.at_once(*commands)
    others = paths_in(listed.out)
    return Look(
        tracked=paths_in(changed.out),
        new=[path for path in others if not path.endswith("/")],
        nested={path.rstrip("/") for path in others if path.endswith("/")},
        ignored={path.removeprefix("./") for answer in checked for path in paths_in(answer.out)},
        closed={found[1]: f"unreadable ({found[2]})" for found in _CLOSED_FOLDER.finditer(listed.err)},
    )


def look_into_nested(rules: Rules, ledger: Ledger, first: Look, asked: Collection[str]) -> Look:
    """List the files of nested repositories too.

    Git doesn't look into a folder with a repository of its own unless the index holds a path in there (and
    `add` would record only its commit, or stop at one without commits). So a probe is put there, and it lists
    again.
    """
    git, look, seen = rules.git, first, set(first.nested)
    while look.nested:
        entries = [f"100644 {_EMPTY_BLOB} 0\t{probe}" for probe in probes(look.nested)]
        git.in_project("update-index", "-z", "--index-info", data=paths_out(_from_top(git, entries)))
        ledger.nested |= look.nested
        rules.write(ledger.nested)
        look = look_at(git, asked)
        look.nested -= seen
        seen |= look.nested
    return Look(first.tracked, look.new, seen, look.ignored, look.closed)


def _from_top(git: Git, entries: list[str]) -> list[str]:
    """Index entries named from the top of the work tree, which is what `--index-info` wants."""
    below = git.project.relative_to(git.top).as_posix()
    return entries if below == "." else [entry.replace("\t", f"\t{below}/", 1) for entry in entries]


def probes(folders: Iterable[str]) -> list[str]:
    return [f"{folder}/{_PROBE}" for folder in sorted(folders)]
