"""The `glob` tool: files by the shape of their path."""

from __future__ import annotations

import os
import re
from pathlib import Path

from agent.harmless import one_line, visible
from agent.ripgrep import LAST, MISSING, STEADY, ripgrep
from agent.shell import run
from agent.tools.arguments import Fields
from agent.tools.contract import Arguments, Intent, Outcome, ToolContext
from agent.tools.grep import place
from agent.tools.pattern import matcher
from agent.tools.read import failure, missing
from agent.workspace import Workspace
from providers.types import ToolSpec, canonical

SECONDS = 30
SHOWN = 200


class Glob:
    spec = ToolSpec(
        name="glob",
        description="Find files by pattern, newest first. Files that .gitignore names are left out.",
        parameters=canonical(
            {
                "type": "object",
                "properties": {
                    "pattern": {"type": "string", "description": "e.g. **/*.py, src/**/test_*.{ts,tsx}"},
                    "path": {"type": "string", "description": "folder, default the project"},
                },
                "required": ["pattern"],
            }
        ),
    )

    def intend(self, arguments: Arguments, workspace: Workspace) -> Intent:
        pattern, path = self._parse(arguments, workspace)[1:]
        where = "" if path == workspace.root else f" in {workspace.show(path)}"
        return Intent(access="read", summary=one_line(f"glob {pattern}{where}"), paths=(path,))

    async def run(self, arguments: Arguments, context: ToolContext) -> Outcome:
        import asyncio

        wanted, _, folder = self._parse(arguments, context.workspace)
        program = ripgrep()
        if program is None:
            return failure(MISSING)
        if not folder.exists():
            return missing(folder, context.workspace)
        if not folder.is_dir():
            return failure(f"{visible(context.workspace.show(folder))} is a file: path must be a folder.")
        listing = _Listing()
        ended = await run(
            [program, *STEADY, "--files", "--null", *LAST, "--", place(folder, context.workspace.root)],
            folder=context.workspace.root,
            environment=context.environment,
            seconds=SECONDS,
            take=listing.take,
        )
        found = await asyncio.to_thread(
            _newest_first, listing.paths(), wanted, context.workspace.root, folder
        )
        return _outcome(found, context.workspace, timed_out=ended.timed_out)

    def _parse(self, arguments: Arguments, workspace: Workspace) -> tuple[re.Pattern[str], str, Path]:
        fields = Fields.of("glob", arguments, "pattern", "path")
        pattern = fields.text("pattern")
        folder = fields.path(workspace, default=".")
        if Path(pattern).is_absolute() and Path(pattern).is_relative_to(folder):
            pattern = str(Path(pattern).relative_to(folder))
        wanted = matcher(pattern)
        if wanted is None:
            raise fields.wrong("pattern", pattern, "a glob such as **/*.py, relative to path")
        return wanted, pattern, folder


class _Listing:
    """Ripgrep's list of files as it comes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def take(self, piece: bytes) -> bool:
        self._pieces.append(piece)
        return True

    def paths(self) -> list[Path]:
        return [Path(os.fsdecode(name)) for name in b"".join(self._pieces).split(b"\0")[:-1]]


def _newest_first(paths: list[Path], wanted: re.Pattern[str], root: Path, folder: Path) -> list[Path]:
    """The paths that match from the folder on, by modification time and then by path."""
    found: list[tuple[int, str, Path]] = []
    for path in paths:
        absolute = root / path
        if wanted.fullmatch(os.path.relpath(absolute, folder)):
            try:
                changed = absolute.stat(follow_symlinks=False).st_mtime_ns
            except OSError:
                continue
            found.append((-changed, str(absolute), absolute))
    return [path for _, _, path in sorted(found)]


def _outcome(found: list[Path], workspace: Workspace, *, timed_out: bool) -> Outcome:
    lines = [visible(workspace.show(path)).replace("\n", "\\n") for path in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"[the newest {SHOWN} of {len(found)} files; narrow the pattern to see others]")
    if timed_out:
        lines.append(f"[stopped after {SECONDS} s: there may be more; narrow it with path]")
    count = f"{len(found)} file{'' if len(found) == 1 else 's'}"
    return Outcome(text="\n".join(lines) or "[no files match]", display=count)
