"""Gathers the ignore rules that stand outside of `.gitignore` files (those git reads itself)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from checkpoint.git import Git, write_if_other
from checkpoint.repository import Repository


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a capture. `base` are the person's global ones and Cachet's own."""

    git: Git
    base: bytes

    def write(self, nested: Iterable[str]) -> None:
        """Put them where git looks, with those of the project's repository and of the ones at `nested`.

        The rules of a repository's `info/exclude` are often for secrets. Raises OSError.
        """
        git = self.git
        repository = Repository.at(git.top)
        parts = [self.base, repository.excludes() if repository else b""]
        for folder in sorted(nested):
            place = git.project / folder
            if inner := Repository.at(place):
                parts.append(below(place.relative_to(git.top).as_posix(), inner.excludes()))
        write_if_other(git.directory / "info" / "exclude", joined(parts))


def escaped(path: str) -> bytes:
    """A path as an ignore pattern that means exactly this path."""
    text = re.sub(rb"([\\*?\[\]!#])", rb"\\\1", os.fsencode(path))
    return text[:-1] + b"\\ " if text.endswith(b" ") else text


def below(folder: str, rules: bytes) -> bytes:
    """The rules of a nested repository at `folder`, rewritten so that they mean the same from the top.

    `*.key` becomes `/folder/**/*.key`, `/build` and `a/b` become `/folder/build` and `/folder/a/b`.
    """
    return b"".join(_line_below(escaped(folder), line) for line in rules.split(b"\n"))


def joined(parts: Iterable[bytes]) -> bytes:
    """Rule files one after the other, the weakest first: with git a later line wins."""
    return b"\n".join(part.rstrip(b"\n") for part in parts if part.strip()) + b"\n"


def _line_below(folder: bytes, line: bytes) -> bytes:
    line = line.rstrip(b"\r")
    if not line.strip() or line.startswith(b"#"):
        return b""
    negated, pattern = (b"!", line[1:]) if line.startswith(b"!") else (b"", line)
    anchored = b"/" in pattern.rstrip().rstrip(b"/")
    return negated + b"/" + folder + (b"/" if anchored else b"/**/") + pattern.lstrip(b"/") + b"\n"
