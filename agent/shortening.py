"""Shortens a conversation that no longer fits its model's context window, so that it can be summed up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from providers.types import Block, Message, Opaque, Text, Thinking, ToolCall, ToolResult

RESULT = 400
"""Characters that stay of a tool's result."""
WORDS = 200
"""Characters that stay of anything else, once that was not enough."""


def shortened(
    messages: Sequence[Message], fits: Callable[[tuple[Message, ...]], bool]
) -> tuple[Message, ...]:
    """The messages with the oldest tool results cut short until they fit, then the oldest words.

    The first message stays whole: it holds the project's instructions. Calls and results stay paired. Where
    nothing helps, the shortest form there is.
    """
    made = list(messages)
    for cut in (_results_cut, _words_cut):
        for place in range(1, len(made)):
            if fits(tuple(made)):
                return tuple(made)
            made[place] = cut(made[place])
    return tuple(made)


def _results_cut(message: Message) -> Message:
    if message.role != "tool":
        return message
    return replace(message, blocks=tuple(map(_result_cut, message.blocks)))


def _result_cut(block: Block) -> Block:
    if not isinstance(block, ToolResult):
        return block
    return replace(block, text=_cut(block.text, RESULT), images=())


def _words_cut(message: Message) -> Message:
    """Without what only the model that made it can read: it says once more what was cut, or nothing here."""
    kept = (block for block in message.blocks if not isinstance(block, Thinking | Opaque))
    return replace(message, blocks=tuple(map(_block_cut, kept)))


def _block_cut(block: Block) -> Block:
    match block:
        case Text(text):
            return Text(_cut(text, WORDS))
        case ToolCall(raw_arguments=raw) if len(raw) > WORDS:
            return replace(block, raw_arguments="{}")
        case _:
            return block


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}… [shortened]"
