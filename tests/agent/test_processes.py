"""Processes are found without /proc as with it."""

from __future__ import annotations

import os
import shutil

import pytest

from agent.processes import _from_proc, _from_ps


@pytest.mark.skipif(
    not shutil.which("ps") or not os.path.exists("/proc/self/stat"), reason="needs both sources"
)
def test_ps_tells_what_proc_tells() -> None:
    def mine(source: object) -> list[tuple[int, int, int]]:
        return [(one.pid, one.parent, one.session) for one in source if one.pid == os.getpid()]  # type: ignore[attr-defined]

    assert mine(_from_ps()) == mine(_from_proc()) == [(os.getpid(), os.getppid(), os.getsid(0))]
