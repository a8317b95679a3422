"""Turns a model's arguments into typed values, or says which one is wrong, what came and what is wanted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from agent.tools.contract import Arguments, BadArguments
from agent.workspace import Workspace
from providers.types import JSON


@dataclass(frozen=True, slots=True)
class Fields:
    """One call's arguments. `null` counts as left out. Every reader raises BadArguments."""

    tool: str
    given: Arguments

    @classmethod
    def of(cls, tool: str, arguments: Arguments, *known: str) -> Fields:
        """Raises BadArguments when there is an argument that the tool doesn't know."""
        for name in arguments:
            if name not in known:
                raise BadArguments(f"{tool}: there is no argument {name!r}. It takes: {', '.join(known)}.")
        return cls(tool, arguments)

    def text(self, name: str, default: str | None = None) -> str:
        """A string; required where there is no default."""
        value = self.given.get(name)
        if value is None:
            if default is None:
                raise BadArguments(f"{self.tool}: {name} is missing (a string).")
            return default
        if not isinstance(value, str):
            raise self.wrong(name, value, "a string")
        return value

    def whole(self, name: str, default: int, *, least: int = 0) -> int:
        """A whole number of at least `least`; `"10"` and `10.0` count as 10."""
        value = self.given.get(name)
        if value is None:
            return default
        number = _whole(value)
        if number is None or number < least:
            raise self.wrong(name, value, f"a whole number, {least} or more")
        return number

    def flag(self, name: str) -> bool:
        """true or false; left out means false."""
        value = self.given.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise self.wrong(name, value, "true or false")

    def path(self, workspace: Workspace, name: str = "path", default: str | None = None) -> Path:
        """The absolute path that is meant, symlinks not resolved; `resolve` will work on it."""
        text = self.text(name, default)
        if not text.strip() or "\0" in text:
            raise self.wrong(name, text, "a path")
        try:
            path = workspace.locate(text)
            path.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a loop of symlinks, an unknown ~user
            raise BadArguments(f"{self.tool}: {name} {text[:200]!r} can't be used: {error}") from None
        return path

    def wrong(self, name: str, value: JSON, wanted: str) -> BadArguments:
        came = json.dumps(value, ensure_ascii=False, default=str)
        return BadArguments(
            f"{self.tool}: {name} is {came if len(came) < 80 else came[:79] + '…'}; want {wanted}."
        )


def _whole(value: JSON) -> int | None:
    match value:
        case bool():
            return None
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if value.strip().isdecimal() and len(value) < 20:
            return int(value)
    return None
