"""What a chat completion's message holds beside OpenAI's own fields, and has to go back with it.

OpenRouter signs a model's reasoning in `reasoning_details` ("Preserving reasoning" in its documentation),
Gemini signs its thoughts in `extra_content`, a message's and each call's ("Thought signatures" in its own).
LiteLLM hands Claude's thinking on in `thinking_blocks` ("Reasoning Content" in its own), signed or redacted.
All refuse a conversation whose signatures changed, so every value goes back as it came.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from providers.counts import section
from providers.types import JSON, JSONObject, Opaque, Origin

DETAILS = "reasoning_details"
EXTRA = "extra_content"
BLOCKS = "thinking_blocks"
CALLS = "tool_calls"
"""In the kept JSON: what belongs to each call, by the call's id."""

STREAMED = ("text", "summary", "data")
"""The parts of a detail that come in pieces, to be put together; of any other field the last said holds."""


@dataclass(slots=True)
class Extras:
    """The extra fields of one answer, while it streams."""

    _details: list[dict[str, JSON]] = field(default_factory=list)
    _blocks: list[dict[str, JSON]] = field(default_factory=list)
    _message: dict[str, JSON] = field(default_factory=dict)
    _calls: dict[str, dict[str, JSON]] = field(default_factory=dict)

    def message(self, delta: JSONObject) -> None:
        """Take what a piece of the message brings."""
        details = delta.get(DETAILS)
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict):
                self._detail(detail)
        blocks = delta.get(BLOCKS)
        for block in blocks if isinstance(blocks, list) else ():
            if isinstance(block, dict):
                self._block(block)
        self._message.update(section(delta, EXTRA))

    def call(self, call_id: str, fragment: JSONObject) -> None:
        """Take what a piece of a tool call brings."""
        if extra := section(fragment, EXTRA):
            self._calls.setdefault(call_id, {}).update(extra)

    def block(self, origin: Origin) -> Opaque | None:
        """All of it in one block; None where the answer brought nothing extra."""
        signed = [block for block in self._blocks if block.get("signature") or block.get("data")]
        kept = {DETAILS: self._details, BLOCKS: signed, EXTRA: self._message, CALLS: self._calls}
        said = {name: value for name, value in kept.items() if value}
        if not said:
            return None
        return Opaque(json.dumps(said, ensure_ascii=False, separators=(",", ":")), origin)

    def _detail(self, piece: Mapping[str, JSON]) -> None:
        """Pieces of one detail share its index and type; one without an index is whole."""
        whole = next((known for known in self._details if _same(known, piece)), None)
        if whole is None:
            self._details.append(dict(piece))
            return
        for name, value in piece.items():
            before = whole.get(name)
            if name in STREAMED and isinstance(value, str) and isinstance(before, str):
                whole[name] = before + value
            elif value is not None:
                whole[name] = value

    def _block(self, piece: Mapping[str, JSON]) -> None:
        """A piece goes on with the block before it until that is signed; its index is not sent back."""
        said = {name: value for name, value in piece.items() if name != "index" and value is not None}
        last = self._blocks[-1] if self._blocks else {}
        if said.get("type") != "thinking" or last.get("type") != "thinking" or last.get("signature"):
            self._blocks.append(said)
            return
        for name in ("thinking", "signature"):
            if isinstance(value := said.get(name), str) and value:
                last[name] = str(last.get(name) or "") + value


@dataclass(frozen=True, slots=True)
class Kept:
    """The extra fields of a message that goes back to the model that made it."""

    message: Mapping[str, JSON] = field(default_factory=dict)
    """Fields of the message itself."""
    calls: Mapping[str, JSON] = field(default_factory=dict)
    """`extra_content` by the call's id."""

    @classmethod
    def of(cls, blocks: Iterable[object], origin: Origin | None) -> Kept:
        """From the block that `Extras` made for `origin`; nothing where there is none."""
        for block in blocks:
            if isinstance(block, Opaque) and block.origin == origin:
                kept = _object(block.raw)
                calls = section(kept, CALLS)
                return cls({name: kept[name] for name in (DETAILS, BLOCKS, EXTRA) if name in kept}, calls)
        return cls()


def _object(raw: str) -> JSONObject:
    """The block's JSON; a journal that somebody edited may hold anything."""
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _same(known: Mapping[str, JSON], piece: Mapping[str, JSON]) -> bool:
    if piece.get("index") is None:
        return False
    ids = {each for each in (known.get("id"), piece.get("id")) if each is not None}
    return len(ids) < 2 and all(known.get(key) == piece.get(key) for key in ("index", "type"))
