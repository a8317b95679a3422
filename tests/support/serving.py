"""`agent serve` as a person starts it, in front of an upstream that does what the prompt says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.asgi import PATIENCE, Served
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply, sse
from tests.support.openai_server import answer, usage

AGENT = Path(sys.executable).parent / "agent"
UPSTREAM_KEY = "quite-secret-upstream-key-0123456789"
MODEL = "gateway/big"
CONFIG = """
[providers.gateway]
wire = "openai-chat"
base_url = "{url}/v1"
api_key_env = "GATEWAY_KEY"

[prices."gateway/big"]
input = 1000
output = 1000
"""
"""A token costs a tenth of a cent, so that a few of them empty a purse."""


class Upstream(LoopbackServer):
    """A model's provider on loopback.

    It answers `ok`, 10 tokens in and 2 out; to the prompt `hold` it begins and never ends, to `refuse` it
    refuses the key, and to `use NAME JSON` it wants that tool run before it answers.
    """

    def __init__(self) -> None:
        super().__init__(self._reply)

    def _reply(self, request: Recorded) -> Reply:
        if not request.path.endswith("/chat/completions"):
            return json_reply({"object": "list", "data": []})
        messages = request.json["messages"]
        match messages[-1], words(messages[-1]):
            case {"role": "tool"}, _:
                return sse(*answer("done", **usage(10, 2)))
            case _, "hold":
                return sse(*answer("o")[:2], hold=True)
            case _, "refuse":
                return json_reply({"error": {"message": f"bad key {UPSTREAM_KEY}"}}, 401)
            case _, prompt if found := re.fullmatch(r"use (\w+) (.*)", prompt, re.DOTALL):
                call = ("call_1", found[1], json.loads(found[2]))
                return sse(*answer(calls=[call], **usage(10, 2)))
        return sse(*answer("ok", **usage(10, 2)))

    @property
    def asked(self) -> list[Any]:
        """The messages of each request for an answer."""
        return [each.json["messages"] for each in self.requests if each.path.endswith("/chat/completions")]


def words(message: Mapping[str, Any]) -> str:
    """The last paragraph of a message: what was said, without what tells of the place before it."""
    content = message["content"]
    texts = [content] if isinstance(content, str) else [part["text"] for part in content or ()]
    return "\n\n".join(texts).rpartition("\n\n")[2]


@dataclass(frozen=True, slots=True)
class AgentServer(Served):
    """The program that serves, its home and the project it works in."""

    home: Path
    project: Path
    environ: Mapping[str, str]
    out: Path
    err: Path

    def run(self, *argv: str) -> str:
        """Another command on the same home, and what it printed."""
        done = self._ran(*argv)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, *argv: str) -> str:
        """A command on the same home that can't work, and its complaint."""
        done = self._ran(*argv)
        assert done.returncode == 2, done.stdout
        return done.stderr

    def _ran(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [AGENT, *argv],
            env=self.environ,
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def key(self, name: str, *options: str) -> str:
        """Make a key while the server runs; its secret."""
        return self.run("serve", "keys", "add", name, *options).strip()


@contextmanager
def serving(folder: Path, upstream: Upstream, *options: str) -> Iterator[AgentServer]:
    """`agent serve` in a new project below `folder`, with these options, until the block ends."""
    home, project = folder / "cachet", folder / "shop"
    home.mkdir()
    project.mkdir()
    (home / "config.toml").write_text(CONFIG.format(url=upstream.url))
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CACHET_HOME": str(home),
        "OLLAMA_HOST": "127.0.0.1:1",
        "GATEWAY_KEY": UPSTREAM_KEY,
    }
    out, err = folder / "out.txt", folder / "err.txt"
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(
            [AGENT, "serve", "--port", "0", "-m", MODEL, "--grace", "0", *options],
            env=environ,
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        try:
            assert process.stdout is not None
            port = 0
            for line in process.stdout:
                stdout.write(line)
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    port = int(found[1])
                if line.startswith("Ctrl-C"):
                    break
            stdout.flush()
            assert port, err.read_text()
            yield AgentServer(port, home, project, environ, out, err)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
            if process.stdout is not None:
                process.stdout.close()
    assert "Traceback" not in err.read_text(), err.read_text()
