"""A session of which one call's price is known and another's isn't: no face makes the unknown a zero.

The model has rates, but none for the longest lifetime: the call that writes for it has no known price.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from providers.pricing import price
from providers.types import ModelRef, Usage
from tests.support.loopback import sse
from tests.support.openai_server import OpenAIServer, answer, usage
from tests.support.program import Program, Ran, program_in
from tests.support.wires import KEY

pytestmark = pytest.mark.slow

MODEL = ModelRef("openai", "gpt-6.1-sol")
LONG = {
    "cached_tokens": 0,
    "cache_write_tokens": 9_000,
    "cache_write_tokens_details": {"ttl_12h_tokens": 9_000},
}


@dataclass(frozen=True)
class Story:
    agent: Program
    ran: Ran
    known: float
    """US dollars of the second call; the first one's are unknown."""
    usage_file: Any


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    first = answer(calls=[("c1", "ls", {})], **usage(10_000, 20) | {"prompt_tokens_details": LONG})
    second = answer("There.", **usage(11_000, 300, 9_000))
    with OpenAIServer([sse(*first), sse(*second)]) as server:
        agent = program_in(
            tmp_path_factory.mktemp("mixed"), OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY=KEY
        )
        words = ("-m", str(MODEL), "--usage-file", "usage.json", "--permission-mode", "auto")
        ran = agent("-p", "go", *words, "--output-format", "stream-json")
    assert ran.code == 0, ran.err
    billed = Usage(input_tokens=2_000, cache_read_tokens=9_000, output_tokens=300)
    known = price(MODEL, billed)
    assert known is not None
    return Story(agent, ran, known.cost, json.loads((agent.project / "usage.json").read_text()))


def test_the_result_is_null_and_at_least(story: Story) -> None:
    result = story.ran.events[-1]
    assert (result["type"], result["cost_usd"]) == ("result", None)
    assert result["cost_at_least"] == pytest.approx(story.known)


def test_the_stream_tells_each_calls_own(story: Story) -> None:
    calls = [event for event in story.ran.events if event["type"] == "call_finished"]
    assert [call["cost_usd"] for call in calls] == [None, pytest.approx(story.known)]


def test_the_usage_file_is_null_and_at_least_and_tells_each_calls_own(story: Story) -> None:
    told = story.usage_file
    assert (told["cost_usd"], told["cost_at_least"]) == (None, pytest.approx(story.known))
    assert [call["cost_usd"] for call in told["calls"]] == [None, pytest.approx(story.known)]
    assert [call["price"] for call in told["calls"]] == [None, "genai-prices:openai/gpt-6.1-sol"]


def test_the_checkpoint_is_null_and_at_least(story: Story) -> None:
    told = story.agent.checkpoint()
    assert (told["cost_usd"], told["cost_at_least"]) == (None, pytest.approx(story.known))
    (*_, listed) = story.agent("checkpoints", "--json").json
    assert (listed["cost_usd"], listed["cost_at_least"]) == (None, pytest.approx(story.known))
    assert f"≥ ${story.known:.3f}".removesuffix("0") in story.agent("checkpoints").out


@pytest.mark.parametrize("command", ["stats", "sessions list"])
@pytest.mark.parametrize("columns", ["60", "120"])
def test_the_tables_say_at_least(story: Story, command: str, columns: str) -> None:
    told = story.agent(*command.split(), COLUMNS=columns).out
    assert f"≥ ${story.known:.3f}".removesuffix("0") in told
    assert max(map(len, told.splitlines())) <= int(columns)


def test_the_statistics_say_how_many_calls_are_missing_from_the_sum(story: Story) -> None:
    assert "No price is known for 1 call: at least this was spent." in story.agent("stats").out
    total = story.agent("stats", "--json").json["total"]
    assert (total["cost_usd"], total["cost_at_least"]) == (None, pytest.approx(story.known))
    assert total["cost_unknown_calls"] == 1


def test_the_lists_of_sessions_say_at_least(story: Story) -> None:
    (listed,) = story.agent("sessions", "list", "--json").json
    shown = story.agent("sessions", "show", listed["id"], "--json").json
    for one in (listed, shown):
        assert (one["cost_usd"], one["cost_at_least"]) == (None, pytest.approx(story.known))


def test_reads_and_writes_have_their_columns_at_every_width(story: Story) -> None:
    for columns in ("60", "120"):
        heading, *_ = story.agent("stats", COLUMNS=columns).out.splitlines()
        assert {"read", "written", "hit", "cost"} <= {*heading.split()}
