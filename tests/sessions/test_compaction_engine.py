"""A compaction on the real engine: what it reads from the KV cache, and that the chat goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.events import Compacted, Event
from agent.summary import is_summary
from agent.tools.toolbox import Toolbox
from providers.types import ModelRef, Parameters
from sessions import begin
from tests.support.setups import setup

pytestmark = pytest.mark.engine


async def test_the_embedded_model_reads_all_but_one_token_when_it_is_asked_for_a_summary(
    tmp_path: Path,
) -> None:
    made = setup(tmp_path, parameters=Parameters(max_output_tokens=16), toolbox=Toolbox(()))
    session = await begin.start(made, ModelRef("local", "smollm2"))
    events: list[Event] = [event async for event in session.turn("Hello, who are you?")]
    events += [event async for event in session.compact()]
    events += [event async for event in session.turn("And now?")]
    await session.close()
    first, asked, last = session.calls
    assert [call.purpose for call in session.calls] == ["main", "compaction", "main"]
    assert asked.usage.cache_read_tokens == first.usage.total_tokens - 1
    assert last.usage.cache_read_tokens > 0, "the system prompt, as before"
    assert is_summary(session.state.messages[0])
    assert any(isinstance(event, Compacted) for event in events)
