"""Claude Code's project logs: a row for each content block, a tree by uuid, usage repeated on each row."""

from __future__ import annotations

from dataclasses import dataclass

from providers.anthropic_answer import anthropic_usage, merged_usage
from providers.types import JSON, Block, JSONObject, Usage
from sessions.fields import Fields, seconds
from sessions.importers.anthropic_blocks import add_user, assistant_blocks
from sessions.importers.imported import Imported, Source, Transcript, rows

TOOL = "claude-code"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A user's or an assistant's row."""

    uuid: str
    role: str
    side: bool
    """Part of a sub-agent's conversation."""
    id: str
    """The message's id: one for all rows of an assistant's message. Else the row's own."""
    model: str
    content: JSON
    usage: JSONObject


def import_log(source: Source) -> list[Imported]:
    """The conversation that ends at the log's last row, and the usage of every call, sub-agents' included."""
    transcript = Transcript(TOOL)
    found: list[_Row] = []
    parents: dict[str, str | None] = {}
    about = _About()
    for number, value in rows(source, transcript):
        fields = Fields(value)
        about = about.learning_from(fields)
        uuid = fields.text("uuid", f"line {number}")
        parents[uuid] = fields.maybe_text("parentUuid")
        if "message" in fields:
            found.append(_row(fields, uuid))
    _tell(_live(found, parents), transcript)
    return [
        Imported(
            tool=TOOL,
            session=about.session,
            title=about.title,
            cwd=about.cwd,
            model=next(
                (
                    f"anthropic/{row.model}"
                    for row in reversed(found)
                    if row.model.strip("<>") == row.model != ""
                ),
                "",
            ),
            created=about.created,
            messages=transcript.messages,
            usage=_usage(found),
            skipped=tuple(transcript.skipped),
        )
    ]


@dataclass(frozen=True, slots=True)
class _About:
    """What rows say of the whole session."""

    session: str = ""
    cwd: str = ""
    title: str = ""
    created: float | None = None

    def learning_from(self, fields: Fields) -> _About:
        """The first row that tells a thing is right; of titles the last."""
        return _About(
            session=self.session or fields.text("sessionId"),
            cwd=self.cwd or fields.text("cwd"),
            title=fields.text("customTitle") or fields.text("summary") or self.title,
            created=self.created if self.created is not None else seconds(fields.text("timestamp")),
        )


def _row(fields: Fields, uuid: str) -> _Row:
    message = Fields(fields.object("message"))
    role = message.text("role", fields.text("type"))
    return _Row(
        uuid=uuid,
        role=role,
        side=fields.flag("isSidechain"),
        id=message.text("id", uuid) if role == "assistant" else uuid,
        model=message.text("model"),
        content=message.any("content"),
        usage=message.object("usage"),
    )


def _usage(found: list[_Row]) -> Usage:
    """Each message once: its rows repeat its usage, and a sub-agent's log replays its parent's messages."""
    usages: dict[str, JSONObject] = {}
    for row in found:
        if row.role == "assistant" and row.usage:
            usages[row.id] = merged_usage(usages.get(row.id, {}), row.usage)
    return sum(map(anthropic_usage, usages.values()), Usage())


def _live(found: list[_Row], parents: dict[str, str | None]) -> list[_Row]:
    """The rows of the live branch in the file's order.

    Calls made side by side hang below each other and their results below each, so the chain of parents alone
    would miss some: a message's other rows belong to it, and so do the results of its calls.
    """
    main = [row for row in found if not row.side]
    chain: set[str] = set()
    end: str | None = main[-1].uuid if main else None
    while end is not None and end not in chain:
        chain.add(end)
        end = parents.get(end)
    messages = {row.id for row in main if row.uuid in chain}
    wanted = {call for row in main if row.id in messages for call in _ids(row.content, "tool_use", "id")}
    return [
        row
        for row in main
        if row.id in messages or (_ids(row.content, "tool_result", "tool_use_id") & wanted)
    ]


def _ids(content: JSON, type: str, key: str) -> set[str]:
    blocks = content if isinstance(content, list) else ()
    return {str(b[key]) for b in blocks if isinstance(b, dict) and b.get("type") == type and key in b}


def _tell(live: list[_Row], transcript: Transcript) -> None:
    """Each message once, at its first row, with the blocks of all its rows; results follow it."""
    parts: dict[str, list[Block]] = {}
    for row in live:
        if row.role == "assistant":
            parts.setdefault(row.id, []).extend(assistant_blocks(row.content, transcript, row.model))
    for row in live:
        if row.role == "user":
            add_user(row.content, transcript)
        elif row.id in parts:
            transcript.say("assistant", *parts.pop(row.id))
