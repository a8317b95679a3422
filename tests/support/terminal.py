"""A real program in a real pseudo-terminal, with an emulator that says what a person would see."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

from tests.support.start import start

KEYS = {
    "enter": "\r",
    "esc": "\x1b",
    "alt-enter": "\x1b\r",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "tab": "\t",
    "backspace": "\x7f",
    "ctrl-c": "\x03",
    "ctrl-d": "\x04",
    "ctrl-j": "\n",
    "ctrl-r": "\x12",
}
PATIENCE = 30.0
"""Seconds that a text may take to appear before the test gives up; far more than it needs."""


class Terminal:
    """Runs a script with these words until the block ends.

    Waiting is for what shows on the screen, never for time.
    """

    def __init__(
        self,
        script: Path,
        words: Sequence[str],
        *,
        environ: Mapping[str, str],
        cwd: Path,
        columns: int = 100,
        rows: int = 30,
        cold: bool = False,
    ) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=0.01)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        """Every byte the program wrote."""
        self._master, slave = pty.openpty()
        self._resize(columns, rows)
        self._process = start(
            script,
            words,
            environ={"TERM": "xterm-256color", **environ},
            cwd=cwd,
            stdio=(slave, slave, slave),
            session=True,
            cold=cold,
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._master)

    # --- the person ---------------------------------------------------------------------------------------

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def press(self, *keys: str) -> None:
        for key in keys:
            self.type(KEYS[key])

    def enter(self, text: str) -> None:
        """Type a line, wait until it stands in the input, and press Enter."""
        self.type(text)
        self.wait_for(text[-20:])
        self.press("enter")

    def paste(self, text: str) -> None:
        self.type(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, rows: int) -> None:
        self._screen.resize(rows, columns)
        self._resize(columns, rows)
        self._process.send_signal(signal.SIGWINCH)

    # --- what they see --------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        """The visible rows, without what pads them."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip("\n")

    @property
    def cells(self) -> list[list[pyte.screens.Char]]:
        """The visible rows, each cell with its colours."""
        return [
            [self._screen.buffer[y][x] for x in range(self._screen.columns)]
            for y in range(self._screen.lines)
        ]

    @property
    def everything(self) -> str:
        """The scrollback, then the visible rows."""
        gone = ("".join(row[x].data for x in range(self._screen.columns)) for row in self._screen.history.top)
        return "\n".join([*(line.rstrip() for line in gone), self.text])

    @property
    def footer(self) -> str:
        """The last line that isn't empty."""
        return next((line for line in reversed(self.lines) if line.strip()), "")

    def wait_for(self, *texts: str) -> str:
        """Wait until all the texts are visible; the screen then."""
        return self.wait_until(lambda: all(text in self.text for text in texts), f"{texts} to appear")

    def wait_gone(self, text: str) -> str:
        return self.wait_until(lambda: text not in self.text, f"{text!r} to go")

    def wait_until(self, seen: Callable[[], bool], what: str) -> str:
        """Read what the program writes until `seen`. Raises AssertionError with the screen if it never is."""
        deadline = time.monotonic() + PATIENCE
        while not seen():
            if not self._read(deadline):
                raise AssertionError(f"waited in vain for {what}. The screen:\n{self.everything}")
        return self.text

    def wait_exit(self) -> int:
        """Read until the program ends; its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self._process.wait(PATIENCE)

    # --- inside -------------------------------------------------------------------------------------------

    def _read(self, deadline: float) -> bool:
        """Feed the emulator once; False when the program closed the terminal, or the time is over."""
        ready, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says EIO once the other side is closed
            return False
        self.written += data
        self._stream.feed(data)
        return bool(data)

    def _resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
