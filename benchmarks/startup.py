"""How fast Cachet starts and works, as ratios and differences measured in one run, each beside its target.

    python benchmarks/startup.py [--rounds N] [FIGURE ...]

Commands run as whole processes. What is compared runs interleaved, so that a machine that slows down slows
both sides; a verdict goes by the fastest run of each side (noise only adds), the median stands beside it.
Exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peer import ANTHROPIC, ARGUMENTS, OLLAMA, OPENAI, Peer, Wire

AGENT = str(Path(sys.executable).with_name("agent"))
LINE = "import typer, rich.console, prompt_toolkit, asyncio"
STEPS = 30
PROMPT_SIGN = "›".encode()
PATIENCE = 120.0
"""Seconds after which a program that shows nothing is given up."""

Measure = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Series:
    """What was measured of one thing, in the unit of its measure."""

    values: tuple[float, ...]

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def middle(self) -> float:
        return median(self.values)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report."""

    name: str
    least: float
    middle: float
    target: float
    unit: str
    detail: str

    @property
    def met(self) -> bool:
        return self.least <= self.target

    def __str__(self) -> str:
        verdict = "ok    " if self.met else "MISSED"
        found = f"{self.least:7.2f}{self.unit} (median {self.middle:.2f})"
        return f"{verdict} {self.name:<40} {found}, target ≤ {self.target:g}{self.unit}   {self.detail}"


@dataclass(frozen=True, slots=True)
class Bench:
    """A scratch project and home, and how often each thing is measured."""

    folder: Path
    rounds: int

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A person's environment without keys, and with a home of our own."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        home = {"HOME": str(self.folder), "CACHET_HOME": str(self.folder / "cachet")}
        return {**kept, **home, "TERM": "xterm-256color", "NO_PROXY": "127.0.0.1", **(extra or {})}

    def interleaved(self, *measures: Measure) -> list[Series]:
        """Each measure once unrecorded (caches fill), then all in turn, `rounds` times."""
        for measure in measures:
            measure()
        rows = [[measure() for measure in measures] for _ in range(self.rounds)]
        return [Series(column) for column in zip(*rows, strict=True)]

    def whole(self, *words: str) -> Measure:
        """Seconds from start to end of a command that succeeds."""

        def measure() -> float:
            began = time.perf_counter()
            done = subprocess.run(
                words, cwd=self.project, env=self.environ(), stdin=subprocess.DEVNULL, capture_output=True
            )
            took = time.perf_counter() - began
            if done.returncode != 0:
                raise SystemExit(f"{' '.join(words)} failed: {done.stderr.decode()}")
            return took

        return measure

    def python(self, code: str) -> Measure:
        return self.whole(sys.executable, "-c", code)


# --- what is measured -------------------------------------------------------------------------------------


def version(bench: Bench) -> Iterator[Figure]:
    """`agent --version` beside a Python that does nothing."""
    ours, bare = bench.interleaved(bench.whole(AGENT, "--version"), bench.python("pass"))
    yield _ratio("agent --version", ours, bare, 2.0, "× python -c pass")


def prompt(bench: Bench) -> Iterator[Figure]:
    """The chat, from its start until a person sees the prompt."""
    ours, line = bench.interleaved(_until_the_prompt(bench), bench.python(LINE))
    yield _ratio("agent, until its prompt is drawn", ours, line, 1.3, "× its libraries' import")


def first_request(bench: Bench) -> Iterator[Figure]:
    """`agent -p`, until its first request has come whole."""
    ours, line = bench.interleaved(_until_asked(bench, OLLAMA), bench.python(LINE))
    yield _ratio("agent -p, first request, Ollama's wire", ours, line, 2.0, "× its libraries' import")
    for wire in (ANTHROPIC, OPENAI):
        sdk, bare = bench.python(f"import {wire.sdk}"), bench.python("pass")
        ours, line, imported, nothing = bench.interleaved(
            _until_asked(bench, wire), bench.python(LINE), sdk, bare
        )
        yield Figure(
            name=f"agent -p, first request, {wire.sdk}'s SDK",
            least=(ours.least - imported.least + nothing.least) / line.least,
            middle=(ours.middle - imported.middle + nothing.middle) / line.middle,
            target=1.0,
            unit="",
            detail=f"× its libraries' import, beyond the SDK's "
            f"({_ms(ours.least)} - {_ms(imported.least - nothing.least)}; {_ms(line.least)})",
        )


