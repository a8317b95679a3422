"""Cuts Markdown that is still streaming into blocks that are finished and a rest that may still change."""

from __future__ import annotations

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def split(text: str) -> tuple[list[str], str]:
    """The finished blocks in order, and the rest; joined with blank lines they are the text.

    A block ends at a blank line that is followed by a line which starts at the margin, or with the fence that
    closes it: an indented line after a blank one still belongs to the list item above.
    """
    blocks: list[str] = []
    block: list[str] = []
    fence = ""
    blank = False
    lines = text.splitlines(keepends=True)
    for line in lines:
        if not fence and blank and line.strip() and not line[0].isspace():
            _close(block, blocks)
        marker = _FENCE.match(line)
        closes = bool(fence and marker and marker[1].startswith(fence) and not marker[2].strip())
        if not fence and marker and "`" not in marker[2]:
            fence = marker[1]
        block.append(line)
        if closes:
            fence = ""
            if line.endswith("\n") and not line[0].isspace():
                _close(block, blocks)
        blank = not fence and not line.strip()
    return blocks, "".join(block).lstrip("\n")


def _close(block: list[str], blocks: list[str]) -> None:
    whole = "".join(block).strip("\n")
    if whole.strip():
        blocks.append(whole)
    block.clear()
