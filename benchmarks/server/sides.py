"""The servers that are measured: the upstream itself, LiteLLM's proxy before it, and `agent serve`."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.server.programs import NotStarted, free_port, plain_environ, running, until_answers
from benchmarks.server.side import PROMPT, Side
from benchmarks.server.upstream import Mode
from server.keys import KeyRing

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NO_LIMIT = 100_000_000
MODEL = "openai/bench"
LONG = 200
"""Messages of a session that is gone on with: a hundred turns."""
FILES = 10
LINES = 120


@dataclass(frozen=True, slots=True)
class Upstream:
    """The provider that takes no time, at work in a process of its own."""

    side: Side

    def switch(self, mode: Mode) -> None:
        """Answer this way from now on."""
        self._ask("PUT", "/mode", json.dumps(asdict(mode)))

    @property
    def answered(self) -> int:
        """How many answers it began so far."""
        return int(self._ask("GET", "/state")["answered"])

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, int]:
        connection = http.client.HTTPConnection("127.0.0.1", self.side.port, timeout=60)
        try:
            connection.request(method, path, body)
            return dict(json.loads(connection.getresponse().read()))
        finally:
            connection.close()


@contextmanager
def upstream(scratch: Path) -> Iterator[Upstream]:
    port, log = free_port(), scratch / "upstream.log"
    argv = [sys.executable, str(HERE / "upstream.py"), "--port", str(port)]
    with running(argv, log, cwd=scratch, environ=plain_environ()) as program:
        until_answers(program, port, "/state", log)
        yield Upstream(Side.chat("direct", port, "sk-upstream", "bench", program.pid))


@dataclass(frozen=True, slots=True)
class Agent:
    """`agent serve` at work, and the ways to ask it."""

    port: int
    key: str
    pid: int

    @property
    def chat(self) -> Side:
        return Side.chat("agent serve", self.port, self.key, MODEL, self.pid)

    @property
    def responses(self) -> Side:
        return Side.responses("agent serve, Responses", self.port, self.key, MODEL, self.pid)

    def resumed(self, messages: int = LONG) -> Side:
        """Asked to go on with a long session, which is begun now: with so many messages, all its own."""
        asked, session = {"model": MODEL, "input": PROMPT}, ""
        for _ in range(messages // 2):
            told = self._post({**asked, "conversation": session} if session else asked)
            session = told["session_id"]
        return self.responses.resumed(session, messages)

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        try:
            connection.request("POST", "/v1/responses", json.dumps(body), headers)
            answer = connection.getresponse()
            told = answer.read()
            if answer.status != 200:
                raise NotStarted(f"agent serve answered {answer.status}: {told[:500]!r}")
            return dict(json.loads(told))
        finally:
            connection.close()


@contextmanager
def agent(scratch: Path, upstream: int) -> Iterator[Agent]:
    """`agent serve` before an upstream, in a small project under git, with one key that nothing limits."""
    home = scratch / "cachet"
    ring = KeyRing.open(home)
    _, secret = ring.add("bench", concurrent=NO_LIMIT, per_minute=NO_LIMIT)
    port, log = free_port(), scratch / "agent.log"
    argv = [str(Path(sys.executable).with_name("agent")), "serve", "--port", str(port)]
    argv += ["--cwd", str(project(scratch)), "-m", MODEL]
    environ = plain_environ(
        HOME=str(scratch),
        CACHET_HOME=str(home),
        OPENAI_BASE_URL=f"http://127.0.0.1:{upstream}/v1",
        OPENAI_API_KEY="sk-upstream",
    )
    with running(argv, log, cwd=scratch, environ=environ) as program:
        until_answers(program, port, "/health", log)
        yield Agent(port, secret, program.pid)


def project(scratch: Path) -> Path:
    """A project of a few files, committed."""
    folder = scratch / "project"
    folder.mkdir()
    for number in range(FILES):
        rows = (f"def part_{number}_{line}(value): return value + {line}" for line in range(LINES))
        (folder / f"part{number}.py").write_text("\n".join(rows) + "\n")
    author = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "A project")):
        subprocess.run(["git", *words], cwd=folder, check=True, env=plain_environ(HOME=str(scratch)))
    return folder
