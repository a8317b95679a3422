"""Who may do what: modes, always-rules, and the answer for one tool call."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from agent.commands import leads, mentions, standing_words
from agent.harmless import one_line
from agent.tools.contract import Intent
from agent.workspace import Workspace
from providers.types import ToolCall

SENSITIVE = """
    .git .cachet .ssh .gnupg .envrc .bashrc .bash_profile .profile .zshrc .zshenv .zprofile .gitconfig
"""
"""Names inside a project whose content decides what runs later or who may do what: changes always ask."""

SHELL = "bash"
"""The tool whose rules may have words."""


class Mode(StrEnum):
    """`plan` only reads · `ask` asks before changes · `edits` lets edits in the project pass · `auto` all."""

    PLAN = "plan"
    ASK = "ask"
    EDITS = "edits"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Rule:
    """A narrow standing permission: a tool, and for the shell the command's leading words (`git status`)."""

    tool: str
    words: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Rule:
        """`read`, `bash(git status)`; a trailing ` *` or `:*` changes nothing. Raises ValueError."""
        match = re.fullmatch(r"([\w.-]+)(?:\((.*?)(?::\*|\s\*)?\))?", text.strip())
        words = tuple((match[2] or "").split()) if match else ()
        if match is None or (
            match[2] is not None and (match[1] != SHELL or not words or set("()*") & set(match[2]))
        ):
            raise ValueError(f"not a rule: {text!r} (want a tool's name, or a command: 'bash(git status)')")
        return cls(match[1], words)

    def allows(self, call: ToolCall, intent: Intent) -> bool:
        """Whether the rule covers the call. Words cover one simple command that begins with them."""
        return self.tool == call.name and (not self.words or leads(self.words, intent.command))

    def forbids(self, call: ToolCall, intent: Intent) -> bool:
        """Whether, as a denial, it covers the call: words count wherever they stand in a command."""
        return self.tool == call.name and (not self.words or mentions(self.words, intent.command))

    def __str__(self) -> str:
        return f"{self.tool}({' '.join(self.words)})" if self.words else self.tool


@dataclass(frozen=True, slots=True)
class PermissionRequest:
    """A question for the person. `rule` is what "always" would grant, None where nothing is narrow enough."""

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


@dataclass(frozen=True, slots=True)
class Allowed:
    """The call may run without a question."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The call must not run; `reason` is for the model."""

    reason: str


Decision: TypeAlias = Allowed | Denied | PermissionRequest


@dataclass(frozen=True, slots=True)
class Policy:
    """What one session may do. `allow` and `deny` are rules as `Rule.parse` reads them, given at the start.

    From strongest to weakest: a denial; the project's border and the sensitive files in it, which always ask;
    plan mode, which changes nothing; then the allowances, the always-rules and the mode.
    """

    mode: Mode
    workspace: Workspace
    rules: tuple[Rule, ...] = ()
    """What "always" granted for this project."""
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    readable: tuple[Path, ...] = ()
    """Real paths of folders outside that may be read without asking: where tools put their long output."""
    home: Path | None = None
    """Cachet's own folder, whose files grant permissions: changes in it ask, also inside the project."""

    def __post_init__(self) -> None:
        """Raises ValueError for a rule that can't be read."""
        for text in self.allow | self.deny:
            Rule.parse(text)

    def decide(self, call: ToolCall, intent: Intent) -> Decision:
        """The answer for one call. Paths are judged by where their symlinks lead."""
        for denial in sorted(self.deny):
            if Rule.parse(denial).forbids(call, intent):
                return Denied(f"The person denied {denial}. Find another way, or say what can't be done.")
        if self.mode is Mode.PLAN and intent.access != "read":
            return Denied(
                f"Plan mode only reads, so {call.name} did not run. Read on, then answer with the plan: "
                "the person decides when it is carried out."
            )
        if reason := self._crossing(intent):
            return PermissionRequest(call, intent, reason, None)
        if intent.access == "read" or self.mode is Mode.AUTO or self._granted(call, intent):
            return Allowed()
        if self.mode is Mode.EDITS and intent.access == "write" and intent.paths:
            return Allowed()
        return PermissionRequest(call, intent, _what(intent), standing_rule(call, intent))

    def with_rule(self, rule: Rule) -> Policy:
        return self if rule in self.rules else replace(self, rules=(*self.rules, rule))

    def with_mode(self, mode: Mode) -> Policy:
        return replace(self, mode=mode)

    def _granted(self, call: ToolCall, intent: Intent) -> bool:
        allowances = (Rule.parse(text) for text in self.allow)
        return any(rule.allows(call, intent) for rule in (*self.rules, *allowances))

    def _crossing(self, intent: Intent) -> str:
        """Why the call asks in every mode; empty when it stays within bounds."""
        verb = "reads" if intent.access == "read" else "changes"
        for path in intent.paths:
            if not self.workspace.holds(path) and not (intent.access == "read" and self._readable(path)):
                real = path.resolve()
                led = "" if real == path else f" (leads to {one_line(str(real))})"
                return f"{verb} {one_line(str(path))}{led}, which is outside the project"
            if intent.access != "read" and self.home and path.resolve().is_relative_to(self.home.resolve()):
                return f"changes {one_line(self.workspace.show(path))}, which is Cachet's own"
            if intent.access != "read" and (name := self._sensitive(path)):
                return f"changes {one_line(self.workspace.show(path))}: {name} decides what runs later"
        return ""

    def _readable(self, path: Path) -> bool:
        real = path.resolve()
        return any(real.is_relative_to(place) for place in self.readable)

    def _sensitive(self, path: Path) -> str:
        """The sensitive name on the way to the path, as written or as its symlinks lead; else ""."""
        for place in (self.workspace.root, *self.workspace.added):
            for way in (path, path.resolve()):
                parts = way.relative_to(place).parts if way.is_relative_to(place) else ()
                for part in parts:
                    if part.casefold() in SENSITIVE.split():
                        return part
        return ""


def _what(intent: Intent) -> str:
    if intent.access == "write":
        return "changes files"
    return "runs a command" if intent.command else "may change things"


def standing_rule(call: ToolCall, intent: Intent) -> Rule | None:
    """What "always" would grant for the call; None where nothing narrow enough exists."""
    if not intent.command:
        return Rule(call.name)
    words = standing_words(intent.command) if call.name == SHELL else None
    return None if words is None else Rule(call.name, words)
