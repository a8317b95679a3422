"""The whole program on the embedded model: turns in processes of their own, each warm from the one before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.engine


def run(home: Path, *words: str) -> str:
    """What `agent WORDS` prints, in a process of its own."""
    project = home / "project"
    project.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, str(ROOT / "cachet.py"), *words],
        cwd=project,
        env={**os.environ, "CACHET_HOME": str(home / "cachet")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def agent(home: Path, *words: str) -> dict[str, Any]:
    """What `agent WORDS -p --output-format json` prints."""
    answer: dict[str, Any] = json.loads(run(home, *words, "-p", "--output-format", "json"))
    return answer


def all_but_the_last_token(answer: dict[str, Any]) -> int:
    return int(answer["usage"]["prompt_tokens"] + answer["usage"]["output_tokens"] - 1)


def test_a_resumed_session_reads_from_the_cache_all_that_the_last_process_computed(tmp_path: Path) -> None:
    first = agent(tmp_path, "Hello, who are you?", "-m", "local/smollm2")
    second = agent(tmp_path, "resume", first["session_id"], "Name three primes... 🎉")
    third = agent(tmp_path, "resume", first["session_id"], "日本語で、 and one more?")
    assert second["usage"]["cache_read_tokens"] == all_but_the_last_token(first)
    assert third["usage"]["cache_read_tokens"] == all_but_the_last_token(second)
    assert third["turns"] == 3
    assert third["cost_usd"] == 0


def test_the_tokens_that_an_answer_carries_are_shown_to_nobody(tmp_path: Path) -> None:
    first = agent(tmp_path, "Hello, who are you?", "-m", "local/smollm2")
    [journal] = (tmp_path / "cachet" / "sessions").rglob(f"*{first['session_id']}*.jsonl")
    shown = run(tmp_path, "sessions", "show", first["session_id"])
    as_json = run(tmp_path, "sessions", "show", first["session_id"], "--json")
    kept = 'tokens\\":['
    assert kept in journal.read_text(encoding="utf-8")
    assert first["result"].strip()[:20] in shown
    assert "opaque" not in shown
    assert kept not in shown
    assert kept not in as_json
