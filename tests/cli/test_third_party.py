"""A provider of another package, found by its entry point, in the real program."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.program import Program, program_in

pytestmark = pytest.mark.slow

PACKAGE = '''
"""A model that knows nothing of caching: it looks once into the folder, then says what it was asked."""

from contextlib import asynccontextmanager

from providers.call import StreamedCall
from providers.provider import Provider
from providers.types import Text, TextDelta, ToolCall, Usage


class Answer:
    """Says word by word what the script holds, then how many tokens that was."""

    model = None
    stop_reason = None
    raw_usage = {}

    def __init__(self):
        self.words = []
        self.calls = []
        self.usage = Usage()

    def feed(self, event):
        match event:
            case {"word": word}:
                self.words.append(word)
                return [TextDelta(word)]
            case {"call": call}:
                self.calls.append(ToolCall("parrot_1", call, "{}"))
            case {"end": reason, "prompt": prompt, "completion": completion}:
                self.stop_reason = reason
                self.usage = Usage(input_tokens=prompt, output_tokens=completion)
        return []

    @property
    def blocks(self):
        return (Text(" ".join(self.words)), *self.calls)


class Parrot(Provider):
    encoder = "parrot/1"

    def __init__(self, name):
        self.name = name

    def stream(self, request):
        asked, looked = request.messages[0].text, request.messages[-1].role == "tool"

        async def script():
            if looked or request.prefix.model.name == "short":
                for word in ("You", "said:", asked[-5:]):
                    yield {"word": word}
                yield {"end": "end_turn", "prompt": 2000, "completion": 7}
            else:
                yield {"word": "Looking."}
                yield {"call": "glob"}
                yield {"end": "tool_use", "prompt": 1000, "completion": 5}

        @asynccontextmanager
        async def connect():
            yield script()

        return StreamedCall(request, connect, Answer())


def connect(name, settings, environ, home):
    return Parrot(name)
'''

ZEROS = ("cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens")


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A person who installed the package `parrot`."""
    folder = tmp_path_factory.mktemp("person")
    site = folder / "site"
    info = site / "parrot-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "parrot.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cachet.providers]\nparrot = parrot:connect\n")
    return program_in(folder, PYTHONPATH=str(site))


@pytest.fixture(scope="module")
def said(agent: Program) -> Any:
    """What `agent -p` printed of a turn of two calls."""
    ran = agent.ask("hello", "-m", "parrot/long")
    assert ran.code == 0, ran.err
    return ran.json


def test_its_answer_and_its_tool_run_like_any_other(said: Any) -> None:
    assert said["result"] == "You said: hello"
    assert (said["exit_code"], said["model"], said["model_calls"]) == (0, "parrot/long", 2)


def test_what_it_counted_is_booked_and_caching_was_never_reported(said: Any) -> None:
    usage = said["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (3000, 12)
    for counted in (usage, *(call["usage"] for call in said["calls"])):
        assert [counted[name] for name in ZEROS] == [0, 0, 0, 0]
        assert counted["cache_reported"] is False
        assert counted["cache_hit_rate"] is None
    assert not any(call["estimated"] for call in said["calls"])


def test_its_price_is_unknown_and_not_nothing(said: Any) -> None:
    assert said["cost_usd"] is None


def test_the_checkpoint_counts_the_same(agent: Program, said: Any) -> None:
    assert agent.checkpoint()["token_snapshot"] == {
        "input": 3000,
        "output": 12,
        "cache_read": 0,
        "cache_write": 0,
        "cache_write_1h": 0,
        "reasoning": 0,
        "reported_prompt": 0,
    }


def test_the_statistics_count_the_same(agent: Program, said: Any) -> None:
    told = agent("stats", "--json").json
    for row in (told["total"], *told["rows"]):
        assert (row["calls"], row["input_tokens"], row["output_tokens"]) == (2, 3000, 12)
        assert [row[name] for name in ZEROS] == [0, 0, 0, 0]
        assert row["cache_reported"] is False
        assert row["cache_hit_rate"] is None
        assert row["cost_usd"] is None


def test_a_person_reads_that_nothing_is_known_and_no_percentage(agent: Program, said: Any) -> None:
    table = agent("stats").out
    assert "n/a" in table
    assert "%" not in table


def test_an_audit_finds_nothing_to_disagree_with(agent: Program, said: Any) -> None:
    assert agent("stats", "--verify").code == 0
