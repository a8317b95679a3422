"""A checkpoint: what the files, the conversation and the bill were at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class CheckpointError(Exception):
    """A checkpoint could not be made, found or restored; the text says which, why, and what to do."""


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
    """What the session was billed to date, in tokens: `input`, `output`, `cache_read`, `cache_write`, further ones."""
    cost_usd: float | None
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
