"""The `ls` tool: what is in a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from agent.harmless import one_line, visible
from agent.tools.arguments import Fields
from agent.tools.contract import Arguments, Intent, Outcome, ToolContext
from agent.tools.read import failure, missing
from agent.workspace import Workspace
from providers.types import ToolSpec, canonical

SHOWN = 500


class Ls:
    spec = ToolSpec(
        name="ls",
        description="List a folder: names with sizes in bytes; folders end in /.",
        parameters=canonical({"type": "object", "properties": {"path": {"type": "string"}}}),
    )

    def intend(self, arguments: Arguments, workspace: Workspace) -> Intent:
        path = self._parse(arguments, workspace)
        return Intent(access="read", summary=f"ls {one_line(workspace.show(path))}", paths=(path,))

    async def run(self, arguments: Arguments, context: ToolContext) -> Outcome:
        path = self._parse(arguments, context.workspace)
        try:
            if path.exists() and not path.is_dir():
                return Outcome(text=_described(path.name, path), display="1 file")
            names = sorted(os.listdir(path))
        except FileNotFoundError:
            return missing(path, context.workspace)
        except OSError as error:
            return failure(
                f"{visible(context.workspace.show(path))} can't be listed: {error.strerror or error}"
            )
        lines = [_described(name, path / name) for name in names[:SHOWN]]
        if len(names) > SHOWN:
            lines.append(f"[the first {SHOWN} of {len(names)} entries; glob finds others]")
        count = f"{len(names)} {'entry' if len(names) == 1 else 'entries'}"
        return Outcome(text="\n".join(lines) or "[empty folder]", display=count)

    def _parse(self, arguments: Arguments, workspace: Workspace) -> Path:
        return Fields.of("ls", arguments, "path").path(workspace, default=".")


def _described(name: str, path: Path) -> str:
    """One entry on one line: `src/`, `app.py  1204`, `link -> target`."""
    shown = visible(name).replace("\n", "\\n")
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            return f"{shown} -> {one_line(os.readlink(path))}"
    except OSError:
        return shown
    if stat.S_ISDIR(found.st_mode):
        return f"{shown}/"
    return f"{shown}  {found.st_size}" if stat.S_ISREG(found.st_mode) else f"{shown}  (special file)"
