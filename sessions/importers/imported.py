"""What every importer yields: one conversation of another tool, in our values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from providers.errors import ConfigurationError
from providers.types import (
    JSON,
    Block,
    Image,
    JSONObject,
    Message,
    Opaque,
    Origin,
    Role,
    Text,
    Thinking,
    ToolResult,
    Usage,
)


class NotASession(ConfigurationError):
    """A file that no importer knows; the text says what was tried."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to import, as it was read: importers never open the original again."""

    path: Path
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A session of another tool. Its usage is all that the file tells, in disjoint buckets, absent ones 0."""

    tool: str
    session: str = ""
    """Its id there."""
    title: str = ""
    cwd: str = ""
    """Its folder; empty where the file doesn't tell."""
    model: str = ""
    """`provider/name` where the file tells both, else the name."""
    created: float | None = None
    """Seconds since the epoch."""
    messages: tuple[Message, ...] = ()
    usage: Usage = field(default_factory=Usage)
    inexact: bool = False
    """It is not known whether the input includes cached tokens."""
    extra: JSONObject = field(default_factory=dict)
    """Keys of the file that mean nothing to us."""
    skipped: tuple[str, ...] = ()
    """Rows that could not be read, each with its place and reason."""


class Transcript:
    """Collects a conversation's messages; their ids are numbers until the journal's writer names them."""

    def __init__(self, tool: str) -> None:
        self._tool = tool
        self._messages: list[Message] = []
        self._names: dict[str, str] = {}
        self.skipped: list[str] = []

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(self._messages)

    def say(self, role: Role, *blocks: Block) -> None:
        """Add a message, unless nothing in it could be sent. Calls lend their results the tool's name."""
        kept = tuple(block for block in blocks if not (isinstance(block, Text) and not block.text))
        if all(isinstance(block, Thinking | Opaque) for block in kept):
            return
        message = Message(str(len(self._messages)), role, kept)
        self._names.update((call.id, call.name) for call in message.tool_calls)
        self._messages.append(message)

    def answer(
        self, call: str, text: str, *, name: str = "", is_error: bool = False, images: tuple[Image, ...] = ()
    ) -> None:
        """Add a tool's result."""
        self.say("tool", ToolResult(call, name or self._names.get(call, ""), text, is_error, images))

    def clear(self) -> None:
        """Forget what was said so far: something else stands for it."""
        self._messages.clear()

    def cut(self, turns: int) -> None:
        """Forget the last turns, each with the person's message that began it."""
        for _ in range(turns):
            while self._messages and self._messages.pop().role != "user":
                pass

    def skip(self, place: str, reason: object) -> None:
        """A row that could not be read."""
        self.skipped.append(f"{place}: {reason}")

    def maker(self, model: str = "") -> Origin:
        """Marks blocks that only the tool's own endpoint would take: they are kept and not sent."""
        return Origin(self._tool, "", model)

    def opaque(self, value: JSON) -> Opaque:
        return Opaque(compact(value), self.maker())


def with_lost(sessions: list[Imported], lost: list[str]) -> list[Imported]:
    """The sessions, with the rows that belong to none of them counted in the first."""
    if not sessions or not lost:
        return sessions
    return [replace(sessions[0], skipped=(*lost, *sessions[0].skipped)), *sessions[1:]]


def compact(value: JSON) -> str:
    """JSON text with the keys in their own order."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def rows(source: Source, transcript: Transcript) -> list[tuple[int, JSONObject]]:
    """The objects of a JSONL file with their line numbers, from 1. Other lines are skipped and counted."""
    found: list[tuple[int, JSONObject]] = []
    for number, line in enumerate(source.data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode())
        except (ValueError, RecursionError):
            transcript.skip(f"line {number}", "not JSON")
            continue
        if isinstance(value, dict):
            found.append((number, value))
        else:
            transcript.skip(f"line {number}", "not an object")
    return found


def image(data: str, media_type: str = "") -> Image | None:
    """An image from base64 or a `data:` URL, its type from its first bytes if need be; else None."""
    if data.startswith("data:"):
        head, comma, data = data.partition(",")
        if not comma or ";base64" not in head:
            return None
        media_type = media_type or head.removeprefix("data:").split(";")[0]
    if not media_type:
        media_type = next((kind for start, kind in _SIGNATURES if data.startswith(start)), "")
    return Image(media_type, data) if media_type.startswith("image/") and data else None


_SIGNATURES = (
    ("iVBOR", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lG", "image/gif"),
    ("UklG", "image/webp"),
)
