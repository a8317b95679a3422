"""What a turn works with: the model's end, the tools' end, and how to retry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.host import Purpose
from agent.room import Gauge
from agent.tools.contract import FilesSeen
from agent.tools.toolbox import Toolbox
from agent.workspace import Workspace
from providers.provider import Provider
from providers.retry import Retry
from providers.types import Prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    provider: Provider
    prefix: Prefix
    toolbox: Toolbox
    workspace: Workspace
    environment: Mapping[str, str]
    """The child processes' environment, without provider keys."""
    scratch: Path
    """A folder for output too long to send."""
    seen: FilesSeen = field(default_factory=FilesSeen)
    retry: Retry = field(default_factory=Retry)
    purpose: Purpose = "main"
    answer_tokens: int | None = None
    """The most tokens of one answer in the main conversation, below what the prefix says; None for that."""
    gauge: Gauge | None = None
    """How full the context window is. None: the conversation is never compacted by itself."""
