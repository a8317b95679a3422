"""Who may do what: modes, always-rules, and the answer for one tool call."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.tools.contract import Intent
from providers.types import ToolCall


class Mode(StrEnum):
    """`plan` only reads · `ask` asks before changes · `edits` lets file edits in the project through · `auto` all."""

    PLAN = "plan"
    ASK = "ask"
    EDITS = "edits"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Rule:
    """A narrow standing permission: a tool, and for the shell the command's leading words (`git status`)."""

    tool: str
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.tool}({' '.join(self.words)})" if self.words else self.tool


@dataclass(frozen=True, slots=True)
class PermissionRequest:
    """A question for the person. `rule` is what "always" would grant, None where nothing narrow enough exists."""

    call: ToolCall
    intent: Intent
    reason: str
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class PermissionAnswer:
    """`remember` grants the request's rule from now on; `feedback` is the person's word to the model."""

    allow: bool
    remember: bool = False
    feedback: str = ""
