"""Makes the README's pictures: the real program in a real pseudo-terminal, its screen drawn as SVG.

Run it with `make pictures`. The model is the demo's script, so that the pictures need no key and come out
alike; everything else on them is what the program printed.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from pyte.screens import Char  # noqa: E402
from rich._export_format import CONSOLE_SVG_FORMAT  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.style import Style  # noqa: E402
from rich.terminal_theme import TerminalTheme  # noqa: E402
from rich.text import Text  # noqa: E402

from cli import demo_script  # noqa: E402
from tests.support.terminal import Terminal  # noqa: E402

COLUMNS, ROWS = 92, 48

THEME = TerminalTheme(
    (24, 26, 31),
    (214, 217, 224),
    [
        *((60, 64, 72), (224, 108, 117), (139, 195, 112), (222, 184, 106)),
        *((97, 160, 238), (190, 122, 214), (86, 182, 194), (214, 217, 224)),
    ],
    [
        *((120, 126, 138), (240, 130, 138), (160, 212, 134), (236, 202, 130)),
        *((126, 180, 245), (206, 146, 226), (112, 200, 212), (245, 246, 248)),
    ],
)

LOCAL_FONTS = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code", "ui-monospace, SFMono-Regular, Menlo, DejaVu Sans Mono, Consolas"
)
"""Rich's frame without the fonts it would fetch from elsewhere."""

NAMES = {"brown": "yellow", "brightbrown": "bright_yellow"}
"""Where pyte's names of the sixteen colours differ from Rich's."""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, chat(Path(scratch)) as terminal:
        terminal.wait_for("demo ·")
        terminal.enter(demo_script.FIX_IT)
        terminal.wait_for("Run this?", "yes")
        terminal.type("y")
        terminal.wait_for("changes files", "yes")
        draw(terminal, "question.svg", "agent asks before it edits")
        terminal.type("y")
        terminal.wait_for("Run this?", "yes")
        terminal.type("y")
        terminal.wait_for("checkpoint 1", "$0.0")
        draw(terminal, "chat.svg", "agent")


def chat(scratch: Path) -> Terminal:
    """The chat in a project with a failing test, with the demo's script for a model."""
    project, home = scratch / "shop", scratch / "home"
    for name, content in demo_script.PROJECT.items():
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    model = scratch / demo_script.MODEL
    model.write_text(demo_script.script(rewound=False))
    rates = demo_script.RATES
    home.mkdir()
    (home / "config.toml").write_text(
        f'[prices."scripted/{model}"]\ninput = {rates.input}\noutput = {rates.output}\n'
        f"cache_read = {rates.cache_read}\ncache_write = {rates.cache_write}\n"
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return Terminal(
        HERE.parent / "cachet.py",
        ["-m", f"scripted/{model}"],
        environ={"PATH": path, "HOME": str(scratch), "LANG": "C.UTF-8", "CACHET_HOME": str(home)},
        cwd=project,
        columns=COLUMNS,
        rows=ROWS,
    )


def draw(terminal: Terminal, name: str, title: str) -> None:
    """Write the screen as it stands to `docs/NAME`."""
    rows = [row_text(row) for row in terminal.cells]
    while rows and not rows[-1].plain.strip():
        rows.pop()
    console = Console(
        record=True, file=io.StringIO(), width=COLUMNS, force_terminal=True, color_system="truecolor"
    )
    for row in rows:
        console.print(row, no_wrap=True, overflow="crop")
    path = HERE / name
    svg = console.export_svg(
        title=title, theme=THEME, code_format=LOCAL_FONTS, unique_id=name.removesuffix(".svg")
    )
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")
    print(path.relative_to(HERE.parent))


def row_text(row: Iterable[Char]) -> Text:
    """One row of the screen with its styles."""
    text = Text()
    for style, cells in groupby(row, style_of):
        text.append("".join(cell.data for cell in cells), style)
    text.rstrip()
    return text


def style_of(cell: Char) -> Style:
    return Style(
        color=colour(cell.fg),
        bgcolor=colour(cell.bg),
        bold=cell.bold,
        italic=cell.italics,
        underline=cell.underscore,
        reverse=cell.reverse,
    )


def colour(name: str) -> str | None:
    """Rich's name for one of pyte's colours."""
    if name == "default":
        return None
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name):
        return f"#{name}"
    name = NAMES.get(name, name)
    return f"bright_{name[6:]}" if name.startswith("bright") and "_" not in name else name


if __name__ == "__main__":
    main()
