"""Turns Rich renderables into text with ANSI styles, at the terminal's present width."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from agent.harmless import harmless

_PADDING = re.compile(r"[ \t]+((?:\x1b\[[0-9;]*m)*)$", re.MULTILINE)
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}
_CODE_THEME = "ansi_dark"
"""The terminal's own sixteen colours, without a background: it suits light and dark terminals."""


class Painter:
    """Renders to strings. `width` is asked each time; `environ` decides on colours (NO_COLOR, TERM)."""

    def __init__(self, width: Callable[[], int], environ: Mapping[str, str]) -> None:
        self._width = width
        self._console = Console(
            file=io.StringIO(),
            force_terminal=True,
            no_color=bool(environ.get("NO_COLOR")),
            highlight=False,
            legacy_windows=False,
            _environ=environ,
        )

    @property
    def width(self) -> int:
        """Cells in a line."""
        return max(self._width(), 10)

    def paint(self, *renderables: RenderableType) -> str:
        """The renderables one below the other, each line ended, without padding at the lines' ends."""
        self._console.width = self.width
        with self._console.capture() as captured:
            for renderable in renderables:
                self._console.print(renderable, overflow="fold")
        return _PADDING.sub(r"\1", captured.get())

    def line(self, text: Text) -> str:
        """One line, cut with an ellipsis where it is too long; without its end."""
        cut = text.copy()
        cut.truncate(self.width, overflow="ellipsis")
        return self.paint(cut).rstrip("\n")

    def markdown(self, text: str) -> str:
        """A model's Markdown. Links show where they lead."""
        from rich import markdown

        class Heading(markdown.Heading):
            """A heading at the margin instead of centred in a box."""

            def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
                self.text.justify = "left"
                self.text.stylize("bold")
                yield self.text

        class Document(markdown.Markdown):
            elements: ClassVar = {**markdown.Markdown.elements, "heading_open": Heading}

        return (
            self.paint(Document(harmless(text), code_theme=_CODE_THEME, hyperlinks=False)).strip("\n") + "\n"
        )


def is_diff(text: str) -> bool:
    """Whether the text is a unified diff or has one in it."""
    return any(line.startswith("@@ ") for line in text.splitlines())


def coloured_diff(text: str) -> Text:
    """A unified diff with its lines coloured, made harmless."""
    painted = Text()
    for line in harmless(text).splitlines():
        head = line.startswith(("--- ", "+++ ", "diff "))
        painted.append(line + "\n", "bold" if head else _DIFF_STYLES.get(line[:1], "dim"))
    painted.rstrip()
    return painted


def shortened(text: str, lines: int) -> str:
    """The first `lines` lines, with a last line that says how many were left out."""
    rows = text.rstrip("\n").split("\n")
    if len(rows) <= lines + 1:
        return "\n".join(rows)
    return "\n".join([*rows[:lines], f"… {len(rows) - lines} more lines"])
