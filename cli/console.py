"""Prints tables and diffs for commands that answer and exit, at whatever width there is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from agent.harmless import harmless

NARROW = 80
"""Columns below which a table leaves out what matters least."""


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    narrow: Sequence[int],
    left: int = 1,
    without: Sequence[int] = (),
) -> None:
    """A table on stdout. The first `left` columns are text, the others numbers, which are never cut.

    Below 80 columns only the columns at the places `narrow` are shown; those at `without` never are.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    places = range(len(headings)) if console.width >= NARROW else narrow
    shown = [place for place in places if place not in without]
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for place in shown:
        if place < left:
            table.add_column(
                headings[place], overflow="ellipsis", no_wrap=True, ratio=1 if place == 0 else None
            )
        else:
            table.add_column(headings[place], justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row[place]) for place in shown))
    console.print(table)


def print_patch(patch: str) -> None:
    """A unified diff on stdout, coloured where that is a terminal and colour is wanted; else as it is."""
    if not sys.stdout.isatty():
        print(patch, end="" if patch.endswith("\n") else "\n")
        return
    from rich.console import Console
    from rich.text import Text

    styles = {"+": "green", "-": "red", "@": "cyan"}
    console = Console(highlight=False, soft_wrap=True)
    for line in harmless(patch).splitlines():
        bold = line.startswith(("+++", "---", "diff "))
        console.print(Text(line, "bold" if bold else styles.get(line[:1], "")))
