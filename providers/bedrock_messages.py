"""Encodes a request for Bedrock's Converse API: `bedrock/1`, the same bytes for the same values for ever.

What `bedrock/1` makes of a message must never change: a session that was begun with it is read from the
provider's cache only while its bytes stay what they were. Another encoding is `bedrock/2`, beside this one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from providers.bedrock_models import NOTHING_LEFT_OUT, Family, family_of, least_limit
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
    ToolSpec,
)

ENCODER = "bedrock/1"
WIRE = "bedrock"

Encoded = dict[str, Any]
"""A block or message of the request. Bytes stand in base64, as they do on the wire."""

NO_OUTPUT = "(no output)"
"""For a tool that said nothing: models refuse a result without content, and a blank text too."""

FORMATS = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
LONGEST_NAME = 64
MOST_POINTS = 4
"""Cache points in a request (AWS's guide, "Prompt caching")."""


def request_body(request: Request, endpoint: str, left_out: frozenset[str] = NOTHING_LEFT_OUT) -> Encoded:
    """The request to `endpoint`, cache points in place, as `converse_stream` takes it but for its bytes.

    Without its cache points, the conversation of a longer request begins with that of a shorter one.
    `left_out` holds what the model refused: `cachePoint.tools`, `cachePoint.system`, `cachePoint.messages`,
    `ttl`, `maxTokens`, and the names of fields of its thinking.
    """
    prefix, model = request.prefix, request.prefix.model.name
    family = family_of(model)
    conversation = Conversation(Origin(WIRE, endpoint, model), family)
    for message in request.messages:
        conversation.add(message)
    places = {place for place in family.points if f"cachePoint.{place}" not in left_out}
    hours = family.hour and "ttl" not in left_out
    start = _cache_point(long=hours and (request.kept_until is not None or _all_long(request)))
    if not prefix.system.strip():
        places.discard("system")
    free = MOST_POINTS - bool({"tools", "system"} & places)
    ends = conversation.ends(request, free) if "messages" in places else ()
    if len(ends) + len({"tools", "system"} & places) > MOST_POINTS:
        places.discard("tools")  # the point behind the system prompt holds the tools too
    body: Encoded = {"modelId": model}
    if prefix.tools:
        body["toolConfig"] = {"tools": [*map(_tool, prefix.tools), *([start] if "tools" in places else [])]}
    if prefix.system.strip():
        body["system"] = [{"text": prefix.system}, *([start] if "system" in places else [])]
    body["messages"] = _with_points(conversation.messages, ends, hours=hours)
    fields = {}
    if prefix.parameters.effort:
        # Thinking is part of what the cache is looked up by, so no limit of one answer may change it.
        most = prefix.parameters.max_output_tokens
        fields = family.thinking(prefix.parameters.effort, model, most, left_out)
    if "maxTokens" not in left_out:
        body["inferenceConfig"] = {"maxTokens": max(request.output_limit, least_limit(fields))}
    return {**body, "additionalModelRequestFields": fields} if fields else body


def sdk_arguments(body: Encoded) -> Encoded:
    """The request as boto3 takes it: bytes as such, and no half character, which is not UTF-8."""
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    arguments: Encoded = json.loads(text)
    for message in arguments["messages"]:
        message["content"] = [_with_bytes(block) for block in message["content"]]
    return arguments


class Conversation:
    """The messages of one request while they are laid out."""

    def __init__(self, origin: Origin, family: Family) -> None:
        self.messages: list[Encoded] = []
        self._origin = origin
        self._family = family
        self._ends: dict[str, Encoded | None] = {}
        """By message id: the last block of a person's or a tool's up to that message's end."""
        self._last: Encoded | None = None
        self._opening: Encoded | None = None
        """The block before the first prompt, where one stands there."""

    def add(self, message: Message) -> None:
        """Append a message. Roles have to alternate, so what stands between two answers is one message."""
        blocks = [block for block in map(self._block, message.blocks) if block is not None]
        if not self._ends and len(blocks) > 1:
            self._opening = blocks[0]
        role = "assistant" if message.role == "assistant" else "user"
        if role == "assistant":
            while blocks and "reasoningContent" in blocks[-1]:  # the API refuses a message that ends so
                blocks.pop()
        elif blocks:
            self._last = blocks[-1]
        if blocks:
            self._append(role, blocks)
        self._ends[message.id] = self._last

    def ends(self, request: Request, most: int) -> tuple[tuple[Encoded, bool], ...]:
        """The blocks behind which cache points belong, each with whether for an hour: those come first.

        They are the end of this call, that of the one before, and the border of two lifetimes. A call ends at
        the message before the answer that it got, so such a place is known even where `previous_end` is not,
        as after a rewind or in a fork. Where `most` allows one more, it stands before the first prompt: a
        sub-agent, a summary and this project's next session begin with the same block.
        """
        places = {message.id: place for place, message in enumerate(request.messages)}
        last = len(request.messages) - 1
        border = last if _all_long(request) else places.get(request.kept_until or "", -1)
        marked: dict[int, tuple[int, Encoded]] = {}
        for place in (last, border, self._before(request, places)):
            block = self._ends[request.messages[place].id] if place >= 0 else None
            if block is not None:
                marked.setdefault(id(block), (place, block))
        if self._opening is not None and len(marked) < most:
            marked.setdefault(id(self._opening), (0, self._opening))
        found = sorted(marked.values(), key=lambda mark: mark[0])
        return tuple((block, place <= border) for place, block in found)

    def _before(self, request: Request, places: Mapping[str, int]) -> int:
        """The place where the call before this one ended; -1 where there was none."""
        answered = [
            before.id
            for before, answer in zip(request.messages, request.messages[1:], strict=False)
            if answer.role == "assistant"
        ]
        ends = (
            end for end in (request.previous_end, *answered[-1:]) if self._ends.get(end or "") is not None
        )
        return next((places[end] for end in ends if end), -1)

    def _append(self, role: str, blocks: list[Encoded]) -> None:
        if not self.messages or self.messages[-1]["role"] != role:
            self.messages.append({"role": role, "content": blocks})
            return
        content: list[Encoded] = self.messages[-1]["content"]
        content.extend(blocks)
        # The results of tools have to come before anything else of the message that follows their calls.
        content.sort(key=lambda block: "toolResult" not in block)

    def _block(self, block: Block) -> Encoded | None:
        """The block as it is sent; None for what has nothing to say to this model at this endpoint."""
        match block:
            case Text(text):
                return {"text": text} if text.strip() else None
            case Image():
                return _image(block)
            case ToolCall(call_id, name, raw):
                return {"toolUse": {"toolUseId": _id(call_id), "name": _name(name), "input": _input(raw)}}
            case ToolResult():
                return _result(block, self._family)
            case Thinking(text, origin, signature) if origin == self._origin and signature:
                return {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}
            case Opaque(raw, origin) if origin == self._origin:
                value = json.loads(raw)
                return value if isinstance(value, dict) and len(value) == 1 else None
            case _:
                return None


def _tool(spec: ToolSpec) -> Encoded:
    described = {"description": spec.description} if spec.description.strip() else {}
    return {
        "toolSpec": {
            "name": _name(spec.name),
            **described,
            "inputSchema": {"json": json.loads(spec.parameters)},
        }
    }


def _image(image: Image) -> Encoded | None:
    """The image, where Bedrock knows its format."""
    kind = FORMATS.get(image.media_type)
    return {"image": {"format": kind, "source": {"bytes": image.data}}} if kind else None


def _result(result: ToolResult, family: Family) -> Encoded:
    images = [image for image in map(_image, result.images) if image is not None]
    said = [{"text": result.text}] if result.text.strip() else []
    content = [*said, *images] or [{"text": NO_OUTPUT}]
    failed = {"status": "error"} if result.is_error and family.tells_errors else {}
    return {"toolResult": {"toolUseId": _id(result.call_id), "content": content, **failed}}


def _input(raw_arguments: str) -> JSON:
    """A call's arguments as the object the API wants, `{}` where what the model wrote is not one."""
    try:
        value = json.loads(raw_arguments, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _id(text: str) -> str:
    return _short(re.sub(r"[^a-zA-Z0-9_.:-]", "_", text))


def _name(text: str) -> str:
    return _short(re.sub(r"[^a-zA-Z0-9_-]", "_", text))


def _short(text: str) -> str:
    """An id or name within the API's length; a cut one ends in a hash, so that it stays the only one."""
    if len(text) <= LONGEST_NAME:
        return text or "_"
    return text[:23] + "_" + hashlib.sha256(text.encode()).hexdigest()[:40]


def _all_long(request: Request) -> bool:
    return request.prefix.parameters.cache_ttl == "1h"


def _cache_point(*, long: bool) -> Encoded:
    return {"cachePoint": {"type": "default", **({"ttl": "1h"} if long else {})}}


def _with_points(
    messages: list[Encoded], ends: Iterable[tuple[Encoded, bool]], *, hours: bool
) -> list[Encoded]:
    """The messages with a cache point behind each of these blocks. `hours`: the model keeps some for one."""
    points = {id(block): _cache_point(long=long and hours) for block, long in ends}
    return [
        {
            "role": message["role"],
            "content": [
                each
                for block in message["content"]
                for each in ((block, points[id(block)]) if id(block) in points else (block,))
            ],
        }
        for message in messages
    ]


def _with_bytes(block: Encoded) -> Encoded:
    match block:
        case {"image": {"format": kind, "source": {"bytes": str(data)}}}:
            return {"image": {"format": kind, "source": {"bytes": base64.b64decode(data)}}}
        case {"reasoningContent": {"redactedContent": str(data)}}:
            return {"reasoningContent": {"redactedContent": base64.b64decode(data)}}
        case {"toolResult": {"content": list(content)} as result}:
            return {"toolResult": {**result, "content": [_with_bytes(each) for each in content]}}
        case _:
            return block
