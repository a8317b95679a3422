"""The installed program `agent` run as a person's shell would run it, nothing patched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.support.start import PATIENCE, Process, run, start

AGENT = Path(sys.executable).parent / "agent"


@dataclass(frozen=True, slots=True)
class Ran:
    """One run that is over."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        return json.loads(self.out)

    @property
    def events(self) -> list[Any]:
        """The JSON objects on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def complaint(self) -> str:
        """The one line on stderr, but for notes, which says what went wrong."""
        lines = [line for line in self.err.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        return lines[0].removeprefix("error: ")

    @property
    def notes(self) -> list[str]:
        """The lines on stderr that tell of something on the way."""
        lines = self.err.splitlines()
        return [line.removeprefix("note: ") for line in lines if line.startswith("note: ")]


@dataclass(slots=True)
class Running:
    """A run in the middle: `wait_for` reads its events, `end` signals it and reads the rest."""

    process: Process
    out: IO[str]
    err: IO[str]
    read: list[str] = field(default_factory=list)

    def wait_for(self, kind: str) -> Any:
        """The next event of this type. Needs `--output-format stream-json`."""
        for line in self.out:
            self.read.append(line)
            event = json.loads(line)
            if event["type"] == kind:
                return event
        raise AssertionError(f"no {kind} in {self.read}")

    def end(self, sent: signal.Signals) -> Ran:
        """Signal the process alone, not what it started."""
        self.process.send_signal(sent)
        code = self.process.wait(PATIENCE)
        return Ran(code, "".join(self.read) + self.out.read(), whole(self.err))

    def leave(self) -> Ran:
        """Close its output unread, and wait until it has noticed."""
        self.out.close()
        return Ran(self.process.wait(PATIENCE), "".join(self.read), whole(self.err))


@dataclass(frozen=True, slots=True)
class Program:
    """Runs `agent` in `project`, with no environment but `environ`.

    `cold` starts each run from nothing, as a shell does, and not from a process that has its imports.
    """

    home: Path
    project: Path
    environ: Mapping[str, str]
    cold: bool = False

    def __call__(
        self, *words: str, under: Sequence[str] = (), cwd: Path | None = None, **environ: str
    ) -> Ran:
        """Run to the end. `under` goes before the program; `environ` is added to the environment."""
        environ = {**self.environ, **environ}
        cwd = cwd or self.project
        ran = Ran(*run(AGENT, words, environ=environ, cwd=cwd, under=under, cold=self.cold))
        assert "--debug" in words or "Traceback" not in ran.err, ran.err
        return ran

    def ask(self, prompt: str, *words: str, **environ: str) -> Ran:
        """One headless prompt, everything permitted, the result as JSON."""
        return self("-p", prompt, "--output-format", "json", "--permission-mode", "auto", *words, **environ)

    @contextmanager
    def running(self, *words: str) -> Iterator[Running]:
        """A headless run that tells its events while it runs."""
        words = (*words, "--output-format", "stream-json", "--permission-mode", "auto")
        reading, writing = os.pipe()
        with (
            open(os.devnull) as nothing,
            open(reading) as out,
            tempfile.TemporaryFile("w+") as err,
        ):
            with open(writing, "w") as theirs:
                stdio = (nothing.fileno(), theirs.fileno(), err.fileno())
                process = start(
                    AGENT, words, environ=self.environ, cwd=self.project, stdio=stdio, cold=self.cold
                )
            try:
                yield Running(process, out, err)
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait(PATIENCE)

    def journal(self) -> Path:
        """The one session's journal."""
        (path,) = self.home.glob("sessions/*/*.jsonl")
        return path

    def lines(self, *kinds: str) -> list[Any]:
        """The journal's lines of these kinds, all of them if none is named; unreadable ones left out."""
        return [line for line in map(_line, self.journal().read_bytes().split(b"\n")) if _is(line, kinds)]

    def checkpoint(self) -> Any:
        """The one session's last checkpoint."""
        folder = self.home / "checkpoints" / self.journal().stem
        last = max(folder.glob("*.json"), key=lambda path: int(path.stem))
        return json.loads(last.read_bytes())


def program_in(folder: Path, **environ: str) -> Program:
    """A person's home with an empty Cachet and a project beside it; no keys, and no Ollama that answers."""
    home, project = folder / "cachet", folder / "shop"
    project.mkdir()
    settings = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CACHET_HOME": str(home),
        "OLLAMA_HOST": "127.0.0.1:1",
        "COLUMNS": "120",
    }
    return Program(home, project, settings | environ)


def whole(file: IO[str]) -> str:
    """What a run has written there."""
    file.seek(0)
    return file.read()


def path_with(folder: Path, *names: str) -> str:
    """A PATH on which there are only these programs."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return str(folder)


def _line(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is(line: Any, kinds: Sequence[str]) -> bool:
    return isinstance(line, dict) and (not kinds or line["kind"] in kinds)
