"""What keeps a session's requests on the machine that holds its cache, on the whole program."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.openai_server import OpenAIServer
from tests.support.program import Program, program_in
from tests.support.responses_server import ResponsesServer, said
from tests.support.start import PATIENCE

pytestmark = pytest.mark.slow

LONG = "word " * 2000
KEY = "sk-test-0123456789abcdef"
RANDOM = re.compile(r"[0-9a-f]{32}")


def agent_at(folder: Path, name: str, server: OpenAIServer) -> Program:
    agent = program_in(folder)
    agent.home.mkdir()
    (agent.home / "config.toml").write_text(
        f'[providers.{name}]\nbase_url = "{server.base_url}"\napi_key = "{KEY}"\n'
    )
    return agent


def keys(server: OpenAIServer, header: str = "") -> list[Any]:
    """The affinity keys that came, from a header or the body."""
    return [
        sent.headers.get(header) if header else sent.json.get("prompt_cache_key") for sent in server.requests
    ]


TASK = (("call_1", "task", {"prompt": "Say one.", "description": "one"}),)


@pytest.mark.parametrize(("name", "header"), [("openai", ""), ("mistral", ""), ("xai", "x-grok-conv-id")])
def test_resume_fork_and_sub_agents_keep_the_sessions_key(name: str, header: str, tmp_path: Path) -> None:
    with OpenAIServer([TASK, "one", "done", "again", "elsewhere"]) as server:
        agent = agent_at(tmp_path, name, server)
        session = agent.ask("hi", "-m", f"{name}/m").json["session_id"]
        agent("resume", session, "more", "-p", "--permission-mode", "auto")
        agent("resume", session, "else", "-p", "--fork", "--permission-mode", "auto")
        found = keys(server, header)
    assert len(found) == 5
    assert len(set(found)) == 1
    assert RANDOM.fullmatch(found[0])


def test_an_endpoint_may_want_the_key_under_another_name(tmp_path: Path) -> None:
    with OpenAIServer(["one"]) as server:
        agent = agent_at(tmp_path, "gate", server)
        with (agent.home / "config.toml").open("a") as config:
            config.write('quirks = ["affinity:x-session-affinity"]\n')
        assert agent.ask("hi", "-m", "gate/m").code == 0
        [key] = keys(server, "x-session-affinity")
        assert RANDOM.fullmatch(key)
        assert keys(server) == [None]


def test_sessions_at_once_have_a_key_each_and_the_next_one_has_one_of_theirs(tmp_path: Path) -> None:
    gate = (("call_1", "bash", {"command": "cat gate"}),)
    with OpenAIServer([gate, "there", "opened", "after"], minimum=1024, step=128) as server:
        agent = agent_at(tmp_path, "openai", server)
        os.mkfifo(agent.project / "gate")
        with agent.running("-p", "wait", "-m", "openai/m") as waiting:
            waiting.wait_for("tool_started")
            beside = agent.ask("meanwhile", "-m", "openai/m")
            (agent.project / "gate").write_text("open\n")
            waiting.wait_for("result")
            assert waiting.process.wait(PATIENCE) == 0
        after = agent.ask("next", "-m", "openai/m")
        first, second, again, third = keys(server)
    assert (beside.code, after.code) == (0, 0)
    assert first == again != second
    assert third == first
    alone, together, own, shared = server.billed
    assert own["prompt_tokens_details"]["cached_tokens"] == alone["prompt_tokens"] // 128 * 128
    assert [billed["prompt_tokens_details"]["cached_tokens"] for billed in (alone, together)] == [0, 0]
    assert shared["prompt_tokens_details"]["cached_tokens"] >= 1024


def test_a_cache_that_another_machine_holds_is_named_as_such(tmp_path: Path) -> None:
    with OpenAIServer(["one", "two"], minimum=1024, step=128) as server:
        agent = agent_at(tmp_path, "openai", server)
        ran = agent.ask(LONG, "-m", "openai/m")
        assert ran.code == 0, ran
        session = ran.json["session_id"]
        server.forget()
        agent("resume", session, "more", "-p", "--permission-mode", "auto")
    first, second = agent.lines("call")
    assert "miss" not in first
    assert second["miss"]["cause"] == "affinity_or_eviction"


def test_openais_word_on_a_miss_is_asked_for_from_the_second_answer_on(tmp_path: Path) -> None:
    with ResponsesServer([(said("one"),), (said("two"),), (said("three"),)]) as server:
        agent = program_in(tmp_path)
        agent.home.mkdir()
        (agent.home / "config.toml").write_text(
            f'[providers.gate]\nbase_url = "{server.base_url}"\napi_key = "{KEY}"\n'
            'wire = "openai-responses"\nquirks = ["cache_diagnostics"]\n'
        )
        session = agent.ask(LONG, "-m", "gate/m").json["session_id"]
        agent("resume", session, "more", "-p", "--permission-mode", "auto")
        agent("resume", session, "again", "-p", "--effort", "high", "--permission-mode", "auto")
        posted = [sent.json for sent in server.requests if sent.method == "POST"]
    asked = [body.get("prompt_cache_options") for body in posted]
    assert asked == [None, {"comparison_response_id": "resp_1"}, {"comparison_response_id": "resp_2"}]
    miss = agent.lines("call")[2]["miss"]
    assert (miss["cause"], miss["detail"]) == ("parameters_changed", "effort high")
