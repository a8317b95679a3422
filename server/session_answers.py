"""What the server answers about sessions and their checkpoints: each object's shape."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from server.usage import Totals


class Session(TypedDict):
    """A conversation with the agent."""

    id: str
    object: Literal["session"]
    title: str | None
    prompt: str | None
    """The first prompt, in one line."""
    created_at: int
    """Seconds since the epoch."""
    updated_at: int
    """Seconds since the epoch."""
    model: str | None
    """The model that answers: `provider/name`."""
    turns: int
    """Prompts sent, those that were rewound too."""
    origin: str | None
    """`fork` or `import`; null for a session that was begun here."""
    usage: Totals
    """All it was billed for, what was rewound too."""


class SessionList(TypedDict):
    object: Literal["list"]
    data: list[Session]
    """The one used last first."""
    first_id: str | None
    last_id: str | None
    """Send it as `after` for the next page."""
    has_more: bool


class ToolCall(TypedDict):
    id: str
    name: str
    arguments: str
    """The JSON text that the model sent."""


class ToolResult(TypedDict):
    call_id: str
    text: str
    is_error: bool


class SessionMessage(TypedDict):
    """A message of a session's conversation."""

    id: str
    role: str
    """`user` or `assistant`; the results of tools come as the user's."""
    content: str
    tool_calls: NotRequired[list[ToolCall]]
    tool_results: NotRequired[list[ToolResult]]


class SessionWithMessages(Session):
    """A session with its live conversation: what a next prompt would go on from."""

    messages: list[SessionMessage]


class DeletedSession(TypedDict):
    id: str
    object: Literal["session"]
    deleted: Literal[True]


class Checkpoint(TypedDict):
    """Where a session can go back to: the end of one of its turns, or its start."""

    object: Literal["checkpoint"]
    number: int
    """0 is the session's start."""
    created: str
    """ISO 8601, in UTC."""
    prompt: str
    """The first 80 characters of the turn's prompt."""
    model: str
    message_id: str | None
    """The conversation's last message; null at the start."""
    token_snapshot: dict[str, int]
    """Tokens billed to date, in buckets that are disjoint: `input` holds what no cache had."""
    cost_usd: float | None
    """US dollars to date; null where a part isn't known."""
    files: bool
    """Whether files can be brought back, too."""
    files_off: str | None
    """Why they can't."""


class CheckpointList(TypedDict):
    object: Literal["list"]
    data: list[Checkpoint]
    """The first one first."""
    has_more: Literal[False]


class Rewind(TypedDict):
    """What going back to a checkpoint did."""

    object: Literal["rewind"]
    session_id: str
    checkpoint: int
    dry_run: bool
    would_change: list[str]
    """Files that differ from the checkpoint, where files were asked for."""
    changed: list[str]
    deleted: list[str]
    kept: list[str]
    """Files that stay as they are, each with its reason."""
    problems: list[str]
    """Files that could not be brought back, each with its reason."""
    message_id: str | None
    """The message that a next prompt goes on from."""
