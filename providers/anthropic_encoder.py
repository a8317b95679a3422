"""Encodes a request for Anthropic's Messages API: `anthropic/1`, the same bytes for the same values for ever.

What `anthropic/1` makes of a message must never change: a session that was begun with it is read from the
provider's cache only while its bytes stay what they were. Another encoding is `anthropic/2`, beside this one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from providers.anthropic_diagnosis import question
from providers.anthropic_thinking import NOTHING_LEFT_OUT, thinking_fields
from providers.types import (
    JSON,
    Block,
    Image,
    Message,
    Opaque,
    Origin,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

ENCODER = "anthropic/1"
WIRE = "anthropic"

Encoded = dict[str, Any]
"""A block or message of the request body. Only a cache marker is ever added to one after it was made."""

THINKING = frozenset({"thinking", "redacted_thinking"})

ENDS = 3
"""Breakpoints in the messages: of the four that the API allows one stands behind the system prompt."""

MARKABLE = frozenset({"text", "image", "tool_use", "tool_result"})
"""Kinds that take `cache_control` (Anthropic's prompt-caching documentation). Thinking refuses it."""


def encode(request: Request, endpoint: str, left_out: frozenset[str] = NOTHING_LEFT_OUT) -> bytes:
    """The body of the request to `endpoint`, as the JSON text that is sent.

    `left_out` is what the model refused to be told of thinking (`anthropic_thinking`), or to be asked about
    its cache (`anthropic_diagnosis`).
    """
    whole = {**request_body(request, endpoint, left_out), **question(request, left_out)}
    body = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate is not UTF-8, and no session should be stuck on one.
    return body.encode("utf-8", "replace")


def request_body(request: Request, endpoint: str, left_out: frozenset[str] = NOTHING_LEFT_OUT) -> Encoded:
    """The body of the request to `endpoint`, cache markers in place.

    Without its markers, the body of a longer conversation begins with the body of a shorter one.
    """
    prefix = request.prefix
    system = [_text(prefix.system)] if prefix.system.strip() else []
    tools = [_tool(spec.name, spec.description, spec.parameters) for spec in prefix.tools]
    conversation = Conversation(Origin(WIRE, endpoint, prefix.model.name))
    for message in request.messages:
        conversation.add(message)
    start = _last(system) or _last(tools)
    if start is not None:
        start["cache_control"] = _marker(long=request.kept_until is not None or _all_long(request))
    for block, long in conversation.ends(request):
        block["cache_control"] = _marker(long=long)
    body: Encoded = {"model": prefix.model.name, "max_tokens": request.output_limit}
    body |= thinking_fields(prefix.parameters.effort, left_out)
    if tools:
        body["tools"] = tools
    if system:
        body["system"] = system
    return {**body, "messages": conversation.messages, "stream": True}


class Conversation:
    """The messages of one request body while they are laid out."""

    def __init__(self, origin: Origin) -> None:
        self.messages: list[Encoded] = []
        self._origin = origin
        self._ends: dict[str, Encoded | None] = {}
        """By message id: the last block up to that message's end that can carry a breakpoint."""
        self._markable: Encoded | None = None
        self._opening: Encoded | None = None
        """The block before the first prompt, where one stands there."""

    def add(self, message: Message) -> None:
        """Append a message. A person's messages and the results of tools join until the next answer."""
        blocks = [block for block in map(self._block, message.blocks) if block is not None]
        if not self._ends and len(blocks) > 1 and blocks[0]["type"] in MARKABLE:
            self._opening = blocks[0]
        if message.role == "assistant":
            blocks = _without_trailing_thinking(blocks)
        role = "user" if message.role == "tool" else message.role
        if blocks:
            self._append(role, blocks)
        self._markable = next(
            (block for block in reversed(blocks) if block["type"] in MARKABLE), self._markable
        )
        self._ends[message.id] = self._markable

    def ends(self, request: Request) -> Iterator[tuple[Encoded, bool]]:
        """The blocks that get a breakpoint, each with whether for the long lifetime: those come first.

        They stand where this call ends, on the border of two lifetimes, and where earlier calls ended. One
        that is left stands before the first prompt: a sub-agent, a summary and this project's next session
        begin with the same block.
        """
        places = {message.id: place for place, message in enumerate(request.messages)}
        last = len(places) - 1
        border = last if _all_long(request) else places.get(request.kept_until or "", -1)
        marked: dict[int, tuple[int, Encoded]] = {}
        for place in (last, border, *(places[end] for end in _earlier_ends(request) if end in places)):
            block = self._ends[request.messages[place].id] if place >= 0 else None
            if block is not None and len(marked) < ENDS:
                marked.setdefault(id(block), (place, block))
        if self._opening is not None and len(marked) < ENDS:
            marked.setdefault(id(self._opening), (0, self._opening))
        for place, block in sorted(marked.values(), key=lambda found: found[0]):
            yield block, place <= border

    def _append(self, role: str, blocks: list[Encoded]) -> None:
        if role != "user" or not self.messages or self.messages[-1]["role"] != "user":
            self.messages.append({"role": role, "content": blocks})
            return
        content: list[Encoded] = self.messages[-1]["content"]
        content.extend(blocks)
        # The API wants the results of tools before anything else of the message that follows their calls.
        content.sort(key=lambda block: block["type"] != "tool_result")

    def _block(self, block: Block) -> Encoded | None:
        """The block as it is sent; None for what has nothing to say to this model at this endpoint."""
        match block:
            case Text(text):
                return _text(text) if text.strip() else None
            case Image():
                return _image(block)
            case ToolCall(call_id, name, raw):
                return {"type": "tool_use", "id": _name(call_id), "name": _name(name), "input": _input(raw)}
            case ToolResult():
                return _result(block)
            case Thinking(text, origin, signature) if origin == self._origin:
                return {"type": "thinking", "thinking": text, "signature": signature}
            case Opaque(raw, origin) if origin == self._origin:
                value = json.loads(raw)
                return value if isinstance(value, dict) and "type" in value else None
            case _:
                return None


def _text(text: str) -> Encoded:
    return {"type": "text", "text": text}


def _image(image: Image) -> Encoded:
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": image.media_type, "data": image.data},
    }


