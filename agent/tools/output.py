"""A program's output: shown live, short for the model, and whole in a file when it is long."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from agent.harmless import harmless

LIMIT = 30_000
"""Characters of output that the model reads; of longer output the beginning and the end."""
KEPT = 4 * LIMIT
"""Bytes kept in memory of each end: control sequences take room that the text doesn't need."""
FILE_LIMIT = 200_000_000
"""Bytes of output that go to the file; a program that never stops writing must not fill the disk."""
LIVE_LIMIT = 100_000
"""Characters shown live; after that a person sees no more by reading along."""


class Output:
    """Takes a program's output in pieces. `emit` gets whole lines, control sequences made harmless."""

    def __init__(self, scratch: Path, name: str, emit: Callable[[str], None]) -> None:
        self._path = scratch / name
        self._file: BinaryIO | None = None
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0
        self._lines = 0
        self._ends_open = False
        self._live = _Live(emit)

    def take(self, piece: bytes) -> bool:
        """Always wants more. Raises nothing: a file that can't be written only loses the middle."""
        self._size += len(piece)
        self._lines += piece.count(b"\n")
        self._ends_open = not piece.endswith(b"\n")
        if self._file is None and self._size <= KEPT:
            self._head += piece
        else:
            self._spill(piece)
        self._live.show(piece)
        return True

    @property
    def lines(self) -> int:
        return self._lines + self._ends_open

    def finish(self) -> str:
        """The text for the model: whole, or both ends and where the rest is."""
        self._live.finish()
        if self._file is None:
            text = _text(self._head)
            if len(text) <= LIMIT:
                return text
            self._open()
            head = tail = text
        else:
            head, tail = _text(self._head), _text(self._tail[-KEPT:])
        self._close()
        half = LIMIT // 2
        first, last = _whole_lines(head[:half]), _whole_lines_from_behind(tail[-half:])
        return f"{first}\n\n{self._word_on_the_rest()}\n\n{last}"

    def _word_on_the_rest(self) -> str:
        if not self._path.exists():
            return f"[... the middle of {self._size:,} bytes is cut, and could not be kept ...]"
        part = f"the first {FILE_LIMIT:,} bytes are" if self._size > FILE_LIMIT else "all of it is"
        return (
            f"[... cut: {self._size:,} bytes, {self.lines:,} lines in all; {part} in {self._path} "
            "(read it with offset, or grep it) ...]"
        )

    def _spill(self, piece: bytes) -> None:
        if self._file is None:
            self._open()
        self._tail += piece
        if len(self._tail) > 4 * KEPT:
            del self._tail[:-KEPT]
        if self._size <= FILE_LIMIT:
            self._write(piece)

    def _open(self) -> None:
        """Start the file with what there is. Where that fails, /dev/null takes its place."""
        try:
            _make_private(self._path.parent)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError:
            descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._file = open(descriptor, "wb")  # noqa: SIM115 - closed by `finish` or `_close`
        self._write(bytes(self._head))

    def _write(self, piece: bytes) -> None:
        try:
            if self._file is not None:
                self._file.write(piece)
        except OSError:
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """After an interruption: what came stays in the file."""
        self._close()


class _Live:
    """Shows whole lines as they come, so that no control sequence is ever cut in two."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._open_line = ""
        self._shown = 0

    def show(self, piece: bytes) -> None:
        if self._shown > LIVE_LIMIT:
            return
        text = self._open_line + self._decoder.decode(piece)
        whole, newline, rest = text.rpartition("\n")
        self._open_line = rest[-LIVE_LIMIT:]
        if newline:
            self._pass_on(harmless(whole) + "\n")

    def finish(self) -> None:
        if self._open_line and self._shown <= LIVE_LIMIT:
            self._pass_on(harmless(self._open_line))
            self._open_line = ""

    def _pass_on(self, text: str) -> None:
        self._shown += len(text)
        if self._shown > LIVE_LIMIT:
            text = f"{text[:LIVE_LIMIT]}\n[... more output is not shown here ...]\n"
        self._emit(text)


def _make_private(folder: Path) -> None:
    """Make the folder and its missing parents, for their owner only: `mkdir` gives parents any mode."""
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _text(data: bytes | bytearray) -> str:
    return harmless(data.decode("utf-8", errors="replace"))


def _whole_lines(text: str) -> str:
    """Without a line that was cut at its end, unless it is the only one."""
    whole, newline, _ = text.rpartition("\n")
    return whole if newline else text


def _whole_lines_from_behind(text: str) -> str:
    _, newline, whole = text.partition("\n")
    return whole if newline and whole.strip() else text
