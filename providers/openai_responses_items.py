"""One output item of a response: what was streamed of it, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from providers.types import JSON, JSONObject, canonical


@dataclass(slots=True, eq=False)
class Item:
    """One output item: what was streamed of it, then what it came to."""

    kind: str
    raw: JSONObject
    id: str = ""
    """The tool call's id in our conversation."""
    pieces: list[str] = field(default_factory=list)
    part: JSON = None
    """Which part of its reasoning the last piece belonged to."""
    shown: bool = False
    """Whether a person was told that the tool call began."""
    whole: bool = False

    @property
    def text(self) -> str:
        """A message's words, a call's arguments, or reasoning as far as it is shown."""
        return "".join(self.pieces)

    @property
    def name(self) -> str:
        return string(self.raw.get("name"))

    @property
    def runs(self) -> bool:
        """Whether it is a call that a completed response wants run."""
        return bool(self.id) and self.raw.get("status") != "incomplete"

    @property
    def goes_back(self) -> bool:
        """Whether reasoning holds anything the endpoint could use: nothing was stored there under its id."""
        return self.whole and bool(self.raw.get("encrypted_content") or self.raw.get("content"))

    def frame(self) -> JSONObject:
        """The item without what its block holds."""
        held = {"content", "arguments", "call_id", "name"} | (set() if self.whole else {"status"})
        return {key: value for key, value in self.raw.items() if key not in held}


def same_item(raw: JSONObject, unseen: list[Item]) -> Item | None:
    """The streamed item that `raw`, of a finished response, is: by id, else the next of its kind."""
    alike = [item for item in unseen if item.kind == raw.get("type")]
    for key in ("id", "call_id"):
        if wanted := raw.get(key):
            for item in alike:
                if item.raw.get(key) == wanted:
                    return item
    return next(iter(alike), None)


def content_of(raw: JSONObject) -> str:
    """What an item's block shows of it."""
    match raw.get("type"):
        case "message":
            texts = [part.get("text") or part.get("refusal") for part in objects(raw.get("content"))]
            return "".join(map(string, texts))
        case "function_call":
            arguments = raw.get("arguments")
            return canonical(arguments) if isinstance(arguments, dict) else string(arguments)
        case "reasoning":
            parts = objects(raw.get("summary")) or objects(raw.get("content"))
            return "\n\n".join(string(part.get("text")) for part in parts)
        case _:
            return ""


def objects(value: JSON) -> list[JSONObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def string(value: JSON) -> str:
    return value if isinstance(value, str) else ""
