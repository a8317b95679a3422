"""Reads the files a message mentions, to send them with it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from agent.harmless import one_line, visible
from agent.tools.read import LINES, look, missing
from agent.workspace import Workspace
from cli.mentions import existing
from providers.types import Image

_ENTRIES = 200
_AS_TEXT = "The message goes without it."


@dataclass(frozen=True, slots=True)
class Attached:
    """`texts` of the files at `paths` go before the message; `notes` tell what came of each mention."""

    texts: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    images: tuple[Image, ...] = ()
    notes: tuple[str, ...] = ()


def attach(mentions: tuple[str, ...], workspace: Workspace) -> Attached:
    """What the mentions stand for, in order. One that can't be read is a note; the message goes as typed."""
    texts: list[str] = []
    paths: list[Path] = []
    images: list[Image] = []
    notes: list[str] = []
    for mention in mentions:
        path = existing(mention, workspace.root)
        if path is None:
            reason = missing(workspace.locate(mention), workspace).text
            notes.append(f"@{one_line(mention)}: {reason} {_AS_TEXT}")
            continue
        shown = visible(workspace.show(path))
        try:
            if path.is_dir():
                texts.append(_listing(path, shown))
            else:
                found = look(path, shown, 1, LINES)
                if found.is_error:
                    notes.append(f"{found.text} {_AS_TEXT}")
                    continue
                images += found.images
                paths.append(path)
                texts.append(f"The person attached the file {shown}:\n{_fenced(found.text)}")
        except OSError as error:
            notes.append(f"{shown} can't be read: {error.strerror or error}. {_AS_TEXT}")
        else:
            notes.append(f"attached {shown}")
    return Attached(tuple(texts), tuple(paths), tuple(images), tuple(notes))


def _listing(path: Path, shown: str) -> str:
    with os.scandir(path) as entries:
        names = sorted(visible(entry.name) + "/" * entry.is_dir() for entry in entries)
    rest = [f"… {len(names) - _ENTRIES} more"] if len(names) > _ENTRIES else []
    return f"The person attached the folder {shown}:\n{_fenced(chr(10).join([*names[:_ENTRIES], *rest]))}"


def _fenced(text: str) -> str:
    """The text between fences that are longer than any inside it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
