"""Budgets for the cache: a run that paid again for what the cache could have had fails, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.anthropic_server import AnthropicServer, text, tool_use
from tests.support.loopback import Recorded, Reply, sse
from tests.support.openai_server import OpenAIServer, answer, usage
from tests.support.program import Program, program_in

pytestmark = pytest.mark.slow

SONNET = "anthropic/claude-sonnet-4-5"


class Forgetful(AnthropicServer):
    """Loses its cache before every third request."""

    def _reply(self, request: Recorded) -> Reply:
        if len(self.requests) % 3 == 0:
            self.cache.entries.clear()
        return super()._reply(request)


@pytest.fixture
def forgetful() -> Iterator[Forgetful]:
    steps = [(tool_use(f"toolu_{step}", "ls"),) for step in range(8)]
    with Forgetful([*steps, (text("done"),)]) as serving:
        yield serving


@pytest.fixture
def sound() -> Iterator[AnthropicServer]:
    steps = [(tool_use(f"toolu_{step}", "ls"),) for step in range(8)]
    with AnthropicServer([*steps, (text("done"),)]) as serving:
        yield serving


def at(folder: Path, server: AnthropicServer) -> Program:
    return program_in(folder, ANTHROPIC_API_KEY="sk-test-0123456789abcdef", ANTHROPIC_BASE_URL=server.url)


def test_a_run_that_hits_passes_both_budgets(tmp_path: Path, sound: AnthropicServer) -> None:
    ran = at(tmp_path, sound).ask("go", "-m", SONNET, "--min-hit-rate", "0.7", "--max-missed-tokens", "0")
    assert ran.code == 0
    assert ran.json["result"] == "done"


def test_too_low_a_hit_rate_fails_the_run_but_leaves_its_answer(
    tmp_path: Path, sound: AnthropicServer
) -> None:
    ran = at(tmp_path, sound).ask("go", "-m", SONNET, "--min-hit-rate", "0.99")
    assert ran.code == 3
    assert (ran.json["result"], ran.json["exit_reason"]) == ("done", "budget")
    assert "--min-hit-rate is 99.0%" in ran.complaint


def test_after_too_many_missed_tokens_no_call_is_made(tmp_path: Path, forgetful: Forgetful) -> None:
    ran = at(tmp_path, forgetful).ask("go", "-m", SONNET, "--max-missed-tokens", "10")
    assert ran.code == 3
    assert len(forgetful.requests) == 3
    assert "affinity_or_eviction" in ran.complaint
    assert "--max-missed-tokens is 10" in ran.complaint


def test_fewer_missed_tokens_than_the_budget_stop_nothing(tmp_path: Path, forgetful: Forgetful) -> None:
    ran = at(tmp_path, forgetful).ask("go", "-m", SONNET, "--max-missed-tokens", "1000000")
    assert ran.code == 0


def test_a_silent_provider_cannot_pass_a_hit_rate(tmp_path: Path) -> None:
    with OpenAIServer([sse(*answer("done", **usage(100, 2, None)))]) as server:
        agent = program_in(tmp_path, OPENAI_API_KEY="sk-0123456789abcdef", OPENAI_BASE_URL=server.base_url)
        ran = agent.ask("go", "-m", "openai/gpt-5.1", "--min-hit-rate", "0.5")
    assert ran.code == 3
    assert "says nothing about its cache" in ran.complaint
