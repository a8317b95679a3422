"""What a tool is: a spec for the model, an intent for permissions, a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from agent.workspace import Workspace
from providers.types import JSON, Image, ToolSpec

Arguments: TypeAlias = Mapping[str, JSON]


class BadArguments(ValueError):
    """The model's arguments don't fit the tool; the text tells the model what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a call is about to do, found without doing it.

    `access` is `read` (changes nothing: runs beside others), `write` (changes the named files) or `execute`
    (may change anything). `summary` is one line for the person, `preview` the diff or the command in full.
    """

    access: Literal["read", "write", "execute"]
    summary: str
    paths: tuple[Path, ...] = ()
    command: str = ""
    preview: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`text` is what the model reads, `display` one or more short lines (or a diff) for the person."""

    text: str
    display: str = ""
    is_error: bool = False
    images: tuple[Image, ...] = ()


@dataclass(slots=True)
class FilesSeen:
    """Which version of a file the model last saw, by real path: (mtime in nanoseconds, size in bytes)."""

    versions: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def note(self, path: Path) -> None:
        """The model has now seen the file as it is on disk."""
        stat = path.stat()
        self.versions[path.resolve()] = (stat.st_mtime_ns, stat.st_size)

    def knows(self, path: Path) -> bool:
        """Whether the model ever saw the file."""
        return path.resolve() in self.versions

    def changed(self, path: Path) -> bool:
        """Whether the file was seen, and is another one now."""
        seen = self.versions.get(path.resolve())
        if seen is None:
            return False
        stat = path.stat()
        return seen != (stat.st_mtime_ns, stat.st_size)


@dataclass(frozen=True, slots=True)
class Job:
    """Work for a sub-agent: in a few words for the person, and in full for the model."""

    description: str
    prompt: str


Delegate: TypeAlias = Callable[[Job], Awaitable[Outcome]]
"""Has a sub-agent do a job. Raises BudgetReached and ConfigurationError, which end the turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """What a run may use: `environment` is the child processes', `scratch` a folder for long output."""

    workspace: Workspace
    environment: Mapping[str, str]
    scratch: Path
    seen: FilesSeen
    emit: Callable[[str], None]
    """Shows a piece of live output to the person."""
    delegate: Delegate | None = None
    """None where there are no sub-agents, as inside of one."""


@runtime_checkable
class Tool(Protocol):
    """One tool, in one file. `intend` and `run` raise BadArguments for arguments that don't fit."""

    spec: ToolSpec

    def intend(self, arguments: Arguments, workspace: Workspace) -> Intent: ...

    async def run(self, arguments: Arguments, context: ToolContext) -> Outcome:
        """Do it. What fails as expected is an Outcome with `is_error`. Cancelling leaves no process."""
        ...
