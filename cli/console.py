"""Prints tables and diffs for commands that answer and exit, at whatever width there is."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence

from agent.harmless import harmless, one_line

GAP = 3
"""Cells between two columns."""

COMFORTABLE = 30
"""Cells of the column that gives way below which others are left out first."""

SHORTEST = 8
"""Cells that it keeps in any case."""


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    narrow: Sequence[int],
    spare: Sequence[int] = (),
    text: Sequence[int] = (0,),
    gives_way: int = 0,
) -> None:
    """A table on stdout. Columns at the places `text` stand to the left, the others to the right.

    Where the terminal is too narrow for all, those at the places `spare` are left out; where that is not
    enough, only those at the places `narrow` are shown, and the column `gives_way` is cut. The others never
    are, rather is a line too long: half a number is a wrong number. No cell can steer the terminal.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    rows = [[one_line(cell) for cell in row] for row in rows]
    every = range(len(headings))
    for shown in (every, [place for place in every if place not in spare], narrow):
        widths = _widths(headings, rows, shown)
        excess = _excess(widths, console.width)
        if excess <= 0 or widths.get(gives_way, 0) - excess >= COMFORTABLE:
            break
    if gives_way in widths:
        widths[gives_way] = max(widths[gives_way] - max(excess, 0), SHORTEST)
    console.width += max(_excess(widths, console.width), 0)  # Rich would cut a number
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for place in widths:
        table.add_column(
            headings[place],
            justify="left" if place in text else "right",
            width=widths[place],
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(Text(row[place]) for place in widths))
    console.print(table)


def print_text(text: str) -> None:
    """A paragraph on stdout, wrapped between words at the terminal's width. It cannot steer the terminal."""
    from rich.console import Console

    print(textwrap.fill(harmless(text), Console().width, break_on_hyphens=False))


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]], shown: Sequence[int]) -> dict[int, int]:
    """The width in cells that each shown column needs, by its place."""
    from rich.cells import cell_len

    return {place: max(cell_len(row[place]) for row in (headings, *rows)) for place in shown}


def _excess(widths: Mapping[int, int], room: int) -> int:
    """How many cells the columns are too wide by; negative where there is room left."""
    return sum(widths.values()) + GAP * (len(widths) - 1) - room


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
