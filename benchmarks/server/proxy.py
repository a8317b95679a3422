"""LiteLLM's proxy, in a virtual environment of its own: it wants a hundred packages, in versions it chooses.

    python proxy.py FOLDER    installs it there

It pins `certifi`, and packages of its own that have no part in what is measured (a database's migrations,
paid features), to the day's newest versions, which a mirror may not have yet. So its requirements are read
from its own metadata, and those pins are loosened; nothing else is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.server.programs import free_port, plain_environ, running, until_answers
from benchmarks.server.side import Side

WANTED = "litellm>=1.109"
KEY = "sk-bench"
REQUIREMENTS = """
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.specifiers import SpecifierSet
for line in requires("litellm"):
    wanted = Requirement(line)
    if wanted.marker is None or wanted.marker.evaluate({"extra": "proxy"}):
        if wanted.name in ("certifi", "litellm-proxy-extras", "litellm-enterprise"):
            wanted.specifier = SpecifierSet()
        wanted.marker = None
        print(wanted)
"""


class NotInstalled(Exception):
    """The proxy can't be installed; says why."""


def install(folder: Path) -> None:
    """Make a virtual environment there with the proxy in it. Raises NotInstalled."""
    stamp = folder / ".ready"
    if stamp.exists():
        return
    print(f"Installing LiteLLM's proxy into {folder} (once; a few minutes)", file=sys.stderr, flush=True)
    try:
        venv.create(folder, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotInstalled(f"No virtual environment could be made in {folder}: {error}") from error
    python = str(folder / "bin" / "python")
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--retries", "8", "--timeout", "60", "install")
    _do(*pip, "--no-deps", WANTED)
    _do(*pip, *_do(python, "-c", REQUIREMENTS).splitlines())
    stamp.touch()


def _do(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise NotInstalled(f"{' '.join(argv[:6])} … failed: {done.stderr.strip()[-600:]}")
    return done.stdout


def version(folder: Path) -> str:
    python = str(folder / "bin" / "python")
    return _do(python, "-c", "from importlib.metadata import version; print(version('litellm'))").strip()


@contextmanager
def proxy(folder: Path, scratch: Path, upstream: int) -> Iterator[Side]:
    """The proxy at work before an upstream: one model, one key, one worker, no database, nothing logged."""
    route = {"model": "openai/bench", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "sk-upstream"}
    config = scratch / "litellm.yaml"  # JSON is YAML, too
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": "bench", "litellm_params": route}],
                "general_settings": {"master_key": KEY},
                "litellm_settings": {"telemetry": False},
            }
        )
    )
    port, log = free_port(), scratch / "litellm.log"
    argv = [
        str(folder / "bin" / "litellm"),
        "--config",
        str(config),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environ = plain_environ(HOME=str(scratch), LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_LOG="ERROR")
    with running(
        [*argv, "--num_workers", "1", "--telemetry", "False"], log, cwd=scratch, environ=environ
    ) as program:
        until_answers(program, port, "/health/liveliness", log)
        yield Side.chat("litellm", port, KEY, "bench", program.pid)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
