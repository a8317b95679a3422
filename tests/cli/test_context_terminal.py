"""`/compact` and `/context` in a real terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.test_chat_terminal import Place, says, usage

pytestmark = pytest.mark.terminal


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_compact_says_what_it_cost_and_the_chat_goes_on(place: Place) -> None:
    with place.chat(says("First answer."), says("What we said.")) as chat:
        chat.wait_for("cache n/a")
        chat.enter("hello")
        chat.wait_for("First answer.", "checkpoint 1")
        chat.enter("/compact the colours")
        chat.wait_for("as you asked", "compacted:", "back: /rewind")
        assert "What we said." not in chat.text
        chat.enter("again")
        chat.wait_for("checkpoint 3")
    journal = place.journal()
    assert '"kind":"compaction"' in journal
    assert "What we said." in journal


@pytest.mark.parametrize("columns", [60, 120])
def test_context_fits_the_terminal(place: Place, columns: int) -> None:
    step = says("First answer.")
    step["usage"] = usage(read=1900, write=500, fresh=50, output=80)
    with place.chat(step, columns=columns) as chat:
        chat.wait_for("cache n/a")
        chat.enter("hello")
        chat.wait_for("First answer.", "checkpoint 1")
        chat.enter("/context")
        chat.wait_for("system prompt", "context window is not")
        lines = chat.text.splitlines()
    shown = [line for line in lines if "~" in line and "%" in line]
    assert len(shown) >= 5
    assert all(cell_len(line.rstrip()) <= columns for line in shown)
    assert any("tools" in line and "█" in line for line in shown)