def tool_loop(bench: Bench) -> Iterator[Figure]:
    """A loop of 30 tool calls: the pause between an answer and the next request, and the memory it takes.

    A pause's verdict goes by the median of the faster half.
    """
    (bench.project / ARGUMENTS["path"]).write_text("A note.\n")
    for wire in (OLLAMA, ANTHROPIC, OPENAI):
        runs = [_loop(bench, wire) for _ in range(max(3, bench.rounds // 3))]
        pauses = Series(tuple(1000 * pause for run in runs for pause in run.pauses))
        needed = Series(tuple(1000 * seconds for run in runs for seconds in run.needed))
        yield Figure(
            name=f"answer to next request, {wire.model.split('/')[0]}",
            least=median(sorted(pauses.values)[: len(pauses.values) // 2]) - needed.middle,
            middle=pauses.middle - needed.middle,
            target=8.0,
            unit=" ms",
            detail=f"beyond tool and fsync ({pauses.middle:.2f} ms - {needed.middle:.2f} ms)",
        )
        if wire.sdk:
            own = Series(tuple(_peak(bench, sys.executable, "-c", f"import {wire.sdk}") for _ in range(3)))
            peaks = Series(tuple(run.peak for run in runs))
            yield Figure(
                name=f"peak memory of that loop, {wire.model.split('/')[0]}",
                least=peaks.least - own.least,
                middle=peaks.middle - own.middle,
                target=40.0,
                unit=" MB",
                detail=f"beyond the SDK's own ({peaks.least:.0f} MB - {own.least:.0f} MB)",
            )


FIGURES = {"version": version, "prompt": prompt, "first-request": first_request, "loop": tool_loop}


def _ratio(name: str, ours: Series, theirs: Series, target: float, of: str) -> Figure:
    return Figure(
        name=name,
        least=ours.least / theirs.least,
        middle=ours.middle / theirs.middle,
        target=target,
        unit="",
        detail=f"{of} ({_ms(ours.least)}; {_ms(theirs.least)})",
    )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


# --- how it is measured -----------------------------------------------------------------------------------


def _until_asked(bench: Bench, wire: Wire) -> Measure:
    """Seconds from the start of `agent -p` until its first request has come whole."""

    def measure() -> float:
        with Peer(wire) as peer:
            began = time.perf_counter()
            _headless(bench, peer)
            return peer.asked[0] - began

    return measure


def _headless(bench: Bench, peer: Peer) -> None:
    command = [AGENT, "-p", "Read the note.", "-m", peer.wire.model]
    environ = bench.environ(peer.wire.environ(peer.url))
    done = subprocess.run(
        command, cwd=bench.project, env=environ, stdin=subprocess.DEVNULL, capture_output=True
    )
    if done.returncode != 0 or not peer.asked:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.decode()}")


def _until_the_prompt(bench: Bench) -> Measure:
    """Seconds from the start of the chat until its prompt's sign is on the terminal."""

    def measure() -> float:
        with Peer(OLLAMA) as peer, _terminal(bench, [AGENT], peer) as (screen, began):
            _read_until(screen, PROMPT_SIGN)
            return time.perf_counter() - began

    return measure


def _read_until(screen: int, sign: bytes) -> None:
    seen = b""
    while sign not in seen:
        ready, _, _ = select.select([screen], [], [], PATIENCE)
        try:
            written = os.read(screen, 65536) if ready else b""
        except OSError:  # the program has ended
            written = b""
        if not written:
            raise SystemExit(f"The chat showed no prompt, but: {seen.decode(errors='replace')}")
        seen += written


@contextmanager
def _terminal(bench: Bench, command: Sequence[str], peer: Peer) -> Iterator[tuple[int, float]]:
    """A program in a pseudo-terminal: where to read what it writes, and when it was started."""
    screen, inside = pty.openpty()
    environ = bench.environ({**peer.wire.environ(peer.url), "CACHET_MODEL": peer.wire.model})
    began = time.perf_counter()
    program = subprocess.Popen(
        command,
        cwd=bench.project,
        env=environ,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    try:
        yield screen, began
    finally:
        program.kill()
        program.wait()
        os.close(screen)


@dataclass(frozen=True, slots=True)
class Loop:
    """One run of the tool loop: seconds and megabytes."""

    pauses: tuple[float, ...]
    needed: tuple[float, ...]
    """What reading the note, and writing a journal's line through to the disk, take by themselves."""
    peak: float


def _loop(bench: Bench, wire: Wire) -> Loop:
    with Peer(wire, steps=STEPS) as peer:
        command = (AGENT, "-p", "Read the note thirty times.", "-m", wire.model)
        peak = _peak(bench, *command, environ=wire.environ(peer.url))
        if len(peer.asked) != STEPS + 1:
            raise SystemExit(f"{wire.model}: {len(peer.asked)} requests, not {STEPS + 1}")
        return Loop(tuple(peer.pauses), tuple(_tool_and_fsync(bench) for _ in range(STEPS)), peak)


def _tool_and_fsync(bench: Bench) -> float:
    """Seconds for what each step cannot do without: the file is read, and one line reaches the disk."""
    line = b"x" * 600 + b"\n"
    with (bench.folder / "cachet" / "line").open("ab", buffering=0) as journal:
        began = time.perf_counter()
        (bench.project / ARGUMENTS["path"]).read_bytes()
        journal.write(line)
        os.fsync(journal.fileno())
        return time.perf_counter() - began


def _peak(bench: Bench, *command: str, environ: Mapping[str, str] | None = None) -> float:
    """Peak resident memory of a command that succeeds, in megabytes, the children it waited for left out."""
    program = subprocess.Popen(
        command,
        cwd=bench.project,
        env=bench.environ(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    if program.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with exit code {program.returncode}")
    return usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> int:
    parser = argparse.ArgumentParser(description="How fast Cachet starts and works.")
    parser.add_argument(
        "figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}; all if left out"
    )
    parser.add_argument("--rounds", type=int, default=9, help="how often each thing is measured")
    chosen = parser.parse_args()
    if unknown := set(chosen.figures) - set(FIGURES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="cachet-bench-") as name:
        bench = Bench(Path(name), chosen.rounds)
        bench.project.mkdir()
        for figure in chosen.figures or FIGURES:
            for line in FIGURES[figure](bench):
                print(line, flush=True)
                missed += not line.met
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
