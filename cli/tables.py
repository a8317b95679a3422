"""Plain tables for the chat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.text import Text


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0) -> RenderableType:
    """Columns without lines; the last `numbers` of them stand to the right. Empty headings are not shown."""
    from rich.table import Table

    made = Table(
        box=None, show_header=any(headings), header_style="dim", pad_edge=False, padding=(0, 2, 0, 0)
    )
    for place, heading in enumerate(headings):
        right = place >= len(headings) - numbers
        made.add_column(heading, justify="right" if right else "left", style="bold" if place == 0 else "")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made
