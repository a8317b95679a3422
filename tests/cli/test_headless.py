"""`agent -p` whose reader leaves in the middle."""

from __future__ import annotations

from pathlib import Path

from tests.support.program import program_in
from tests.support.script import script


def test_a_reader_that_leaves_ends_the_turn_and_what_it_cost_is_booked(tmp_path: Path) -> None:
    agent = program_in(tmp_path)
    words = {"text": "word " * 400, "chunk": 5, "pause_s": 0.02, "usage": {"input_tokens": 9}}
    with agent.running("-p", "go", "-m", str(script(tmp_path, words))) as run:
        run.wait_for("text_delta")
        ran = run.leave()
    (call,) = agent.lines("call")
    assert call["outcome"] == "cancelled"
    assert call["usage"]["input_tokens"] > 0
    assert agent.lines("message")[-1]["role"] == "assistant"
    assert len(agent.lines("checkpoint")) == 1
    assert ran.err == ""
