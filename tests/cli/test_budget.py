"""Limits on the whole program: it stops before the call that would exceed them, and says how to go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.anthropic_server import AnthropicServer, answer, length, text, tool_use
from tests.support.loopback import Recorded, Reply, sse
from tests.support.openai_server import OpenAIServer
from tests.support.program import Program, program_in
from tests.support.script import say, script, use
from tests.support.wires import ANTHROPIC

pytestmark = pytest.mark.slow

WANTED = 600
"""Tokens that each answer would have if it may."""


class Spender(AnthropicServer):
    """Answers for ever with so many tokens and a call of a tool, or with as many as the request allows."""

    def __init__(self) -> None:
        super().__init__(())

    def _reply(self, request: Recorded) -> Reply:
        most, turn = request.json["max_tokens"], len(self.requests)
        call = tool_use(f"toolu_{turn}", "ls")
        whole = (text("four" * (WANTED - length([call]))), call)
        blocks = whole if most >= WANTED else (text("four" * most),)
        usage = self.bill(request.json, min(most, WANTED))
        stop = None if most >= WANTED else "max_tokens"
        return sse(*answer(*blocks, usage=usage, stop_reason=stop, model=request.json["model"]))


def at(folder: Path, server: Any) -> Program:
    return program_in(folder, **ANTHROPIC.environ(server.url))


def left(agent: Program) -> Any:
    return json.loads((agent.project / "usage.json").read_text())


@pytest.mark.parametrize("dollars", [0.02, 0.025, 0.03])
def test_what_is_spent_never_goes_over_max_cost(tmp_path: Path, dollars: float) -> None:
    with Spender() as server:
        agent = at(tmp_path, server)
        ran = agent.ask("go", "-m", ANTHROPIC.model, "--max-cost", str(dollars), "--usage-file", "usage.json")
    told = left(agent)
    assert (ran.code, told["exit_code"], told["exit_reason"]) == (3, 3, "budget")
    assert dollars * 0.8 < told["cost_usd"] <= dollars
    assert told["model_calls"] == len(server.requests) > 1
    limits = [request.json["max_tokens"] for request in server.requests]
    assert limits == sorted(limits, reverse=True)
    assert f"--max-cost ${dollars:.4f}" in ran.complaint
    assert f"Go on with: agent resume {told['session_id']}" in ran.complaint
    assert f"${told['cost_usd']:.4f}" in ran.complaint


def test_a_prompt_that_alone_is_too_dear_is_never_sent(tmp_path: Path) -> None:
    with Spender() as server:
        agent = at(tmp_path, server)
        ran = agent.ask("go", "-m", ANTHROPIC.model, "--max-cost", "0.001", "--usage-file", "usage.json")
    assert (ran.code, len(server.requests)) == (3, 0)
    assert "it would cost at least $0.00" in ran.complaint
    assert (left(agent)["cost_usd"], left(agent)["calls"]) == (0.0, [])


def test_the_stopped_turn_goes_on_where_it_was(tmp_path: Path) -> None:
    with Spender() as server:
        agent = at(tmp_path, server)
        first = agent.ask("go", "-m", ANTHROPIC.model, "--max-turns", "2")
        second = agent.ask("go on", "-c", "--max-turns", "1")
    assert (first.code, second.code, len(server.requests)) == (3, 3, 3)
    assert "Stopped before model call 3: --max-turns is 2, $0.0" in first.complaint
    assert second.json["session_id"] == first.json["session_id"]
    assert second.json["usage"]["cache_read_tokens"] > second.json["usage"]["cache_write_tokens"]


def test_an_answer_cut_off_by_the_budget_is_a_budget_stop_and_is_kept(tmp_path: Path) -> None:
    agent = program_in(tmp_path)
    model = script(tmp_path, say("Half an answ", output_tokens=400) | {"stop_reason": "max_tokens"})
    agent.home.mkdir()
    (agent.home / "config.toml").write_text(f'[prices."{model}"]\ninput = 0\noutput = 1000\n')
    cut = agent.ask("go", "-m", str(model), "--max-cost", "0.5")
    assert cut.code == 3
    assert "in the middle of an answer: --max-cost $0.5000 was enough for 500 tokens" in cut.complaint
    assert cut.json["checkpoint"] is not None
    assert "Half an answ" in json.dumps(agent.lines("message"))
    long = agent.ask("go", "-m", str(model), "--max-cost", "50")
    assert (long.code, long.json["stop_reason"]) == (0, "max_tokens")


# --- prices that nobody knows -------------------------------------------------------------------------------


def gateway(folder: Path, server: OpenAIServer) -> Program:
    agent = program_in(folder)
    agent.home.mkdir()
    (agent.home / "config.toml").write_text(f'[providers.gw]\nbase_url = "{server.base_url}"\n')
    return agent


def test_max_cost_refuses_a_model_whose_price_nobody_knows_before_anything_is_sent(tmp_path: Path) -> None:
    with OpenAIServer(["There."]) as server:
        agent = gateway(tmp_path, server)
        ran = agent.ask("go", "-m", "gw/big", "--max-cost", "1", "--usage-file", "usage.json")
    assert (ran.code, len(server.requests)) == (2, 0)
    assert "no price is known for gw/big" in ran.complaint
    assert "--allow-unknown-cost" in ran.complaint
    assert left(agent)["exit_reason"] == "usage"


def test_allowed_unknown_calls_are_made_and_the_cost_stays_unknown(tmp_path: Path) -> None:
    with OpenAIServer(["There."]) as server:
        agent = gateway(tmp_path, server)
        ran = agent.ask("go", "-m", "gw/big", "--max-cost", "1", "--allow-unknown-cost")
    assert (ran.code, ran.json["result"]) == (0, "There.")
    assert (ran.json["cost_usd"], ran.json["cost_at_least"]) == (None, 0.0)


def test_ones_own_price_makes_the_limit_work(tmp_path: Path) -> None:
    with OpenAIServer([(("c", "ls", {}),), "There."]) as server:
        agent = gateway(tmp_path, server)
        config = agent.home / "config.toml"
        config.write_text(config.read_text() + '[prices."gw/big"]\ninput = 1000\noutput = 1000\n')
        ran = agent.ask("go", "-m", "gw/big", "--max-cost", "2")
    assert (ran.code, len(server.requests)) == (3, 1)
    assert ran.json["cost_usd"] < 2


def test_a_free_model_runs_under_any_limit(tmp_path: Path) -> None:
    agent = program_in(tmp_path)
    model = script(tmp_path, use(("ls", {})), say("done"))
    assert agent.ask("go", "-m", str(model), "--max-cost", "0").json["result"] == "done"
