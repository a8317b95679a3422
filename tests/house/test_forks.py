"""A run that a test forks is in no way another than one that a shell starts."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import program_in
from tests.support.script import say, script
from tests.support.start import run, start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="runs are not forked here"),
]

ROOT = Path(__file__).resolve().parents[2]
LOOKS_ROUND = """
import json, os, signal, sys, time
streams = [sys.stdin, sys.stdout, sys.stderr]
print(json.dumps({
    "argv": sys.argv,
    "path": sys.path[0],
    "main": __name__,
    "environ": dict(os.environ),
    "cwd": os.getcwd(),
    "mask": os.umask(0),
    "zone": time.tzname,
    "streams": [[s.encoding, s.errors, s.isatty(), s.line_buffering, s.fileno()] for s in streams],
    "seekable": [s.seekable() for s in streams],
    "open": sorted(os.listdir("/proc/self/fd")),
    "signals": {number: str(signal.getsignal(number)) for number in (2, 13, 15)},
    "threads": len(os.listdir("/proc/self/task")),
}, default=str))
print("said", file=sys.stderr)
"""
ENDS = {
    "returns": "print('done')",
    "exits": "import sys; sys.exit(3)",
    "says why": "import sys; sys.exit('no')",
    "fails": "import sys; sys.tracebacklimit = 0; raise ValueError('no')",
    "is killed": "import os; os.kill(os.getpid(), 9)",
    "is interrupted": "import os, sys; sys.tracebacklimit = 0; os.kill(os.getpid(), 2); input()",
    "leaves at the exit": "import atexit; atexit.register(print, 'bye'); print('hi')",
}


def both(folder: Path, text: str, *words: str, **environ: str) -> list[Any]:
    """What a script does that is started from nothing, and what it does forked."""
    made = folder / "script.py"
    made.write_text(text)
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **environ}
    return [run(made, words, environ=environ, cwd=folder, cold=cold) for cold in (True, False)]


def test_a_forked_run_finds_what_one_from_nothing_finds(tmp_path: Path) -> None:
    from_nothing, forked = both(tmp_path, LOOKS_ROUND, "a", "b c", TZ="Pacific/Kiritimati", MORE="é")
    assert from_nothing[0] == forked[0] == 0
    assert json.loads(forked[1]) == json.loads(from_nothing[1])
    assert forked[2] == from_nothing[2] == "said\n"


@pytest.mark.parametrize("text", ENDS.values(), ids=ENDS)
def test_a_forked_run_ends_as_one_from_nothing_does(tmp_path: Path, text: str) -> None:
    from_nothing, forked = both(tmp_path, text)
    assert forked == from_nothing


def test_a_signal_reaches_a_forked_run_and_its_end_is_told(tmp_path: Path) -> None:
    made = tmp_path / "script.py"
    made.write_text("import signal; print(flush=True); signal.pause()")
    reading, writing = os.pipe()
    with open(reading) as out, open(writing, "w") as theirs, open(os.devnull) as nothing:
        stdio = (nothing.fileno(), theirs.fileno(), theirs.fileno())
        process = start(made, (), environ={"PATH": os.environ["PATH"]}, cwd=tmp_path, stdio=stdio)
        assert out.readline() == "\n"
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM
        assert process.poll() == -signal.SIGTERM


def test_runs_beside_each_other_end_each_for_itself(tmp_path: Path) -> None:
    agent = program_in(tmp_path)
    model = str(script(tmp_path, say("hello")))
    with agent.running("-p", "one", "-m", model) as one:
        assert agent("-p", "two", "-m", model).out == "hello\n"
        assert one.wait_for("result")["result"] == "hello"


def test_what_a_fork_cannot_be_told_is_started_from_nothing(tmp_path: Path) -> None:
    _, (_, out, _) = both(tmp_path, "import sys; print(sys.stdout.encoding)", PYTHONIOENCODING="iso8859-1")
    assert out == "iso8859-1\n"


def test_the_process_that_runs_are_forked_from_ends_with_the_tests(tmp_path: Path) -> None:
    made = tmp_path / "script.py"
    made.write_text("import os; print(os.getppid())")
    code = (
        "import sys; from pathlib import Path; from tests.support.start import run\n"
        "made = Path(sys.argv[1]); print(run(made, (), environ={}, cwd=made.parent)[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(made)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    try:
        watched = os.pidfd_open(int(done.stdout))
    except ProcessLookupError:
        return
    with open(watched):
        assert select.select([watched], [], [], 30)[0]
