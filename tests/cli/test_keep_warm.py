"""The cache kept warm while the prompt waits, in the whole program on a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cache.server import Clock
from tests.support.anthropic_server import AnthropicServer, refusal, text
from tests.support.program import Program, program_in
from tests.support.terminal import Terminal

pytestmark = pytest.mark.terminal

CLOCKED = Path(__file__).parents[2] / "benchmarks" / "cache" / "clocked.py"
SONNET = "anthropic/claude-sonnet-4-5"
LONG = "word " * 3000
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Away:
    """A chat whose person has asked once and is away."""

    agent: Program
    server: AnthropicServer
    clock: Clock
    chat: Terminal

    @property
    def warmings(self) -> list[Any]:
        return [sent.json for sent in self.server.requests[1:]]

    def wait(self, minutes: float) -> None:
        self.clock.advance(minutes * MINUTE)

    def warmed(self, times: int) -> None:
        """Wait until so many requests are booked that keep the cache warm: whoever types before ends one."""
        self.chat.wait_until(lambda: self._booked() >= times, f"{times} requests that keep the cache warm")

    def _booked(self) -> int:
        return sum(call["purpose"] == "warm" for call in self.calls())

    def calls(self) -> list[Any]:
        return self.agent.lines("call")


@contextmanager
def away(folder: Path, *answers: Any, words: tuple[str, ...] = ("--keep-warm",)) -> Iterator[Away]:
    clock = Clock(folder / "clock")
    with AnthropicServer([(text("one"),), *answers], now=clock.now) as server:
        agent = program_in(
            folder, ANTHROPIC_API_KEY="sk-test-0123456789abcdef", ANTHROPIC_BASE_URL=server.url
        )
        asked = [str(clock.file), "-m", SONNET, "--cache-ttl", "5m", *words]
        environ = {**agent.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # started anew: its clock is its own
        with Terminal(CLOCKED, asked, environ=environ, cwd=agent.project) as chat:
            chat.wait_for("cache n/a")
            chat.paste(LONG)
            chat.enter("")
            chat.wait_for("one", "warm 5:00")
            yield Away(agent, server, clock, chat)


def test_the_entry_is_read_again_before_it_expires_for_no_answer_at_all(tmp_path: Path) -> None:
    with away(tmp_path, (), (text("two"),)) as person:
        person.wait(4.6)
        person.warmed(1)
        person.chat.wait_for("warm 5:00")
        person.wait(4)
        person.chat.enter("on")
        person.chat.wait_for("two")
        person.chat.press("ctrl-d")
        assert person.chat.wait_exit() == 0
    asked, warmed = (sent.json for sent in person.server.requests[:2])
    assert warmed["max_tokens"] == 0
    assert [block for message in warmed["messages"] for block in message["content"]] == [
        block for message in asked["messages"] for block in message["content"]
    ]
    first, kept, second = person.calls()
    assert (kept["purpose"], kept["outcome"]) == ("warm", "ok")
    assert kept["usage"]["cache_read_tokens"] == first["usage"]["cache_write_tokens"]
    assert kept["usage"]["cache_write_tokens"] == kept["usage"]["output_tokens"] == 0
    assert "miss" not in second
    assert second["usage"]["cache_read_tokens"] >= first["usage"]["cache_write_tokens"]


def test_it_ends_before_it_costs_more_than_it_can_save(tmp_path: Path) -> None:
    with away(tmp_path, *[()] * 20) as person:
        for times in range(1, 20):
            person.wait(4.6)
            person.warmed(times)
            person.chat.wait_for("warm 5:00")
            person.chat.enter("/cache")
            person.chat.wait_for(f"{times} × since")
            if "not again" in person.chat.text:
                break
            person.chat.wait_for("next in 4:30")
        assert 1 <= times < 12
        person.chat.press("ctrl-d")
        person.chat.wait_exit()
    calls = person.calls()
    spent = sum(call["cost"] for call in calls[1:])
    saved = calls[0]["usage"]["cache_write_tokens"] * (3.75 - 0.3) / 1e6
    assert 0 < spent <= saved


def test_without_the_option_nothing_is_sent_and_cache_says_how_to_have_it(tmp_path: Path) -> None:
    with away(tmp_path, words=()) as person:
        person.chat.enter("/cache")
        person.chat.wait_for("--keep-warm does it")
        person.wait(4.9)
        person.chat.wait_for("warm 0:06")
        person.chat.press("ctrl-d")
        person.chat.wait_exit()
        assert person.warmings == []


def test_an_endpoint_that_wants_a_token_gets_to_say_one(tmp_path: Path) -> None:
    no = refusal(400, "invalid_request_error", "max_tokens: must be at least 1")
    with away(tmp_path, no, (text("x"),)) as person:
        person.wait(4.6)
        person.warmed(2)
        person.chat.wait_for("warm 5:00")
        person.chat.press("ctrl-d")
        person.chat.wait_exit()
    assert [sent["max_tokens"] for sent in person.warmings] == [0, 1]
    assert [call["outcome"] for call in person.calls()] == ["ok", "RequestRejected", "ok"]


def test_a_failure_is_booked_and_nothing_is_said(tmp_path: Path) -> None:
    with away(tmp_path, refusal(529, "overloaded_error", "Overloaded"), (text("two"),)) as person:
        person.wait(4.6)
        person.warmed(1)
        person.chat.enter("on")
        person.chat.wait_for("two")
        assert "verloaded" not in person.chat.everything
        person.chat.press("ctrl-d")
        person.chat.wait_exit()
    assert [(call["purpose"], call["outcome"] == "ok") for call in person.calls()] == [
        ("main", True),
        ("warm", False),
        ("main", True),
    ]
