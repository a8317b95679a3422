"""Tools that ran side by side finish in any order; the next request is one that each wire takes."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from providers import anthropic_encoder, local_encoder, ollama_messages, openai_messages
from providers.types import Message, ModelRef, Origin, Prefix, Request, Text, ToolCall, ToolResult

CALLS = tuple(ToolCall(f"c{n}", "read", json.dumps({"path": f"{n}.txt"})) for n in range(3))
PREFIX = Prefix(model=ModelRef("p", "m"), system="s", tools=(), encoder="x/1", affinity_key="k")
ORDERS = list(permutations(range(3)))


def request(order: tuple[int, ...]) -> Request:
    results = [Message(f"r{n}", "tool", (ToolResult(f"c{n}", "read", f"text {n}"),)) for n in order]
    asked = Message("m2", "assistant", (Text("reading"), *CALLS))
    return Request(prefix=PREFIX, messages=(Message("m1", "user", (Text("go"),)), asked, *results))


@pytest.mark.parametrize("order", ORDERS)
def test_anthropic_gets_all_results_in_the_one_message_after_the_calls(order: tuple[int, ...]) -> None:
    messages = anthropic_encoder.request_body(request(order), "https://example.test")["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    asked = {block["id"] for block in messages[1]["content"] if block["type"] == "tool_use"}
    assert {block["type"] for block in messages[2]["content"]} == {"tool_result"}
    assert {block["tool_use_id"] for block in messages[2]["content"]} == asked


def encoded(wire: str, order: tuple[int, ...]) -> list[Any]:
    made = request(order)
    match wire:
        case "openai-chat":
            return list(openai_messages.encode_messages(made.prefix, made.messages))
        case _:
            return list(
                ollama_messages.encode_messages(made.prefix, made.messages, Origin("ollama", "", "m"))
            )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("wire", ["openai-chat", "ollama"])
def test_each_result_names_its_call_right_behind_the_calls(wire: str, order: tuple[int, ...]) -> None:
    messages = encoded(wire, order)
    assert [message["role"] for message in messages][-4:] == ["assistant", "tool", "tool", "tool"]
    asked = [call["id"] for call in messages[-4]["tool_calls"]]
    told = {message["tool_call_id"]: message["content"] for message in messages[-3:]}
    assert told == {call: f"text {call[1:]}" for call in asked}


@pytest.mark.parametrize("order", ORDERS)
def test_the_embedded_model_reads_all_results_right_behind_the_calls(order: tuple[int, ...]) -> None:
    """Its template names no call; the results stand there as they came."""
    behind = str(local_encoder.prompt(request(order))).rpartition("</tool_call><|im_end|>\n")[2]
    assert behind == "".join(
        f"<|im_start|>user\n<tool_response>\ntext {n}\n</tool_response><|im_end|>\n" for n in order
    ) + ("<|im_start|>assistant\n")
