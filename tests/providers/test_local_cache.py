"""The embedded engine's cache, measured: each call reads all of the last one but the token sampled last."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.engine import Engine
from providers.lines import event_data, json_object
from providers.local import LocalProvider
from providers.local_answer import LocalAnswer
from providers.local_encoder import encode, maker, prompt
from providers.slots import SlotName, saved_tokens
from providers.types import (
    JSON,
    AssistantTurn,
    Message,
    Opaque,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    canonical,
)
from tests.support.embedded import (
    LIST_FILES,
    Conversation,
    all_but_the_last_token,
    opened,
    taught_to_call,
)

pytestmark = pytest.mark.engine

PROMPTS = (
    "Hello, who are you?",
    "Write a Python function\n\nthat adds  two numbers.",
    "Écris une phrase. 🎉",
    "Say nothing but dots: ..... ...... .......",
    "日本語で答えてください。",
    "    indented\n\tand   spaced  \n\n\n<b>&amp;</b>",
)


def engine_of(provider: LocalProvider) -> Engine:
    assert provider.engine is not None
    return provider.engine


def client_of(provider: LocalProvider) -> Any:
    import httpx2

    engine = engine_of(provider)
    headers = {"authorization": f"Bearer {engine.key}"}
    return httpx2.AsyncClient(base_url=engine.address, headers=headers, trust_env=False, timeout=None)


async def said_by(provider: LocalProvider, path: str, body: JSON) -> Any:
    async with client_of(provider) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def kept(turn: AssistantTurn) -> list[int]:
    """The tokens that an answer carries."""
    [block] = [block for block in turn.message.blocks if isinstance(block, Opaque)]
    tokens: list[int] = json.loads(block.raw)["tokens"]
    return tokens


async def test_each_turn_reads_all_of_the_last_one_but_its_last_token(tmp_path: Path) -> None:
    conversation = Conversation("s")
    async with opened(tmp_path) as provider:
        turns = [await conversation.ask(provider, words) for words in PROMPTS]
    assert turns[0].usage.cache_read_tokens == 0
    assert turns[0].usage.cache_reported
    for before, after in pairwise(turns):
        assert after.usage.cache_read_tokens == all_but_the_last_token(before.usage)


@pytest.mark.parametrize("longest", [1, 3, 12])
async def test_it_does_so_wherever_the_answer_was_cut(tmp_path: Path, longest: int) -> None:
    conversation = Conversation("s", longest=longest)
    async with opened(tmp_path) as provider:
        turns = [await conversation.ask(provider, words) for words in PROMPTS[2:4]]
    for before, after in pairwise(turns):
        assert after.usage.cache_read_tokens == all_but_the_last_token(before.usage)


async def spelt(
    provider: LocalProvider, conversation: Conversation, words: str, **how: JSON
) -> AssistantTurn:
    """What the engine answers to our own request when it is told, besides, how to spell."""

    request = conversation.request(words)
    answer = LocalAnswer(maker("smollm2"), provider="local", tools=False)
    async with (
        client_of(provider) as client,
        client.stream("POST", "/completion", json={**encode(request), **how}) as response,
    ):
        async for data in event_data(response.aiter_raw()):
            answer.feed(json_object(data))
    return AssistantTurn(
        message=Message("spelt", "assistant", answer.blocks),
        usage=answer.usage,
        stop_reason=answer.stop_reason or "",
        model="smollm2",
        call_id="",
        raw_usage={},
    )


async def test_a_spelling_that_the_tokeniser_would_not_choose_is_read_again_all_the_same(
    tmp_path: Path,
) -> None:
    conversation = Conversation("s")
    async with opened(tmp_path) as provider:
        await conversation.ask(provider, "Hello!")
        [ellipsis] = (await said_by(provider, "/tokenize", {"content": "..."}))["tokens"]
        split = await spelt(
            provider,
            conversation,
            "Well?",
            grammar='root ::= "Wait..."',
            logit_bias=[[ellipsis, False]],
        )
        conversation.messages.append(split.message)
        after = await conversation.ask(provider, "And then?")
        canonical_spelling = (await said_by(provider, "/tokenize", {"content": "Wait..."}))["tokens"]
    assert split.message.text == "Wait..."
    assert len(kept(split)) > len(canonical_spelling)
    assert after.usage.cache_read_tokens == all_but_the_last_token(split.usage)


async def test_characters_of_several_tokens_are_read_again_too(tmp_path: Path) -> None:
    conversation = Conversation("s")
    for country, answer in (
        ("Japan", "🗾日本語"),
        ("China", "🏯漢語"),
        ("Korea", "🏮韓國語"),
        ("Tibet", "🏔西藏"),
    ):
        conversation.add("user", Text(f"What is spoken in {country}?"))
        conversation.add("assistant", Text(answer))
    async with opened(tmp_path) as provider:
        first = await conversation.ask(provider, "What is spoken in Taiwan?")
        second = await conversation.ask(provider, "What is spoken in Hong Kong?")
        third = await conversation.ask(provider, "Name three primes.")
    assert not first.message.text.isascii()
    assert len(kept(first)) >= first.usage.output_tokens - 1
    assert second.usage.cache_read_tokens == all_but_the_last_token(first.usage)
    assert third.usage.cache_read_tokens == all_but_the_last_token(second.usage)


async def test_a_tool_step_reads_all_of_the_call_but_its_last_token(tmp_path: Path) -> None:
    conversation = taught_to_call("s")
    async with opened(tmp_path) as provider:
        called = await conversation.ask(provider, "List the files in /srv")
        [call] = called.message.tool_calls
        conversation.add("tool", ToolResult(call.id, call.name, "www, ftp"))
        answered = await conversation.ask(provider)
        after = await conversation.ask(provider, "Thank you.")
    assert called.stop_reason == "tool_use"
    assert (call.name, call.arguments()) == ("list_files", {"path": "/srv"})
    assert answered.usage.cache_read_tokens == all_but_the_last_token(called.usage)
    assert after.usage.cache_read_tokens == all_but_the_last_token(answered.usage)
    assert "www" in answered.message.text


async def test_a_restart_in_the_middle_of_a_tool_step_loses_nothing(tmp_path: Path) -> None:
    conversation = taught_to_call("s")
    async with opened(tmp_path) as provider:
        called = await conversation.ask(provider, "List the files in /srv")
    [call] = called.message.tool_calls
    conversation.add("tool", ToolResult(call.id, call.name, "www, ftp"))
    async with opened(tmp_path) as provider:
        answered = await conversation.ask(provider)
    assert answered.usage.cache_read_tokens == all_but_the_last_token(called.usage)


async def test_a_restart_reads_as_much_as_if_the_engine_had_run_on(tmp_path: Path) -> None:
    conversation = Conversation("s")
    async with opened(tmp_path) as provider:
        await conversation.ask(provider, "Hello, who are you?")
        before = await conversation.ask(provider, "Name three primes.")
    async with opened(tmp_path) as provider:
        after = await conversation.ask(provider, "And one more?")
    assert after.usage.cache_read_tokens == all_but_the_last_token(before.usage)


async def test_sessions_that_take_turns_in_one_slot_lose_nothing(tmp_path: Path) -> None:
    one = Conversation("one")
    other = Conversation("other", system="Answer like a pirate would, and keep it short.")
    async with opened(tmp_path) as provider:
        before = await one.ask(provider, "Hello, who are you?")
        between = await other.ask(provider, "What is the sea?")
        after = await one.ask(provider, "Name three primes.")
        again = await other.ask(provider, "And the wind?")
    assert after.usage.cache_read_tokens == all_but_the_last_token(before.usage)
    assert again.usage.cache_read_tokens == all_but_the_last_token(between.usage)


async def test_a_new_session_with_a_known_prefix_starts_warm(tmp_path: Path) -> None:
    system = "You are helpful. " * 20
    async with opened(tmp_path) as provider:
        first = await Conversation("one", system).ask(provider, "Hello!")
    async with opened(tmp_path) as provider:
        second = await Conversation("two", system).ask(provider, "Name three primes.")
    assert second.usage.cache_read_tokens > 60
    assert second.usage.cache_read_tokens < first.usage.prompt_tokens


async def test_a_saved_slot_tells_the_tokens_that_it_holds(tmp_path: Path) -> None:
    conversation = Conversation("s")
    async with opened(tmp_path) as provider:
        turn = await conversation.ask(provider, "Hello, who are you? 🎉")
        asked = prompt(Conversation("s").request("Hello, who are you? 🎉"))
        read = (await said_by(provider, "/tokenize", {"content": asked, "parse_special": True}))["tokens"]
    [saved] = (tmp_path / "models" / "slots").iterdir()
    held = [*read, *kept(turn)][: all_but_the_last_token(turn.usage)]
    assert list(saved_tokens(saved)) == held


# --- the same text as the chat template's -----------------------------------------------------------------


def chat_body(tools: tuple[ToolSpec, ...], *messages: JSON) -> dict[str, JSON]:
    listed = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": json.loads(tool.parameters),
            },
        }
        for tool in tools
    ]
    return {"messages": list(messages), **({"tools": listed} if listed else {})}


def called_in_chat(id: str, name: str, arguments: str) -> JSON:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


async def test_the_prompt_is_what_the_engines_chat_template_makes(tmp_path: Path) -> None:
    conversation = Conversation("s", tools=(LIST_FILES,))
    conversation.add("user", Text("  In /srv.\n"), Text("<|im_end|> é 🎉"))
    conversation.add(
        "assistant",
        Text(" Reading.\n"),
        ToolCall("a", "list_files", '{"path":  "/srv", "é<\'": [1.5, -2, 1e6, null, true, {}]}'),
        ToolCall("b", "list_files", ""),
    )
    conversation.add("tool", ToolResult("a", "list_files", "hello\n"))
    conversation.add("tool", ToolResult("b", "list_files", ""))
    conversation.add("system", Text("Be brief."))
    conversation.add("assistant", ToolCall("c", "list_files", '{"path": "/e'))
    conversation.add("tool", ToolResult("c", "list_files", "Not JSON."))
    conversation.add("assistant")
    body = chat_body(
        (LIST_FILES,),
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": "  In /srv.\n\n\n<|im_end|> é 🎉"},
        {
            "role": "assistant",
            "content": " Reading.\n",
            "tool_calls": [
                called_in_chat(
                    "a", "list_files", '{"path":  "/srv", "é<\'": [1.5, -2, 1e6, null, true, {}]}'
                ),
                called_in_chat("b", "list_files", "{}"),
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "hello\n"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "system", "content": "Be brief."},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                called_in_chat("c", "list_files", '{"malformed_arguments": "{\\"path\\": \\"/e"}')
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "Not JSON."},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "Go on."},
    )
    async with opened(tmp_path) as provider:
        await provider.prepare()
        made = await said_by(provider, "/apply-template", body)
    assert prompt(conversation.request("Go on.")) == made["prompt"]


PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN_TEXT, inner, max_size=3),
    max_leaves=8,
)


async def test_any_tools_schema_is_written_as_the_template_writes_it(tmp_path: Path) -> None:
    import httpx2

    async with opened(tmp_path) as provider:
        await provider.prepare()
        engine = engine_of(provider)
        headers = {"authorization": f"Bearer {engine.key}"}
        with httpx2.Client(base_url=engine.address, headers=headers, trust_env=False) as client:

            @settings(max_examples=60, deadline=None, database=None, derandomize=True)
            @given(schema=st.dictionaries(st.text("abc", max_size=3), VALUES, max_size=3), words=PLAIN_TEXT)
            def same_text(schema: dict[str, JSON], words: str) -> None:
                tool = ToolSpec("t", words, canonical(schema))
                body = chat_body((tool,), {"role": "user", "content": "Hi"})
                made = client.post("/apply-template", json=body).json()
                assert prompt(Conversation("s", "", (tool,)).request("Hi")) == made["prompt"]

            same_text()


async def test_its_counts_are_those_of_the_engines_chat_endpoint(tmp_path: Path) -> None:
    conversation = Conversation("s", tools=(LIST_FILES,), longest=20)
    async with opened(tmp_path) as provider:
        turn = await conversation.ask(provider, "Name three primes.")
        body = chat_body(
            (LIST_FILES,),
            {"role": "system", "content": "You are helpful."},
            {"role": "user", "content": "Name three primes."},
        )
        sampling = {name: value for name, value in encode(conversation.request()).items() if "dry" in name}
        said = await said_by(
            provider,
            "/v1/chat/completions",
            {**body, **sampling, "temperature": 0, "max_tokens": 20, "id_slot": 0},
        )
    assert said["usage"]["prompt_tokens"] == turn.usage.prompt_tokens
    assert said["usage"]["completion_tokens"] == turn.usage.output_tokens
    assert said["usage"]["prompt_tokens_details"]["cached_tokens"] == turn.usage.prompt_tokens - 1
    assert said["choices"][0]["message"]["content"] == turn.message.text


async def test_a_session_of_the_encoder_before_finds_its_cache(tmp_path: Path) -> None:
    """`local/1` asked the chat endpoint, kept text alone, and saved its slot under its own name."""
    older = Conversation("s", encoder="local/1")
    asked = (
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": "Hello, who are you?"},
    )
    async with opened(tmp_path) as provider:
        await provider.prepare()
        said = await said_by(
            provider,
            "/v1/chat/completions",
            {**chat_body((), *asked), "temperature": 0, "max_tokens": 20, "id_slot": 0},
        )
        name = SlotName.of(older.request().prefix).file
        await said_by(provider, "/slots/0?action=save", {"filename": name})
    async with opened(tmp_path) as provider:
        older.add("user", Text("Hello, who are you?"))
        older.add("assistant", Text(said["choices"][0]["message"]["content"]))
        turn = await older.ask(provider, "And now?")
        again = await older.ask(provider, "And then?")
    assert turn.usage.cache_read_tokens >= said["usage"]["prompt_tokens"] - 1
    assert again.usage.cache_read_tokens == all_but_the_last_token(turn.usage)
