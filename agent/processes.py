"""Finds the processes that a program started, also those that left its group."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent: int
    session: int


def family(leader: int, known: frozenset[int] | set[int] = frozenset()) -> set[int]:
    """The live processes of a leader's session, and all descendants of these, of it and of the `known` ones.

    Processes that have ended and only wait to be collected don't count.
    """
    processes = tuple(_processes())
    members = {one.pid for one in processes if one.session == leader or one.pid == leader or one.pid in known}
    grown = True
    while grown:
        children = {one.pid for one in processes if one.parent in members} - members
        members |= children
        grown = bool(children)
    return members


def _processes() -> Iterator[Process]:
    return _from_proc() if Path("/proc/self/stat").exists() else _from_ps()


def _from_proc() -> Iterator[Process]:
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            stat = Path("/proc", name, "stat").read_text(encoding="utf-8", errors="replace")
            state, parent, _, session = stat.rpartition(")")[2].split()[
                :4
            ]  # a name may hold spaces and brackets
            if state not in "ZX":
                yield Process(int(name), int(parent), int(session))


def _from_ps() -> Iterator[Process]:
    """For systems without /proc (macOS), where `ps` doesn't tell sessions."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=False
    )
    for line in listed.stdout.splitlines():
        pid, parent, state = line.split()[:3]
        with contextlib.suppress(OSError):
            if not state.startswith("Z"):
                yield Process(int(pid), int(parent), os.getsid(int(pid)))
