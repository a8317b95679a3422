"""What changes between two versions of a text, as a unified diff for a person."""

from __future__ import annotations

import difflib
import re
from itertools import chain

from agent.harmless import visible

CONTEXT = 3
SLOW = 4_000
"""Lines of changed text beyond which a line-by-line comparison takes too long to wait for."""

NO_END = "\n\\ No newline at end of file"


def unified(before: str, after: str, name: str) -> str:
    """The diff with every control character visible; empty when nothing changes. Line ends count as LF."""
    old, new = _lines(before), _lines(after)
    head = _shared(old, new)
    tail = _shared(old[head:][::-1], new[head:][::-1])
    start, stop = max(0, head - CONTEXT), max(0, tail - CONTEXT)
    old_part, new_part = old[start : len(old) - stop], new[start : len(new) - stop]
    if max(len(old_part), len(new_part)) > SLOW:
        lines = _replaced(old, new, head, tail)
    else:
        lines = [
            _shifted(line, start) if line.startswith("@@") else line
            for line in difflib.unified_diff(old_part, new_part, n=CONTEXT, lineterm="")
        ][2:]
    if not lines:
        return ""
    return visible("\n".join((f"--- {name}", f"+++ {name}", *lines)))


def tally(diff: str) -> str:
    """`+12 -3`: lines added and taken away."""
    lines = diff.split("\n")[2:]
    added = sum(line.startswith("+") for line in lines)
    taken = sum(line.startswith("-") for line in lines)
    return f"+{added} -{taken}"


def shortened(diff: str, limit: int = 200) -> str:
    """At most `limit` lines of a diff, with a word on how many are left out."""
    lines = diff.split("\n")
    if len(lines) <= limit:
        return diff
    return "\n".join((*lines[:limit], f"… {len(lines) - limit} more lines"))


def _lines(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").split("\n")
    last = lines.pop()
    return [*lines, last + NO_END] if last else lines


def _shared(old: list[str], new: list[str]) -> int:
    """How many lines the two begin with alike."""
    count = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        count += 1
    return count


def _shifted(header: str, by: int) -> str:
    return re.sub(r"(?<= [-+])\d+", lambda number: str(int(number[0]) + by), header)


def _replaced(old: list[str], new: list[str], head: int, tail: int) -> list[str]:
    """One hunk that takes all changed lines away and adds them anew."""
    gone, come = old[head : len(old) - tail], new[head : len(new) - tail]
    header = f"@@ -{head + 1},{len(gone)} +{head + 1},{len(come)} @@"
    return [header, *chain(("-" + line for line in gone), ("+" + line for line in come))]
