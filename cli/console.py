"""Prints tables and diffs for commands that answer and exit, at whatever width there is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from agent.harmless import harmless

NARROW = 80
"""Columns below which a table leaves out what matters least."""


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    narrow: Sequence[int],
    text: Sequence[int] = (0,),
    gives_way: int = 0,
) -> None:
    """A table on stdout. Columns at the places `text` stand to the left, the others to the right.

    Below 80 columns only those at the places `narrow` are shown; where the rest is still too wide, the column
    `gives_way` is cut. The others never are: half a number is a wrong number.
    """
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    shown = range(len(headings)) if console.width >= NARROW else narrow
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for place in shown:
        widest = max(cell_len(cell) for cell in (headings[place], *(row[place] for row in rows)))
        table.add_column(
            headings[place],
            justify="left" if place in text else "right",
            min_width=None if place == gives_way else widest,
            no_wrap=True,
            overflow="ellipsis",
        )
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
