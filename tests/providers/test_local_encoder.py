"""What `local/2` makes of a conversation, compared whole: what was sent once is sent so for ever."""

from __future__ import annotations

import json
from typing import Any

from providers.local_encoder import ENCODER, LONGEST_ANSWER, encode, kept_tokens, maker
from providers.types import (
    Image,
    Message,
    ModelRef,
    Opaque,
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
HERE = maker("smollm2")


def request(
    *messages: Message, system: str = "", tools: tuple[ToolSpec, ...] = (), longest: int = 99
) -> Request:
    prefix = Prefix(
        model=ModelRef("local", "smollm2"),
        system=system,
        tools=tools,
        parameters=Parameters(max_output_tokens=longest),
        encoder=ENCODER,
        affinity_key="s",
    )
    return Request(prefix=prefix, messages=messages)


def prompt(*messages: Message, **prefix: Any) -> Any:
    return encode(request(*messages, **prefix))["prompt"]


def user(text: str) -> Message:
    return Message("u", "user", (Text(text),))


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
        "prompt": (
            "<|im_start|>system\n"
            "You are helpful.\n\n"
            "You may call these tools:\n"
            "<tools>\n"
            '{"type": "function", "function": {"name": "read", "description": "Read a file", '
            '"parameters": {"properties": {"path": {"type": "string"}}, "type": "object"}}}\n'
            "</tools>\n\n"
            "To call a tool, answer with:\n"
            "<tool_call>\n"
            '{"name": "tool_name", "arguments": {"key": "value"}}\n'
            "</tool_call><|im_end|>\n"
            "<|im_start|>user\nIn /srv.\n\nRead a.txt<|im_end|>\n"
            "<|im_start|>assistant\n"
            " Reading.\n\n"
            '<tool_call>\n{"name": "read", "arguments": {"path": "a.txt"}}\n</tool_call><|im_end|>\n'
            "<|im_start|>user\n<tool_response>\nhello\n</tool_response><|im_end|>\n"
            "<|im_start|>system\nBe brief.<|im_end|>\n"
            "<|im_start|>assistant\n"
        ),
        "n_predict": 99,
        "temperature": 0,
        "dry_multiplier": 0.8,
        "dry_allowed_length": 3,
        "dry_penalty_last_n": 128,
        "cache_prompt": True,
        "id_slot": 0,
        "stream": True,
        "return_tokens": True,
        "return_progress": True,
        "timings_per_token": True,
    }


def test_an_answer_of_this_engine_goes_back_as_the_tokens_that_it_was() -> None:
    answer = Message("a", "assistant", (Text("Hm..."), kept_tokens([62, 30, 950], HERE)))
    assert prompt(user("Well?"), answer, user("So?")) == [
        "<|im_start|>user\nWell?<|im_end|>\n<|im_start|>assistant\n",
        62,
        30,
        950,
        "<|im_end|>\n<|im_start|>user\nSo?<|im_end|>\n<|im_start|>assistant\n",
    ]


def test_a_tool_call_of_this_engine_goes_back_as_tokens_too() -> None:
    answer = Message("a", "assistant", (ToolCall("c", "read", "{}"), kept_tokens([1, 2], HERE)))
    assert prompt(user("Read."), answer)[1:] == [1, 2, "<|im_end|>\n<|im_start|>assistant\n"]


def test_an_answer_whose_tokens_are_anothers_or_unreadable_goes_as_text() -> None:
    foreign = kept_tokens([1], Origin("local", ENCODER, "other-model"))
    strange = (
        Opaque(raw, HERE)
        for raw in ("", "[]", '{"tokens":["1"]}', '{"tokens":[-1]}', '{"tokens":[true]}', '{"tokens":[]}')
    )
    for block in (foreign, *strange):
        answer = Message("a", "assistant", (Text("Hm..."), block))
        assert prompt(answer) == "<|im_start|>assistant\nHm...<|im_end|>\n<|im_start|>assistant\n"


def test_what_the_model_cannot_read_is_left_out_or_named() -> None:
    thought = Thinking("hm", Origin("anthropic", "", "claude"))
    picture = Image("image/png", "aGk=")
    assert prompt(
        Message("1", "user", (Text("Look:"), picture)),
        Message("2", "assistant", (thought, Text("I see."))),
        Message("3", "tool", (ToolResult("c", "read", "a.png", images=(picture,)),)),
    ) == (
        "<|im_start|>user\nLook:\n\n[an image, which this model cannot see]<|im_end|>\n"
        "<|im_start|>assistant\nI see.<|im_end|>\n"
        "<|im_start|>user\n<tool_response>\n"
        "a.png\n\n[an image, which this model cannot see]\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_arguments_that_are_no_object_are_shown_inside_one() -> None:
    answer = Message("a", "assistant", (ToolCall("c", "read", '{"path": "/et'),))
    assert '"arguments": {"malformed_arguments": "{\\"path\\": \\"/et"}}' in prompt(answer)


def test_arguments_nested_beyond_reason_still_make_a_prompt() -> None:
    nested = '{"a":' * 900 + "1" + "}" * 900
    assert "<tool_call>" in prompt(Message("a", "assistant", (ToolCall("c", "read", nested),)))


def test_the_answer_is_kept_short_whatever_was_allowed() -> None:
    assert encode(request(user("Hi"), longest=16_384))["n_predict"] == LONGEST_ANSWER


def test_the_tokens_are_kept_as_short_as_json_can() -> None:
    assert json.loads(kept_tokens([1, 2], HERE).raw) == {"tokens": [1, 2]}
    assert " " not in kept_tokens([1, 2], HERE).raw
