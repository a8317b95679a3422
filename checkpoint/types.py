"""A checkpoint: what the files, the conversation and the bill were at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol


class CheckpointError(Exception):
    """A checkpoint could not be made, found or restored; the text says which, why, and what to do."""


class CheckpointUnwritable(CheckpointError, OSError):
    """The system would not write: no space, no permission, an I/O error."""


class Totals(Protocol):
    """What `make_snapshot` reads of a conversation's state, in tokens; `agent.state.AgentState` has it."""

    turn_count: int
    total_input_tokens: int
    total_output_tokens: int
    total_cache_read_tokens: int
    total_cache_write_tokens: int
    total_cache_write_1h_tokens: int
    total_reasoning_tokens: int
    total_reported_prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Capture:
    """The project's files at one moment."""

    tree: str
    """Names the files, their modes included: equal trees are equal files. Empty while files are not kept."""
    skipped: tuple[str, ...] = ()
    """Paths that are not part of the tree, each with its reason: `video.mp4: over 10 MB`."""
    head: str = ""
    """The commit that the project's own repository was on; empty without one."""
    branch: str = ""
    """Its branch; empty when detached."""


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs between two trees. Paths are relative to the project, with forward slashes."""

    path: str
    kind: Literal["added", "modified", "deleted"]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did, each as relative paths."""

    changed: tuple[str, ...]
    """Written again, from the checkpoint."""
    deleted: tuple[str, ...]
    """Removed, because the checkpoint doesn't have them."""
    kept: tuple[str, ...]
    """Left as they are, each with its reason: `.env: ignored at that checkpoint`."""
    problems: tuple[str, ...]
    """What could not be done, each with its reason. Running the restore again tries these again."""
    safety: str
    """The tree of the files as they were just before; restoring it takes this restore back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One checkpoint. Number 0 is the session's start."""

    session: str
    number: int
    created: str
    """ISO 8601 in UTC with milliseconds."""
    message: str | None
    """Id of the conversation's last message; None at the start."""
    turn_count: int
    prompt: str
    """The first 80 characters of the turn's prompt."""
    model: str
    cwd: str
    token_snapshot: dict[str, int]
    """What was billed to date, in tokens: `input`, `output`, `cache_read`, `cache_write` and further ones."""
    cost_usd: float | None
    """To date; None where a part of it is unknown."""
    before: str | None
    """The file tree before the turn's first tool that may write."""
    tree: str | None
    """The file tree at the turn's end; None while files are not kept."""
    files_off: str
    """Why files are not kept; empty when they are."""
    skipped: tuple[str, ...]
    """Paths that are not part of the tree, each with its reason: `video.mp4: over 10 MB`."""
    git_head: str
    git_branch: str
    path: Path
    """The JSON file."""
    cost_at_least: float | None = None
    """US dollars to date of the calls whose price is known; None in a checkpoint of an older version."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Keys this version doesn't know. They are written back as they came."""
