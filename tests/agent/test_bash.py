"""What the `bash` tool runs, shows, cuts and ends: real shells and real processes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from agent.processes import family
from agent.tools.contract import BadArguments
from tests.support.bench import Bench


def alive(pid: int) -> bool:
    return pid in family(pid)


async def test_output_and_errors_come_in_order(bench: Bench) -> None:
    outcome = await bench.run("bash", command="echo one; echo two >&2; echo three")
    assert outcome.text == "one\ntwo\nthree"
    assert outcome.display == "3 lines"
    assert not outcome.is_error


async def test_it_runs_in_the_project_each_time_afresh(bench: Bench) -> None:
    (bench.project / "sub").mkdir()
    await bench.run("bash", command="cd sub; X=1")
    assert (await bench.run("bash", command='pwd; echo "[$X]"')).text == f"{bench.project}\n[]"


async def test_the_exit_code_is_told(bench: Bench) -> None:
    outcome = await bench.run("bash", command="echo no; exit 3")
    assert outcome.text == "no\n[exit code 3]"
    assert outcome.is_error


async def test_a_signal_is_told(bench: Bench) -> None:
    assert (await bench.run("bash", command="kill -9 $$")).text == "[ended by signal 9]"


async def test_silence_is_told(bench: Bench) -> None:
    assert (await bench.run("bash", command="true")).text == "[no output]"


async def test_there_is_no_input_and_no_terminal(bench: Bench) -> None:
    assert (await bench.run("bash", command="cat; tty; echo $TERM")).text == "not a tty\ndumb"


async def test_the_environment_is_the_contexts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHET_TEST_WORD", "passed")
    assert (await bench.run("bash", command="echo $CACHET_TEST_WORD")).text == "passed"


async def test_control_sequences_are_made_harmless(bench: Bench) -> None:
    outcome = await bench.run("bash", command=r"printf '\033[31mred\033[0m\n1%%\r100%%\n\033]0;t\007x\n'")
    assert outcome.text == "red\n100%\nx"
    assert "".join(bench.shown) == "red\n100%\nx\n"


async def test_output_shows_while_it_runs(bench: Bench) -> None:
    os.mkfifo(bench.project / "gate")
    task = bench.start("bash", command="echo early; read line < gate; echo late")
    assert await bench.first_shown(task) == "early\n"
    assert not task.done()
    await asyncio.to_thread((bench.project / "gate").write_text, "go\n")
    assert (await task).text == "early\nlate"


async def test_a_background_child_does_not_hang_it(bench: Bench) -> None:
    outcome = await bench.run("bash", command="sleep 1000 & echo started")
    group = int(re.search(r"kill -- -(\d+)", outcome.text)[1])  # type: ignore[index]
    try:
        assert outcome.text.startswith("started\n[still running in the background")
        assert not outcome.is_error
        assert family(group)
    finally:
        os.killpg(group, signal.SIGKILL)


async def test_a_command_that_closed_its_output_is_waited_for(bench: Bench) -> None:
    outcome = await bench.run("bash", command="exec >&- 2>&-; touch made; exit 4")
    assert outcome.text == "[exit code 4]"
    assert (bench.project / "made").exists()


@pytest.mark.parametrize(
    "child",
    [
        "sleep 1000 & echo $!",
        "setsid sleep 1000 & echo $!",
        "set -m; sleep 1000 & echo $!",
        "(sleep 1000 & echo $!)",
    ],
)
async def test_the_time_limit_ends_grandchildren_too(bench: Bench, child: str) -> None:
    outcome = await bench.run("bash", command=f"{child}; sleep 1000", timeout=1)
    assert outcome.is_error
    assert "stopped after 1 s with everything it started" in outcome.text
    assert not alive(int(outcome.text.split()[0]))


async def test_a_process_that_ignores_the_polite_signal_is_ended(bench: Bench) -> None:
    outcome = await bench.run(
        "bash", command="trap '' TERM; echo $$; while true; do sleep 1000; done", timeout=1
    )
    assert not alive(int(outcome.text.split()[0]))


async def test_cancelling_leaves_no_process(bench: Bench) -> None:
    task = bench.start("bash", command="sleep 1000 & echo $! $$; wait")
    pids = [int(word) for word in (await bench.first_shown(task)).split()]
    assert all(alive(pid) for pid in pids)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in pids)


async def test_cancelling_twice_leaves_no_process_either(bench: Bench) -> None:
    task = bench.start("bash", command="trap '' TERM; echo $$; while true; do sleep 1000; done")
    pid = int(await bench.first_shown(task))
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pid)


async def test_long_output_is_cut_in_the_middle_and_kept_in_a_file(bench: Bench) -> None:
    outcome = await bench.run(
        "bash", command="echo first; yes 0123456789 | head -c 10000000; echo; echo last"
    )
    assert len(outcome.text) < 31_000
    assert outcome.text.startswith("first\n0123456789\n")
    assert outcome.text.endswith("\nlast")
    kept = Path(re.search(r"all of it is in (\S+)", outcome.text)[1])  # type: ignore[index]
    assert kept.parent == bench.scratch
    assert kept.stat().st_size == 10_000_012
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "10,000,012 bytes" in outcome.text


async def test_output_just_over_the_limit_is_kept_too(bench: Bench) -> None:
    outcome = await bench.run("bash", command="seq 1 8000")
    kept = Path(re.search(r"all of it is in (\S+)", outcome.text)[1])  # type: ignore[index]
    assert kept.read_text() == "".join(f"{n}\n" for n in range(1, 8001))
    assert "\n8000" in outcome.text


async def test_colours_alone_cut_nothing(bench: Bench) -> None:
    outcome = await bench.run(
        "bash", command=r"for i in $(seq 2000); do printf '\033[38;5;196mx\033[0m\n'; done"
    )
    assert outcome.text == "x\n" * 1999 + "x"


async def test_a_flood_does_not_flood_the_screen(bench: Bench) -> None:
    await bench.run("bash", command="yes | head -c 5000000")
    assert len("".join(bench.shown)) < 200_000


async def test_bytes_that_are_no_text_pass(bench: Bench) -> None:
    assert (await bench.run("bash", command=r"printf 'a\377\0b'")).text == "a\ufffdb"


def test_the_question_shows_the_command_in_full(bench: Bench) -> None:
    command = "rm -rf build &&\n  make \r all " + "x" * 300
    intent = bench.intend("bash", command=command)
    assert intent.access == "execute"
    assert intent.command == command
    assert intent.preview == command.replace("\r", "\\r")
    assert intent.summary.startswith("$ rm -rf build && make \\r all xxx")


@pytest.mark.parametrize("command", ["", "  ", "a\0b", None, ["ls"]])
def test_what_is_no_command_is_refused(bench: Bench, command: object) -> None:
    with pytest.raises(BadArguments, match="command"):
        bench.intend("bash", command=command)


async def test_a_project_that_is_gone_is_told(bench: Bench) -> None:
    bench.project.rmdir()
    assert "could not be started" in (await bench.run("bash", command="ls")).text
