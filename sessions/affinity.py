"""Lends a session the affinity key that its person's last session had, and nobody has now.

A request names a key to reach the machine that holds its beginning. By OpenAI's prompt caching guide (2026)
a machine is chosen by that key and the first tokens of the prompt, and where such a pair is asked for more
than some 15 times a minute, requests overflow to other machines. So one key for all of a person's sessions
would lose whole conversations as soon as several ran at once, and a key for each makes it pay anew for the
tools and the system prompt that an earlier one sent. Here sessions that follow each other share a key, which
is asked for no more often than by one long session; those that run side by side have one each.

A key is a random name, that of an empty file in `~/.cachet/affinity`. Who uses it holds a shared `flock` on
the file, which ends with the process however that dies; who wants it anew must first have it alone.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from checkpoint.places import make_private
from sessions.setup import Setup

POOLED = frozenset({"openai-chat", "openai-responses"})
"""The wires whose endpoints look for a beginning where the key leads to."""

FOLDER = "affinity"
MOST = 16
"""Keys that a person has at most; sessions beyond them use their own id."""

_KEY = re.compile(r"[0-9a-f]{32}")


class Affinity:
    """One session's affinity key, and its hold on it. What the folder refuses leaves it without a hold."""

    def __init__(self, key: str, descriptor: int | None = None) -> None:
        self.key = key
        self._descriptor = descriptor

    @classmethod
    def new(cls, setup: Setup, encoder: str, session: str) -> Affinity:
        """For a new session: the key that was used last of those that nobody holds, else one more.

        The session's id on other wires, for a server's clients (there are many at once), and where the folder
        can't be used.
        """
        if setup.client or encoder.partition("/")[0] not in POOLED:
            return cls(session)
        try:
            return _lent(setup.home / FOLDER) or cls(session)
        except OSError:
            return cls(session)

    @classmethod
    def again(cls, setup: Setup, key: str) -> Affinity:
        """For a session that goes on with the key it has: no newcomer gets it meanwhile.

        Others may hold it too: the session that this one is a fork of, or one that was given it since.
        """
        lent = _KEY.fullmatch(key)
        return cls(key, _held(setup.home / FOLDER / key) if lent else None)

    @contextmanager
    def unless_failed(self) -> Iterator[Self]:
        """Let go of it where the block fails, which is to hand it to a session."""
        try:
            yield self
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Leave the key to the next session. Releasing twice is fine."""
        if self._descriptor is None:
            return
        _used_now(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None


def _lent(folder: Path) -> Affinity | None:
    """A key that nobody else holds; None where too many are held. Raises OSError."""
    make_private(folder)
    known = _by_use(folder)
    for key in known:
        descriptor = _held(folder / key, alone=True)
        if descriptor is not None:
            return Affinity(key, descriptor)
    if len(known) >= MOST:
        return None
    return _made(folder, secrets.token_hex(16))


def _made(folder: Path, key: str) -> Affinity | None:
    """A new key, which nobody sees before it is held; None where files can't be locked. Raises OSError."""
    hidden = folder / f".{key}"
    os.close(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    descriptor = _held(hidden, alone=True)
    if descriptor is None:
        hidden.unlink()
        return None
    with Affinity(key, descriptor).unless_failed() as made:
        hidden.rename(folder / key)
    return made


def _by_use(folder: Path) -> list[str]:
    """The keys, the one that was used last first. Raises OSError."""
    with os.scandir(folder) as entries:
        keys = {
            entry.name: entry.stat(follow_symlinks=False).st_mtime_ns
            for entry in entries
            if _KEY.fullmatch(entry.name)
        }
    return sorted(keys, key=lambda key: (-keys[key], key))


def _held(path: Path, *, alone: bool = False) -> int | None:
    """A descriptor with a shared lock on the file; None where that can't be had.

    With `alone` nobody else may hold it at that moment. A link is not followed, and a pipe not waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError
        if alone:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # lost to who comes between: then not ours
    except OSError:
        os.close(descriptor)
        return None
    _used_now(descriptor)
    return descriptor


def _used_now(descriptor: int) -> None:
    """Say when the key was used last; only the order in which keys are lent depends on it."""
    now = time.time_ns()
    with suppress(OSError):
        os.utime(descriptor, ns=(now, now))
