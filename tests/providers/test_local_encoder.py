"""What `local/1` makes of a conversation, compared whole: what was sent once is sent so for ever."""

from __future__ import annotations

from providers.local_encoder import LONGEST_ANSWER, encode
from providers.types import (
    Image,
    Message,
    ModelRef,
    Origin,
    Parameters,
    Prefix,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
)

READ = ToolSpec("read", "Read a file", '{"properties":{"path":{"type":"string"}},"type":"object"}')


def request(
    *messages: Message, system: str = "", tools: tuple[ToolSpec, ...] = (), longest: int = 99
) -> Request:
    prefix = Prefix(
        model=ModelRef("local", "smollm2"),
        system=system,
        tools=tools,
        parameters=Parameters(max_output_tokens=longest),
        encoder="local/1",
        affinity_key="s",
    )
    return Request(prefix=prefix, messages=messages)


def test_a_conversation_with_a_tool_step_becomes_this_body() -> None:
    body = encode(
        request(
            Message("1", "user", (Text("In /srv."), Text("Read a.txt"))),
            Message("2", "assistant", (Text(" Reading.\n"), ToolCall("c", "read", '{"path":  "a.txt"}'))),
            Message("3", "tool", (ToolResult("c", "read", "hello"),)),
            Message("4", "system", (Text("Be brief."),)),
            system="You are helpful.",
            tools=(READ,),
        )
    )
    assert body == {
        "model": "smollm2",
        "messages": [
            {"role": "system", "content": "You are helpful."},
            {"role": "user", "content": "In /srv.\n\nRead a.txt"},
            {
                "role": "assistant",
                "content": " Reading.\n",
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "read", "arguments": '{"path":  "a.txt"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c", "content": "hello"},
            {"role": "system", "content": "Be brief."},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "read",
                    "description": "Read a file",
                    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
                },
            }
        ],
        "max_tokens": 99,
        "temperature": 0,
        "dry_multiplier": 0.8,
        "dry_allowed_length": 3,
        "dry_penalty_last_n": 128,
        "cache_prompt": True,
        "id_slot": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_the_model_cannot_read_is_left_out_or_named() -> None:
    thought = Thinking("hm", Origin("anthropic", "", "claude"))
    picture = Image("image/png", "aGk=")
    body = encode(
        request(
            Message("1", "user", (Text("Look:"), picture)),
            Message("2", "assistant", (thought, Text("I see."))),
            Message("3", "tool", (ToolResult("c", "read", "a.png", images=(picture,)),)),
        )
    )
    assert [message["content"] for message in body["messages"]] == [
        "Look:\n\n[an image, which this model cannot see]",
        "I see.",
        "a.png\n\n[an image, which this model cannot see]",
    ]


def test_the_answer_is_kept_short_whatever_was_allowed() -> None:
    body = encode(request(Message("1", "user", (Text("Hi"),)), longest=16_384))
    assert body["max_tokens"] == LONGEST_ANSWER
