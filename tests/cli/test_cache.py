"""What a person is told of the cache before they go on: `resume --dry-run` and `/cache`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.anthropic_server import AnthropicServer, text
from tests.support.openai_server import OpenAIServer
from tests.support.program import AGENT, Program, program_in
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

SONNET = "anthropic/claude-sonnet-4-5"
LONG = "word " * 3000


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer([(text("one"),), (text("two"),), (text("three"),)]) as serving:
        yield serving


@pytest.fixture
def agent(tmp_path: Path, server: AnthropicServer) -> Program:
    return program_in(tmp_path, ANTHROPIC_API_KEY="sk-test-0123456789abcdef", ANTHROPIC_BASE_URL=server.url)


def aged(journal: Path, seconds: float) -> None:
    """As if the session's calls were made so much earlier."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        if line["kind"] == "call":
            line["started"] -= seconds
    compact = (json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines)
    journal.write_text("".join(line + "\n" for line in compact))


def dry_run(agent: Program) -> Any:
    return agent("resume", agent.journal().stem, "--dry-run", "--json").json


def test_a_warm_session_says_what_its_next_turn_reads_and_then_reads_it(
    agent: Program, server: AnthropicServer
) -> None:
    agent.ask(LONG, "-m", SONNET)
    before = agent.journal().read_bytes()
    told = dry_run(agent)
    assert agent.journal().read_bytes() == before
    assert len(server.requests) == 1
    assert told["warm"] is True
    assert 0 < told["expires_in"] <= 3600
    assert told["cost_usd"] > 0
    agent("resume", agent.journal().stem, "-p", "on")
    assert server.billed[-1]["cache_read_input_tokens"] == told["cache_read_tokens"]


def test_a_session_whose_entry_expired_is_cold_and_its_next_turn_dear(agent: Program) -> None:
    agent.ask(LONG, "-m", SONNET)
    warm = dry_run(agent)
    aged(agent.journal(), 7200)
    cold = dry_run(agent)
    assert (cold["warm"], cold["cache_read_tokens"]) == (False, 0)
    assert cold["new_tokens"] == cold["prompt_tokens"] == warm["prompt_tokens"]
    assert cold["cost_usd"] > 5 * warm["cost_usd"]


def test_what_a_provider_that_names_no_time_may_have_dropped_is_told_as_doubtful(tmp_path: Path) -> None:
    with OpenAIServer(["one"], minimum=1024, step=128) as serving:
        environ = {"OPENAI_API_KEY": "sk-test-0123456789abcdef", "OPENAI_BASE_URL": serving.base_url}
        agent = program_in(tmp_path, **environ)
        agent.ask(LONG, "-m", "openai/gpt-5.1")
        sure = dry_run(agent)
        aged(agent.journal(), 2400)
        told = dry_run(agent)
        words = agent("resume", agent.journal().stem, "--dry-run").out
    assert (sure["doubtful"], told["doubtful"]) == (False, True)
    assert told["cache_read_tokens"] == sure["cache_read_tokens"] > 1024
    assert "may be gone" in words
    assert words.count("$") == 2


def test_in_words_it_fits_sixty_columns(agent: Program) -> None:
    agent.ask(LONG, "-m", SONNET)
    ran = agent("resume", agent.journal().stem, "--dry-run", COLUMNS="60")
    assert "warm for" in ran.out
    assert "next turn reads" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 60


def test_a_foreign_file_cannot_steer_the_terminal(agent: Program) -> None:
    agent.ask("hi", "-m", SONNET)
    journal = agent.journal()
    journal.write_text(journal.read_text().replace("claude-sonnet-4-5", "claude\\u001b[31m\\u202e"))
    ran = agent("resume", str(journal), "--dry-run")
    assert ran.code == 0
    assert not {"\x1b", "\u202e"} & set(ran.out)


def test_json_without_a_dry_run_is_refused_with_what_to_write(agent: Program) -> None:
    agent.ask("hi", "-m", SONNET)
    ran = agent("resume", agent.journal().stem, "--json")
    assert ran.code == 2
    assert "--dry-run" in ran.complaint


@pytest.mark.terminal
def test_the_chat_tells_what_is_cached_until_when_and_what_was_missed(
    agent: Program, server: AnthropicServer
) -> None:
    with Terminal(AGENT, ["-m", SONNET], environ=agent.environ, cwd=agent.project) as chat:
        chat.wait_for("cache n/a")
        chat.enter("/cache")
        chat.wait_for("nothing is cached")
        chat.paste(LONG)
        chat.enter("")
        chat.wait_for("one")
        chat.enter("/cache")
        chat.wait_for("No miss so far")
        server.cache.entries.clear()
        chat.enter("on")
        chat.wait_for("cache miss:")
        chat.enter("/cache")
        chat.wait_for("affinity or eviction")


@pytest.mark.terminal
def test_keeping_warm_is_offered_only_where_there_is_a_time_to_keep(tmp_path: Path) -> None:
    with OpenAIServer(["one"], minimum=1024, step=128) as serving:
        environ = {"OPENAI_API_KEY": "sk-test-0123456789abcdef", "OPENAI_BASE_URL": serving.base_url}
        agent = program_in(tmp_path, **environ)
        with Terminal(
            AGENT, ["-m", "openai/gpt-5.1", "hi"], environ=agent.environ, cwd=agent.project
        ) as chat:
            chat.wait_for("checkpoint 1")
            chat.enter("/cache")
            chat.wait_for("No miss so far")
            assert "next turn reads" in chat.text
            assert "kept warm" not in chat.text


def test_after_a_rewind_only_what_is_left_counts(agent: Program, server: AnthropicServer) -> None:
    agent.ask("hi", "-m", SONNET)
    session = agent.journal().stem
    short = dry_run(agent)
    agent("resume", session, "-p", LONG)
    assert dry_run(agent)["prompt_tokens"] > short["prompt_tokens"] + 1000
    agent("rewind", session, "1")
    assert dry_run(agent)["prompt_tokens"] == short["prompt_tokens"]


def test_a_summary_that_no_call_has_sent_yet_is_estimated_and_what_stands_before_it_is_read(
    agent: Program, server: AnthropicServer
) -> None:
    agent.ask("hi", "-m", SONNET)
    agent("resume", agent.journal().stem, "-p", LONG)
    before = dry_run(agent)
    journal = agent.journal()
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    (first, _, _, last) = (line for line in lines if line["kind"] == "message")
    said = {**first, "id": "m_sum", "parent": last["id"]}
    said |= {"turn": "m_sum", "blocks": [{"type": "text", "text": "In short."}]}
    stands = {"kind": "compaction", "id": "c_1", "parent": last["id"], "at": last["at"], "summary": "m_sum"}
    stands |= {"first": first["id"], "last": last["id"]}
    with journal.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in (stands, said))
    after = dry_run(agent)
    assert 0 < after["prompt_tokens"] < before["prompt_tokens"] - 1000
    assert after["warm"] is True
    agent("resume", journal.stem, "-p", "on")
    read = server.billed[-1]["cache_read_input_tokens"]
    assert read > 1000
    assert after["cache_read_tokens"] == pytest.approx(read, rel=0.1)


def test_a_conversation_taken_back_to_its_beginning_and_resumed_is_no_miss(agent: Program) -> None:
    agent.ask(LONG, "-m", SONNET)
    session = agent.journal().stem
    assert agent("rewind", session, "0").code == 0
    on = agent("resume", session, "-p", LONG)
    assert on.code == 0
    assert "cache miss" not in on.err
