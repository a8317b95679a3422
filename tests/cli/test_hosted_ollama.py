"""Ollama can hand a model on to its makers' machines: nobody knows then what a call cost, and it isn't $0."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.ollama_chunks import OllamaAccumulator
from providers.readings import hosted
from providers.types import Origin
from tests.support.ollama_server import MODEL, OllamaServer, end, line, ndjson
from tests.support.program import program_in

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("told", "cost"), [({}, 0.0), ({"remote_host": "https://ollama.com:443"}, None)])
def test_a_call_that_ran_elsewhere_has_no_known_cost(
    told: dict[str, str], cost: float | None, tmp_path: Path
) -> None:
    answer = ndjson(line({"content": "Hi."}), end(prompt_eval_count=40, eval_count=3, **told))
    with OllamaServer([answer]) as server:
        agent = program_in(tmp_path, OLLAMA_HOST=server.url)
        ran = agent.ask("hi", "-m", f"ollama/{MODEL}")
        audit = agent("stats", "--verify")
    assert ran.code == 0, ran.err
    assert ran.json["cost_usd"] == cost
    assert audit.code == 0, audit.out


@pytest.mark.parametrize(
    ("address", "elsewhere"), [("https://ollama.com:443", True), ("http://box:11434", False)]
)
def test_ollamas_own_service_is_elsewhere_by_its_address(address: str, elsewhere: bool) -> None:
    answer = OllamaAccumulator(Origin("ollama", address, "m"), provider="ollama", taken=frozenset())
    answer.feed({"done": True, "prompt_eval_count": 4, "eval_count": 3})
    assert hosted("ollama", answer.raw_usage) is elsewhere