def _tool(name: str, description: str, parameters: str) -> Encoded:
    return {"name": name, "description": description, "input_schema": json.loads(parameters)}


def _result(result: ToolResult) -> Encoded:
    content = [_text(result.text)] if result.text.strip() else []
    encoded: Encoded = {"type": "tool_result", "tool_use_id": _name(result.call_id)}
    if content or result.images:
        encoded["content"] = [*content, *map(_image, result.images)]
    if result.is_error:
        encoded["is_error"] = True
    return encoded


def _input(raw_arguments: str) -> JSON:
    """A call's arguments as the object the API wants, `{}` where what the model wrote is not one."""
    try:
        value = json.loads(raw_arguments, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _name(text: str) -> str:
    """An id or tool name in the characters that the API allows; other models write other ones."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", text) or "_"


def _earlier_ends(request: Request) -> Iterable[str]:
    """Where the call before this one ended, the likeliest place first; then the end of its answer.

    A call ends at the message before the answer that it got, so that such a place is known even where
    `previous_end` is not, as after a rewind or in a fork.
    """
    if request.previous_end:
        yield request.previous_end
    pairs = zip(request.messages, request.messages[1:], strict=False)
    answered = (before.id for before, answer in reversed([*pairs]) if answer.role == "assistant")
    yield from islice(answered, 1)
    # Where a turn begins, an entry behind the answer before it is what a rewind to there, or a fork, reads.
    if request.messages[-1].role == "user":
        yield from (answer.id for answer in request.messages[-2:-1] if answer.role == "assistant")


def _all_long(request: Request) -> bool:
    return request.prefix.parameters.cache_ttl == "1h"


def _marker(*, long: bool) -> Encoded:
    return {"type": "ephemeral", "ttl": "1h"} if long else {"type": "ephemeral"}


def _without_trailing_thinking(blocks: list[Encoded]) -> list[Encoded]:
    """An answer that broke off in its thinking: the API refuses a message that ends so."""
    length = len(blocks)
    while length and blocks[length - 1]["type"] in THINKING:
        length -= 1
    return blocks[:length]


def _last(blocks: Iterable[Encoded]) -> Encoded | None:
    return next(reversed([*blocks]), None)
