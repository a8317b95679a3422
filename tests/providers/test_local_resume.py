"""The whole program on the embedded model: turns in processes of their own, each warm from the one before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
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


@dataclass(frozen=True, slots=True)
class Story:
    """Three turns of one session; the answers are a word long, since what counts is what is read for them."""

    home: Path
    answers: list[dict[str, Any]]

    @property
    def session(self) -> str:
        return str(self.answers[0]["session_id"])


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    home = tmp_path_factory.mktemp("person")
    first = agent(home, "Say only: yes.", "-m", "local/smollm2")
    more = [
        agent(home, "resume", first["session_id"], prompt)
        for prompt in ("Say only: no... 🎉", "日本語で、 say only: ok.")
    ]
    return Story(home, [first, *more])


def test_a_resumed_session_reads_from_the_cache_all_that_the_last_process_computed(story: Story) -> None:
    for before, after in pairwise(story.answers):
        assert after["usage"]["cache_read_tokens"] == all_but_the_last_token(before)
    last = story.answers[-1]
    assert (last["turns"], last["cost_usd"]) == (3, 0)


def test_the_tokens_that_an_answer_carries_are_shown_to_nobody(story: Story) -> None:
    [journal] = (story.home / "cachet" / "sessions").rglob(f"*{story.session}*.jsonl")
    shown = run(story.home, "sessions", "show", story.session)
    as_json = run(story.home, "sessions", "show", story.session, "--json")
    kept = 'tokens\\":['
    assert kept in journal.read_text(encoding="utf-8")
    assert story.answers[0]["result"].strip() in shown
    assert "opaque" not in shown
    assert kept not in shown
    assert kept not in as_json
