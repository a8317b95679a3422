"""What a model probably meant: names near a missing file, passages near a text that isn't there."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

FEW = 3
SEARCHED_FOLDERS = 2_000
SKIPPED = frozenset({".git", "node_modules", ".venv", "__pycache__"})
LIKE = 0.6
"""How alike two passages must be to count as near, from 0 to 1."""
COMPARED_LINES = 20_000


@dataclass(frozen=True, slots=True)
class Passage:
    """Lines of a text, counted from 1; `same_words` when only whitespace differs from what was looked for."""

    first: int
    lines: tuple[str, ...]
    same_words: bool

    def numbered(self, limit: int = 12) -> str:
        shown = [f"{self.first + index}\t{line}" for index, line in enumerate(self.lines[:limit])]
        return "\n".join(shown)


def near_names(path: Path, root: Path) -> tuple[Path, ...]:
    """What a missing path may have meant: names alike beside it, else the same name under `root`."""
    try:
        beside = sorted(os.listdir(path.parent))
    except OSError:
        beside = []
    folded = {name.casefold(): name for name in beside}
    close = difflib.get_close_matches(path.name.casefold(), folded, n=FEW, cutoff=LIKE)
    if close:
        return tuple(path.parent / folded[name] for name in close)
    return tuple(islice(_namesakes(path.name, root), FEW))


def _namesakes(name: str, root: Path) -> list[Path]:
    found = []
    for folder, folders, files in islice(os.walk(root), SEARCHED_FOLDERS):
        folders[:] = sorted(entry for entry in folders if entry not in SKIPPED)
        if name in files:
            found.append(Path(folder, name))
    return sorted(found, key=lambda path: (len(path.parts), path))


def near_passages(text: str, wanted: str) -> tuple[Passage, ...]:
    """The passages most like `wanted`, best first: those that differ in whitespace only, else those alike."""
    lines = text.split("\n")[:COMPARED_LINES]
    sought = wanted.strip("\n").split("\n")
    same = _same_words(lines, sought)
    if same:
        return same
    size = len(sought)
    scored: list[tuple[float, int]] = []
    for start in _starts(lines, sought):
        window = "\n".join(line.strip() for line in lines[start : start + size])
        ratio = difflib.SequenceMatcher(None, window, "\n".join(line.strip() for line in sought)).ratio()
        if ratio >= LIKE:
            scored.append((-ratio, start))
    passages: list[Passage] = []
    for _, start in sorted(scored):
        if all(abs(start + 1 - other.first) >= size for other in passages):
            passages.append(Passage(start + 1, tuple(lines[start : start + size]), same_words=False))
    return tuple(passages[:FEW])


def _same_words(lines: list[str], sought: list[str]) -> tuple[Passage, ...]:
    words = [line.split() for line in sought]
    first, size = words[0], len(words)
    found = [
        Passage(start + 1, tuple(lines[start : start + size]), same_words=True)
        for start in range(len(lines) - size + 1)
        if lines[start].split() == first
        and all(lines[start + index].split() == words[index] for index in range(1, size))
    ]
    return tuple(found[:FEW]) if any(words) else ()


def _starts(lines: list[str], sought: list[str]) -> list[int]:
    """Where a passage could begin: around the lines most like the longest line that is sought."""
    anchor, key = max(enumerate(line.strip() for line in sought), key=lambda pair: len(pair[1]))
    matcher = difflib.SequenceMatcher(None, b=key)
    likely: list[tuple[float, int]] = []
    for index, line in enumerate(lines):
        matcher.set_seq1(line.strip())
        if matcher.real_quick_ratio() >= LIKE and matcher.quick_ratio() >= LIKE:
            likely.append((-matcher.quick_ratio(), index))
    best = (index for _, index in sorted(likely)[: FEW * 4])
    return sorted({max(0, index - anchor) for index in best})
