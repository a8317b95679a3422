"""llama.cpp in a child process of ours: the handle that starts and stops it, and the script it runs.

The child runs this very file by its path in Python's isolated mode, away from the person's project and from
`PYTHONPATH`, so nothing here imports a room. A crash of native code takes the child along, not the chat.

    parent → child, stdin     one JSON line: `EngineSettings`; then the pipe stays open
    child → parent, stdout    one JSON line: {"address": "http://127.0.0.1:…"} or {"error": "…"}

The end of stdin ends the child, so it never outlives its parent, whatever the parent dies of.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

START_SECONDS = 180.0
"""How long weights may take to load, from a cold and slow disk."""

STOP_SECONDS = 5.0
LONGEST_LOG = 1_000_000

INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE")
INHERITED_PREFIXES = ("LC_", "OMP_", "GGML_", "CUDA_")


class EngineFailed(Exception):
    """The engine did not start; the message is its own one line."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the child needs to know. It goes over a pipe: the key stands in no argument list and no file."""

    name: str
    """The model's name in its answers."""
    weights: str
    template: str
    """The chat template's text."""
    context: int
    """Tokens."""
    slots: str
    """The folder that saved KV slots go to."""
    log: str
    packages: str = ""
    """A folder to find `xllamacpp` in, where the isolated interpreter doesn't by itself."""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)


class Engine:
    """A running llama.cpp server on loopback. It is there for whoever holds its key."""

    def __init__(self, child: subprocess.Popen[str], address: str, key: str) -> None:
        self.address = address
        self.key = key
        self.pid = child.pid
        self._child = child

    @classmethod
    def start(cls, settings: EngineSettings, environ: Mapping[str, str]) -> Engine:
        """Start the child and wait until it answers; blocks. Raises EngineFailed."""
        try:
            child = subprocess.Popen(
                [sys.executable, "-I", os.path.abspath(__file__)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=settings.slots,
                env=_environment(environ),
                start_new_session=True,  # Ctrl-C in the terminal is for the chat alone
            )
        except OSError as error:
            raise EngineFailed(str(error)) from error
        overdue = threading.Timer(START_SECONDS, child.kill)
        overdue.start()
        try:
            return cls(child, _introduce(child, settings), settings.key)
        except BaseException:
            _end(child)
            raise
        finally:
            overdue.cancel()

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def stop(self) -> None:
        """End the child and wait for it; blocks. Idempotent."""
        _end(self._child)


def _introduce(child: subprocess.Popen[str], settings: EngineSettings) -> str:
    """Tell the child its settings and read its address. Raises EngineFailed."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps(asdict(settings)) + "\n")
        child.stdin.flush()
        answer = json.loads(child.stdout.readline() or "{}")
    except (OSError, ValueError) as error:
        raise EngineFailed(str(error)) from error
    if "address" in answer:
        return str(answer["address"])
    raise EngineFailed(str(answer.get("error") or f"it ended with exit code {child.wait()}"))


def _end(child: subprocess.Popen[str]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # unsent bytes for a child that is gone
                continue
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What native code may need of the environment; no provider's key is among it."""
    return {
        name: value
        for name, value in environ.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }


# --- the child's side -------------------------------------------------------------------------------------


def main() -> None:
    """Serve until the parent closes stdin or dies."""
    settings = EngineSettings(**json.loads(sys.stdin.readline()))
    os.umask(0o077)
    parent = os.dup(1)
    _log_to(settings.log)
    try:
        address, server = _serve(settings)
        answer = {"address": address}
    except (ImportError, RuntimeError, OSError) as error:
        answer, server = {"error": f"{type(error).__name__}: {error}"}, None
    os.write(parent, (json.dumps(answer) + "\n").encode())
    os.close(parent)
    if server is not None:
        sys.stdin.buffer.read()
    os._exit(0 if server is not None else 1)  # native threads are still running: no clean-up to wait for


def _log_to(path: str) -> None:
    """Send what llama.cpp prints to a file; it starts afresh when it has grown long."""
    log = Path(path)
    fresh = os.O_TRUNC if log.exists() and log.stat().st_size > LONGEST_LOG else 0
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | fresh, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _serve(settings: EngineSettings) -> tuple[str, object]:
    """Start llama.cpp's server; its address, and the object that keeps it alive."""
    sys.path.append(settings.packages)
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = settings.weights
    parameters.model_alias = {settings.name}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [settings.key]
    parameters.n_ctx = settings.context
    parameters.n_parallel = 1
    parameters.cache_ram_mib = (
        0  # sessions change places in the one slot through files, not through gigabytes of RAM
    )
    parameters.cpuparams.n_threads = _processors()
    parameters.sampling.temp = 0.0  # what our own calls ask for, through its other endpoints too
    parameters.use_jinja = True
    parameters.chat_template = settings.template
    parameters.slot_save_path = os.path.join(settings.slots, "")
    parameters.endpoint_slots = True
    parameters.offline = True
    server = xllamacpp.Server(parameters)
    return server.listening_address, server


def _processors() -> int:
    """How many threads compute: half of the processors that this process may use, at most 4.

    They wait for one another, spinning, after every layer: where one of them isn't running, because others
    work on this machine too, all stand still. On 2 busy processors one thread was measured to answer 8 to
    20 times as fast as two; a model this small gains little from more.
    """
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min(usable // 2, 4))


if __name__ == "__main__":
    main()
