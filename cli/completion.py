"""Completes slash commands and the paths behind a typed `@`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

_MENTION = re.compile(r"""(?:^|[\s("'\[])@(?:"([^"\n]*)|([^\s"'@()\[\]]*))$""")
_SKIPPED = frozenset(
    {".git", "node_modules", "__pycache__", ".venv", "venv", ".mypy_cache", ".ruff_cache", "target"}
)
_WALKED = 5000
"""Folder entries looked at for one completion."""
_OFFERED = 50


@dataclass(frozen=True, slots=True)
class CommandName:
    name: str
    summary: str


class LineCompleter(Completer):
    """Pasted characters are marked, so that they complete nothing."""

    def __init__(self, root: Path, commands: tuple[CommandName, ...] = ()) -> None:
        self.commands = commands
        """Assignable: they are known a moment after the prompt stands."""
        self._root = root

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor
        if before.startswith("/") and not any(map(str.isspace, document.text)):
            yield from self._names(before[1:])
        elif mention := _MENTION.search(before):
            typed = mention[1] if mention[1] is not None else mention[2]
            for path in islice(self._paths(typed), _OFFERED):
                quoted = f'"{path}"' if " " in path else path
                start = len(typed) + (mention[1] is not None)
                yield Completion(quoted, start_position=-start, display=path)

    def _names(self, typed: str) -> Iterator[Completion]:
        for command in self.commands:
            if command.name.startswith(typed):
                yield Completion(
                    command.name,
                    start_position=-len(typed),
                    display=f"/{command.name}",
                    display_meta=command.summary,
                )

    def _paths(self, typed: str) -> Iterator[str]:
        """What begins as typed; then, for a bare word, what has it anywhere in its path."""
        folder, _, start = typed.rpartition("/")
        shown = f"{folder}/" if "/" in typed else ""
        begun = [f"{shown}{name}" for name in _entries(self._root / os.path.expanduser(shown), start)]
        yield from begun
        if start and not shown:
            word = start.casefold()
            found = (path for path in islice(_walk(self._root), _WALKED) if word in path.casefold())
            yield from sorted({*found} - {*begun}, key=lambda path: (path.count("/"), path))


def _entries(folder: Path, start: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            found = [
                entry.name + "/" * entry.is_dir()
                for entry in entries
                if entry.name.startswith(start) and (start or not entry.name.startswith("."))
            ]
    except OSError:
        return []
    return sorted(name for name in found if name.rstrip("/") not in _SKIPPED and name.isprintable())


def _walk(root: Path) -> Iterator[str]:
    for place, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        inside = os.path.relpath(place, root)
        prefix = "" if inside == "." else f"{inside}/"
        yield from (f"{prefix}{name}/" for name in folders if name.isprintable())
        yield from (f"{prefix}{name}" for name in files if name.isprintable())
