"""The `read` tool: a text file's lines with their numbers, or an image."""

from __future__ import annotations

import base64
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agent.harmless import one_line, visible
from agent.tools.arguments import Fields
from agent.tools.contract import Arguments, Intent, Outcome, ToolContext
from agent.tools.nearest import near_names
from agent.tools.textfile import WHOLE_LIMIT, NotText, TextFile, image_type, looks_binary
from agent.workspace import Workspace
from providers.types import Image, ToolSpec, canonical

LINES = 2_000
BYTES = 100_000
LINE_LENGTH = 2_000
"""Characters of one line that are shown."""
IMAGE_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some lines of a file, counted from 1. `total` is None where counting would mean reading on for long."""

    first: int
    lines: tuple[str, ...]
    total: int | None
    more: bool
    notes: tuple[str, ...] = ()


class Read:
    spec = ToolSpec(
        name="read",
        description="Read a text file with line numbers, or see an image. Read a file before changing it.",
        parameters=canonical(
            {
                "type": "object",
                "properties": {
                    "path": {"type": "string"},
                    "offset": {"type": "integer", "description": "first line, from 1"},
                    "limit": {"type": "integer", "description": f"lines, default {LINES}"},
                },
                "required": ["path"],
            }
        ),
    )

    def intend(self, arguments: Arguments, workspace: Workspace) -> Intent:
        path, first, limit = self._parse(arguments, workspace)
        lines = f":{first}-{first + limit - 1}" if (first, limit) != (1, LINES) else ""
        return Intent(access="read", summary=f"read {one_line(workspace.show(path))}{lines}", paths=(path,))

    async def run(self, arguments: Arguments, context: ToolContext) -> Outcome:
        import asyncio

        path, first, limit = self._parse(arguments, context.workspace)
        name = visible(context.workspace.show(path))
        try:
            outcome = await asyncio.to_thread(look, path, name, first, limit)
            if not outcome.is_error:
                context.seen.note(path)
        except FileNotFoundError:
            return missing(path, context.workspace)
        except OSError as error:
            return failure(f"{name} can't be read: {error.strerror or error}")
        return outcome

    def _parse(self, arguments: Arguments, workspace: Workspace) -> tuple[Path, int, int]:
        fields = Fields.of("read", arguments, "path", "offset", "limit")
        path = fields.path(workspace)
        return path, max(1, fields.whole("offset", 1)), fields.whole("limit", LINES, least=1)


def failure(text: str) -> Outcome:
    return Outcome(text=text, display=text, is_error=True)


def missing(path: Path, workspace: Workspace) -> Outcome:
    """No such file, and which ones may have been meant."""
    name = visible(workspace.show(path))
    near = [
        visible(workspace.show(other)) for other in near_names(path, workspace.root) if workspace.holds(other)
    ]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return failure(f"{name} does not exist.{hint}")


def look(path: Path, name: str, first: int, limit: int) -> Outcome:
    """What there is to see of a file. Raises OSError."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        return failure(f"{name} is a folder: use ls.")
    if not stat.S_ISREG(found.st_mode):
        return failure(f"{name} is not a regular file (a device, pipe or socket): not read.")
    size = found.st_size
    with path.open("rb") as file:
        head = file.read(8192)
        media_type = image_type(head)
        if media_type is not None:
            return _image(head + file.read(IMAGE_BYTES), media_type, name, size)
        if looks_binary(head):
            return failure(
                f"{name} is binary ({size:,} bytes): not shown. bash can look inside: file, strings, xxd."
            )
        file.seek(0)
        try:
            excerpt = _whole(file.read(), first, limit) if size <= WHOLE_LIMIT else _part(file, first, limit)
        except NotText as error:
            return failure(f"{name} ({size:,} bytes) can't be shown: {error}.")
    return _shown(excerpt, name, first)


