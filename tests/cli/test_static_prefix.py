"""Tools and system prompt on the whole program: the same bytes everywhere, shared by sessions, and small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.cache.billing import anthropic_segments
from providers.types import canonical
from tests.support.anthropic_server import AnthropicServer, text
from tests.support.loopback import Recorded
from tests.support.program import Program, program_in

SONNET = "anthropic/claude-sonnet-5-5"
MOST = 2_000
"""Tokens, at four characters each."""


def agent_at(folder: Path, server: AnthropicServer) -> Program:
    return program_in(folder, ANTHROPIC_API_KEY="sk-test-0123456789abcdef", ANTHROPIC_BASE_URL=server.url)


def static(request: Recorded) -> list[str]:
    """The bytes before the messages, without cache markers."""
    bare = [
        {key: value for key, value in block.items() if key != "cache_control"}
        for block in (*request.json["tools"], *request.json["system"])
    ]
    return [canonical(block) for block in bare]


def answers(count: int) -> list[tuple[dict[str, Any], ...]]:
    return [(text("fine"),) for _ in range(count)]


def test_a_second_session_in_another_folder_reads_tools_and_system_and_nothing_else(tmp_path: Path) -> None:
    with AnthropicServer(answers(2), minimum=512) as server:
        agent = agent_at(tmp_path, server)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "AGENTS.md").write_text("Speak of ships.\n")
        assert agent.ask("hi", "-m", SONNET).code == 0
        assert agent("-p", "a longer question", "-m", SONNET, cwd=elsewhere).code == 0
    first, second = server.requests
    held = anthropic_segments({**first.json, "messages": []}).tokens
    assert server.billed[0]["cache_read_input_tokens"] == 0
    assert server.billed[1]["cache_read_input_tokens"] == held > 512
    assert static(first) == static(second)


@pytest.mark.slow
def test_neither_mode_nor_limits_nor_rules_nor_the_clock_stand_in_it_and_it_is_small(tmp_path: Path) -> None:
    ways = [
        ("--permission-mode", "plan"),
        ("--permission-mode", "auto"),
        ("--deny-tool", "bash"),
        ("--max-turns", "3"),
        ("--add-dir", str(tmp_path)),
        ("--cache-ttl", "1h"),
    ]
    with AnthropicServer(answers(len(ways))) as server:
        agent = agent_at(tmp_path, server)
        for place, way in enumerate(ways):
            here = {"TZ": ("UTC", "Pacific/Kiritimati")[place % 2]}
            here |= {"LANG": "de_DE.UTF-8"} if way is ways[0] else {}
            assert agent("-p", "hi", "-m", SONNET, *way, **here).code == 0
    sent = [static(request) for request in server.requests]
    assert sent == [sent[0]] * len(ways)
    assert sum(map(len, sent[0])) / 4 <= MOST
