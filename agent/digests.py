"""Short hashes of a conversation, by which the beginning that two requests share is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from providers.types import (
    JSON,
    Block,
    Image,
    Message,
    Opaque,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    canonical,
)


class Chain:
    """The digests of a conversation that mostly grows: what is known of its beginning isn't made anew."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._digests: list[str] = []
        self._hashes: list[hashlib._Hash] = []

    def of(self, messages: Sequence[Message]) -> list[str]:
        """For each message a short hash of it and all before it.

        A message is known by its id and its blocks: cut short for a summary it keeps its id.
        """
        same = 0
        for message, known in zip(messages, self._messages, strict=False):
            if message is not known and message != known:
                break
            same += 1
        del self._messages[same:], self._digests[same:], self._hashes[same:]
        running = self._hashes[-1].copy() if self._hashes else hashlib.sha256()
        for message in messages[same:]:
            running.update(_bytes(message))
            self._messages.append(message)
            self._digests.append(running.hexdigest()[:16])
            self._hashes.append(running.copy())
        return list(self._digests)


def digests(messages: Iterable[Message]) -> list[str]:
    """For each message a short hash of it and all before it."""
    return Chain().of([*messages])


def _bytes(message: Message) -> bytes:
    facts = [message.role, [_facts(block) for block in message.blocks]]
    return canonical(facts).encode("utf-8", "replace")


def _facts(block: Block) -> JSON:
    match block:
        case Text(text):
            return ["text", text]
        case Thinking(text, origin, signature):
            return ["thinking", text, signature, origin.wire, origin.endpoint, origin.model]
        case Image(media_type, data):
            return ["image", media_type, data]
        case ToolCall(id, name, raw):
            return ["call", id, name, raw]
        case ToolResult(call_id, name, text, is_error, images):
            return [
                "result",
                call_id,
                name,
                text,
                is_error,
                [[image.media_type, image.data] for image in images],
            ]
        case Opaque(raw, origin):
            return ["opaque", raw, origin.wire, origin.endpoint, origin.model]