def _image(data: bytes, media_type: str, name: str, size: int) -> Outcome:
    if len(data) > IMAGE_BYTES:
        return failure(f"{name} is an image of {size:,} bytes; at most {IMAGE_BYTES:,} can be shown.")
    text = f"{name}: {media_type}, {size:,} bytes"
    return Outcome(
        text=text, display=text, images=(Image(media_type, base64.b64encode(data).decode("ascii")),)
    )


def _whole(data: bytes, first: int, limit: int) -> Excerpt:
    file = TextFile.decode(data)
    lines = file.plain.split("\n")
    if not lines[-1]:
        lines.pop()
    shown = _within_budget(lines[first - 1 : first - 1 + limit])
    notes = (file.peculiarity,) if file.peculiarity else ()
    return Excerpt(first, tuple(shown), len(lines), first - 1 + len(shown) < len(lines), notes)


def _within_budget(lines: list[str]) -> list[str]:
    shown: list[str] = []
    budget = BYTES
    for line in lines:
        budget -= min(len(line), LINE_LENGTH) + 1
        if budget < 0 and shown:
            break
        shown.append(_cut(line, len(line)))
    return shown


def _part(file: BinaryIO, first: int, limit: int) -> Excerpt:
    """Lines of a file too large to take into memory, without a byte beyond them."""
    if any(file.read(4).startswith(mark) for mark in (b"\xff\xfe", b"\xfe\xff")):
        raise NotText("it is UTF-16 and too large; convert it first, with iconv in bash")
    file.seek(0)
    passed = _seek_line(file, first)
    if passed < first - 1:
        return Excerpt(first, (), passed, more=False)
    shown: list[str] = []
    budget = BYTES
    while len(shown) < limit and budget > 0:
        line = _next_line(file)
        if line is None:
            return Excerpt(first, tuple(shown), first - 1 + len(shown), more=False)
        shown.append(line)
        budget -= len(line) + 1
    more = bool(file.read(1))
    return Excerpt(first, tuple(shown), None if more else first - 1 + len(shown), more)


def _seek_line(file: BinaryIO, line: int) -> int:
    """Stand at the start of a line. Returns how many lines were passed: fewer where the file ends before."""
    passed = 0
    while passed < line - 1:
        chunk = file.read(1 << 20)
        if not chunk:
            return passed
        count = chunk.count(b"\n")
        if passed + count < line - 1:
            passed += count
            continue
        position = -1
        for _ in range(line - 1 - passed):
            position = chunk.index(b"\n", position + 1)
        file.seek(position + 1 - len(chunk), 1)
        return line - 1
    return passed


def _next_line(file: BinaryIO) -> str | None:
    raw = file.readline(LINE_LENGTH * 4)
    if not raw:
        return None
    length = len(raw)
    ended = raw.endswith(b"\n")
    while not ended and (rest := file.readline(1 << 20)):
        length += len(rest)
        ended = rest.endswith(b"\n")
    raw = raw.rstrip(b"\r\n")
    return _cut(raw.decode("utf-8", errors="replace"), length)


def _cut(line: str, length: int) -> str:
    if len(line) <= LINE_LENGTH:
        return line
    return f"{line[:LINE_LENGTH]}… [line cut: {length:,} characters]"


def _shown(excerpt: Excerpt, name: str, first: int) -> Outcome:
    if not excerpt.lines and first > 1:
        return failure(f"{name} has {excerpt.total} lines: line {first} is past its end.")
    last = excerpt.first + len(excerpt.lines) - 1
    numbered = "\n".join(
        f"{excerpt.first + index}\t{visible(line)}" for index, line in enumerate(excerpt.lines)
    )
    notes = list(excerpt.notes)
    if excerpt.more:
        of = f" of {excerpt.total}" if excerpt.total is not None else ""
        notes.append(f"lines {excerpt.first}-{last}{of}; more with offset={last + 1}")
    note = f"[{'; '.join(notes)}]" if notes else ""
    text = "\n".join(part for part in (numbered or "(empty file)", note) if part)
    count = len(excerpt.lines)
    return Outcome(text=text, display=f"{count} line{'' if count == 1 else 's'}")
