"""Which tools a session has: the built-in ones and what other packages add."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.tools.bash import Bash
from agent.tools.contract import Tool
from agent.tools.edit import Edit
from agent.tools.glob import Glob
from agent.tools.grep import Grep
from agent.tools.ls import Ls
from agent.tools.read import Read
from agent.tools.task import Task
from agent.tools.write import Write
from providers.types import ToolSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "cachet.tools"
"""The entry-point group; each names an object that is a Tool."""


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Tools in an order that stays the same between runs: their specs are part of the cached prefix."""

    tools: tuple[Tool, ...]
    problems: tuple[str, ...] = ()
    """One line for each tool of another package that could not be used."""

    @classmethod
    def standard(cls) -> Toolbox:
        """The built-in tools, then those of other packages by name. A broken one is left out and named."""
        return cls((Read(), Write(), Edit(), Bash(), Grep(), Glob(), Ls(), Task())).with_plugins(_installed())

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self.tools)

    def find(self, name: str) -> Tool | None:
        return next((tool for tool in self.tools if tool.spec.name == name), None)

    def without(self, names: Iterable[str]) -> Toolbox:
        gone = frozenset(names)
        return Toolbox(tuple(tool for tool in self.tools if tool.spec.name not in gone), self.problems)

    def with_plugins(self, points: Iterable[EntryPoint]) -> Toolbox:
        """Also the tools that the entry points name."""
        tools, problems = list(self.tools), list(self.problems)
        for point in sorted(points, key=lambda point: (point.name, point.value)):
            try:
                tools.append(_checked(point.load(), tools))
            except Exception as error:  # another package's code: whatever it does must not stop a session
                cause = f"{type(error).__name__}: {error}"
                problems.append(f"The tool {point.name} ({point.value}) is left out: {cause}")
        return Toolbox(tuple(tools), tuple(problems))


def _installed() -> Iterable[EntryPoint]:
    """The entry points of other packages. Looking for any is quicker than importing what reads them."""
    if not any(f"[{GROUP}]".encode() in declared for declared in _declarations()):
        return ()
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def _declarations() -> Iterator[bytes]:
    for folder in sys.path:
        for pattern in ("*.dist-info/entry_points.txt", "*.egg-info/entry_points.txt"):
            for file in Path(folder).glob(pattern):
                with contextlib.suppress(OSError):
                    yield file.read_bytes()


def _checked(tool: object, others: list[Tool]) -> Tool:
    """Raises TypeError or ValueError for what no provider would take or no session could run."""
    if not isinstance(tool, Tool):
        raise TypeError("it is not an object with `spec`, `intend` and `run`")
    match tool.spec:
        case ToolSpec(name, _, parameters) if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            pass
        case spec:
            raise ValueError(f"its spec is {spec!r}, no ToolSpec with a name of letters, digits, _ and -")
    if any(other.spec.name == name for other in others):
        raise ValueError(f"there is already a tool named {name}")
    if not isinstance(json.loads(parameters), dict):
        raise ValueError("its parameters are not a JSON schema object")
    return tool
