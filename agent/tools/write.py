"""The `write` tool: makes a file, or replaces one whole."""

from __future__ import annotations

from pathlib import Path

from agent.harmless import one_line, visible
from agent.secrets import MASK
from agent.tools.arguments import Fields
from agent.tools.contract import Arguments, BadArguments, Intent, Outcome, ToolContext
from agent.tools.difference import shortened, tally, unified
from agent.tools.read import failure
from agent.tools.replacing import replace_bytes
from agent.tools.textfile import WHOLE_LIMIT, NotText, TextFile
from agent.workspace import Workspace
from providers.types import ToolSpec, canonical


class Write:
    spec = ToolSpec(
        name="write",
        description="Create a file, or replace a whole file that you have read. Prefer edit for changes.",
        parameters=canonical(
            {
                "type": "object",
                "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
                "required": ["path", "content"],
            }
        ),
    )

    def intend(self, arguments: Arguments, workspace: Workspace) -> Intent:
        path, content = self._parse(arguments, workspace)
        name = one_line(workspace.show(path))
        try:
            before = existing(path)
        except (OSError, NotText):
            before = None
        preview = shortened(unified(before.text if before else "", content, workspace.show(path)), 2_000)
        verb = "replace" if path.exists() else "create"
        return Intent(access="write", summary=f"{verb} {name}", paths=(path,), preview=preview)

    async def run(self, arguments: Arguments, context: ToolContext) -> Outcome:
        path, content = self._parse(arguments, context.workspace)
        name = visible(context.workspace.show(path))
        try:
            if path.exists() and (refusal := unread(path, name, context)):
                return failure(refusal)
            before = existing(path)
            after, note = _as_before(before, content)
            if MASK in content and MASK not in (before.text if before else ""):
                return failure(masked(name))
            replace_bytes(path, after.encode())
            context.seen.note(path)
        except (NotText, UnicodeEncodeError) as error:
            return failure(f"{name} was not written: {error}.")
        except OSError as error:
            return failure(f"{name} can't be written: {error.strerror or error}")
        diff = unified(before.text if before else "", content, context.workspace.show(path))
        done = f"Replaced {name}" if before else f"Created {name}"
        return Outcome(text=f"{done} ({tally(diff)} lines{note}).", display=f"{done} {tally(diff)}")

    def _parse(self, arguments: Arguments, workspace: Workspace) -> tuple[Path, str]:
        fields = Fields.of("write", arguments, "path", "content")
        path, content = fields.path(workspace), fields.text("content")
        if path.is_dir():
            raise BadArguments(f"write: {workspace.show(path)} is a folder; path must name a file.")
        return path, content


def existing(path: Path) -> TextFile | None:
    """The file as it is; None when there is none. Raises OSError and NotText."""
    try:
        if path.exists() and not path.is_file():
            raise NotText("it is not a regular file")
        if path.stat().st_size > WHOLE_LIMIT:
            raise NotText(f"it is larger than {WHOLE_LIMIT:,} bytes; change it with bash")
        return TextFile.decode(path.read_bytes())
    except FileNotFoundError:
        return None


def unread(path: Path, name: str, context: ToolContext) -> str:
    """Why a file must be read before it is changed; empty when the model has seen it as it is."""
    if not context.seen.knows(path):
        return f"{name} exists and you have not read it in this session: read it first."
    if context.seen.changed(path):
        return f"{name} has changed on disk since you read it: read it again, then change it."
    return ""


def masked(name: str) -> str:
    return (
        f"{name} was not changed: {MASK} stands for a secret that you were not shown; writing it would "
        "overwrite that secret. Use edit on the lines around it."
    )


def _as_before(before: TextFile | None, content: str) -> tuple[TextFile, str]:
    """The new text in the encoding and with the line ends that the file has, and a note on what was kept."""
    if before is None:
        return TextFile(content), ""
    if before.crlf:
        content = content.replace("\r\n", "\n").replace("\n", "\r\n")
    after = before.with_text(content)
    try:
        after.encode()
    except UnicodeEncodeError:
        return TextFile(content), f"; now UTF-8, was {before.peculiarity}"
    return after, f"; kept {before.peculiarity}" if before.peculiarity else ""
