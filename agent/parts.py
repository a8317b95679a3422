"""What fills the context window, by where it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

from agent.prompt import opening_of
from agent.summary import is_summary
from providers.call import characters
from providers.types import Block, Message, Request, Text, ToolResult

Part: TypeAlias = Literal["system", "tools", "project", "summary", "person", "model", "files", "results"]
"""`project` is the opening block with its instructions, `files` what was read or sent along, `results` what
other tools gave."""

PARTS: tuple[Part, ...] = get_args(Part)


def shares(request: Request, filled: int) -> dict[Part, int]:
    """Tokens of each part of a request that fills so many, estimated by length; together exactly `filled`."""
    sizes: Counter[Part] = Counter()
    for part, size in _sizes(request):
        sizes[part] += size
    whole = sizes.total() or 1
    found = {part: filled * sizes[part] // whole for part in PARTS}
    largest = max(PARTS, key=lambda part: found[part])
    found[largest] += filled - sum(found.values())
    return found


def _sizes(request: Request) -> Iterator[tuple[Part, int]]:
    yield "system", len(request.prefix.system)
    for tool in request.prefix.tools:
        yield "tools", len(tool.name) + len(tool.description) + len(tool.parameters)
    opening = opening_of(request.messages)
    for place, message in enumerate(request.messages):
        for number, block in enumerate(message.blocks):
            first = place == 0 and number == 0 and bool(opening)
            yield "project" if first else _part(message, number, block), characters(block)


def _part(message: Message, number: int, block: Block) -> Part:
    match message.role, block:
        case "assistant", _:
            return "model"
        case "tool", ToolResult(name="read"):
            return "files"
        case "tool", _:
            return "results"
        case _, _ if is_summary(message):
            return "summary"
        case _, Text() if number == len(message.blocks) - 1:
            return "person"
        case _:
            return "files"  # what stands before a prompt in its message was sent along with it
