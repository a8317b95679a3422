"""The scripted model plays its file, step by step, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from providers.errors import ConfigurationError, ContextOverflow, RateLimited, RequestRejected, ServerFault
from providers.script import read_script
from providers.scripted import ScriptedProvider, connect
from providers.settings import ProviderSettings
from providers.types import (
    Message,
    ModelRef,
    StopReason,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)
from tests.support.calls import Outcome, message, played, request
from tests.support.script import say, script, use

DOCUMENT = Path(__file__).parents[2] / "docs" / "scripted.md"


def player(folder: Path) -> ScriptedProvider:
    return connect("scripted", ProviderSettings(), {}, folder)


async def play(folder: Path, *steps: dict[str, Any], answered: int = 0) -> Outcome:
    """What the next step comes to, in a conversation that holds this many answers."""
    return await played(player(folder), request(script(folder, *steps), *conversation(answered)))


def conversation(answered: int) -> tuple[Message, ...]:
    turn = (message("user", "go"), message("assistant", "ok"))
    return (*turn * answered, message("user", "go"))


async def test_a_step_is_played_whole(tmp_path: Path) -> None:
    step = {
        "thinking": "Hm.",
        "text": "I'll look.",
        "tool_calls": [{"name": "read", "arguments": {"path": "a.py"}, "id": "t1"}],
        "usage": {"input_tokens": 10, "output_tokens": 4, "cache_read_tokens": 30},
    }
    outcome = await play(tmp_path, step)
    assert outcome.events == [
        ThinkingDelta("Hm."),
        TextDelta("I'll look."),
        ToolCallStarted("t1", "read"),
        ToolCallDelta("t1", '{"path":"a.py"}'),
    ]
    assert outcome.call.turn is not None
    assert isinstance(outcome.call.turn.message.blocks[0], Thinking)
    assert outcome.tool_calls == (ToolCall("t1", "read", '{"path":"a.py"}'),)
    assert outcome.stop_reason == StopReason.TOOL_USE
    assert outcome.call.usage == Usage(
        input_tokens=10, output_tokens=4, cache_read_tokens=30, reported_prompt_tokens=40
    )
    assert not outcome.call.estimated


@pytest.mark.parametrize(("answered", "text"), [(0, "one"), (1, "two"), (2, "three")])
async def test_the_step_is_the_number_of_answers_so_far(tmp_path: Path, answered: int, text: str) -> None:
    outcome = await play(tmp_path, say("one"), say("two"), say("three"), answered=answered)
    assert (outcome.text, outcome.stop_reason) == (text, StopReason.END_TURN)


async def test_a_script_that_is_over_says_so(tmp_path: Path) -> None:
    outcome = await play(tmp_path, say("one"), answered=1)
    assert isinstance(outcome.error, RequestRejected)
    assert "has 1 steps" in str(outcome.error)
    assert "step 2" in str(outcome.error)
    assert not outcome.error.retryable


async def test_a_call_without_an_id_has_the_same_one_on_every_run(tmp_path: Path) -> None:
    step = use(("ls", {}), ("ls", {}))
    runs = [
        [call.id for call in (await play(tmp_path, say("x"), step, answered=1)).tool_calls] for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 2


async def test_arguments_given_as_text_pass_as_they_are(tmp_path: Path) -> None:
    outcome = await play(tmp_path, {"tool_calls": [{"name": "bash", "arguments": '{"command": '}]})
    assert outcome.tool_calls[0].raw_arguments == '{"command": '


async def test_a_step_without_usage_is_billed_nothing_and_reports_nothing(tmp_path: Path) -> None:
    outcome = await play(tmp_path, {"text": "hello"})
    assert outcome.call.usage == Usage()
    assert not outcome.call.estimated


async def test_usage_without_cache_buckets_reports_nothing(tmp_path: Path) -> None:
    outcome = await play(tmp_path, say("x", input_tokens=10))
    assert outcome.call.usage == Usage(input_tokens=10)


async def test_what_a_usage_says_of_reporting_holds(tmp_path: Path) -> None:
    outcome = await play(tmp_path, say("x", input_tokens=10, cache_read_tokens=5, reported_prompt_tokens=0))
    assert not outcome.call.usage.cache_reported


async def test_deltas_are_as_long_as_asked_for(tmp_path: Path) -> None:
    outcome = await play(tmp_path, {"text": "abcde", "chunk": 2})
    assert outcome.events == [TextDelta("ab"), TextDelta("cd"), TextDelta("e")]


async def test_a_stop_reason_may_be_given_and_then_no_tool_is_handed_out(tmp_path: Path) -> None:
    outcome = await play(tmp_path, {**use(("ls", {}), text="x"), "stop_reason": "max_tokens"})
    assert (outcome.stop_reason, outcome.tool_calls) == (StopReason.MAX_TOKENS, ())


async def test_an_error_comes_after_the_rest_of_its_step_and_is_billed(tmp_path: Path) -> None:
    outcome = await play(
        tmp_path, {**say("half", input_tokens=7), "error": {"status": 500, "message": "boom"}}
    )
    assert isinstance(outcome.error, ServerFault)
    assert (outcome.text, outcome.stop_reason) == ("half", StopReason.INTERRUPTED)
    assert outcome.call.usage == Usage(input_tokens=7)


async def test_an_error_alone_is_a_call_that_was_never_answered(tmp_path: Path) -> None:
    outcome = await play(
        tmp_path, {"error": {"status": 400, "message": "m", "kind": "context_length_exceeded"}}
    )
    assert isinstance(outcome.error, ContextOverflow)
    assert outcome.call.turn is None
    assert outcome.call.usage == Usage()


async def test_an_error_may_pass_after_some_tries(tmp_path: Path) -> None:
    step = {"text": "at last", "error": {"status": 429, "message": "busy", "times": 2}}
    provider, asked = player(tmp_path), request(script(tmp_path, step))
    outcomes = [await played(provider, asked) for _ in range(3)]
    assert [type(outcome.error) for outcome in outcomes] == [RateLimited, RateLimited, type(None)]
    assert outcomes[2].stop_reason == StopReason.END_TURN


async def test_a_path_is_taken_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, say("here"), name="a.json")
    monkeypatch.chdir(tmp_path)
    assert (await played(player(tmp_path), request(ModelRef("scripted", "a.json")))).text == "here"


async def test_a_script_may_have_a_context_window(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text('{"steps": [], "context_window": 8000}')
    assert await player(tmp_path).context_window(str(path)) == 8000
    assert await player(tmp_path).context_window("missing.json") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "want an object"),
        ("{}", "steps must be a list"),
        ('{"steps": [], "stepz": 1}', "no 'stepz' here"),
        ('{"steps": [{"text": "x"}, {"txt": "x"}]}', "step 2: no 'txt' here"),
        ('{"steps": ["x"]}', "step 1: want an object"),
        ('{"steps": [{"text": 5}]}', "step 1: text must be a string"),
        ('{"steps": [{"tool_calls": {}}]}', "step 1: tool_calls must be a list"),
        ('{"steps": [{"tool_calls": [{"arguments": {}}]}]}', "step 1, tool call 1: name must be"),
        ('{"steps": [{"tool_calls": [{"name": "ls", "arguments": 5}]}]}', "arguments must be an object"),
        ('{"steps": [{"usage": {"tokens": 5}}]}', "step 1, usage: no 'tokens' here"),
        ('{"steps": [{"usage": {"input_tokens": "many"}}]}', "input_tokens must be a number of tokens"),
        ('{"steps": [{"pause_s": -1}]}', "pause_s must be a number"),
        ('{"steps": [{"error": {"status": 500}}]}', "step 1, error: message must be"),
    ],
)
async def test_a_wrong_script_names_the_file_and_the_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    outcome = await played(player(tmp_path), request(ModelRef("scripted", str(path))))
    assert isinstance(outcome.error, ConfigurationError)
    assert str(path) in str(outcome.error)
    assert words in str(outcome.error)


async def test_a_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    outcome = await played(player(tmp_path), request(ModelRef("scripted", str(tmp_path / "none.json"))))
    assert isinstance(outcome.error, ConfigurationError)
    assert "none.json: No such file" in str(outcome.error)


def test_the_example_in_the_documentation_is_a_script(tmp_path: Path) -> None:
    example = DOCUMENT.read_text(encoding="utf-8").split("```json\n")[1].split("```")[0]
    path = tmp_path / "example.json"
    path.write_text(example, encoding="utf-8")
    assert len(read_script(path).steps) == len(json.loads(example)["steps"])
