"""The `edit` tool: replaces an exact piece of a file's text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from agent.harmless import one_line, visible
from agent.secrets import MASK
from agent.tools.arguments import Fields
from agent.tools.contract import Arguments, BadArguments, Intent, Outcome, ToolContext
from agent.tools.difference import shortened, tally, unified
from agent.tools.nearest import near_passages
from agent.tools.read import failure, missing
from agent.tools.replacing import replace_bytes
from agent.tools.textfile import NotText, TextFile
from agent.tools.write import existing, masked, unread
from agent.workspace import Workspace
from providers.types import ToolSpec, canonical

PLACES_NAMED = 10


class NoSuchPlace(ValueError):
    """The text to replace is not there, or not once: `lines` are where it begins."""

    def __init__(self, lines: tuple[int, ...]) -> None:
        super().__init__(f"occurs {len(lines)} times")
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Change:
    """One replacement, with LF line ends."""

    path: Path
    old: str
    new: str
    everywhere: bool

    @classmethod
    def parse(cls, arguments: Arguments, workspace: Workspace) -> Change:
        fields = Fields.of("edit", arguments, "path", "old", "new", "all")
        path = fields.path(workspace)
        old, new = (fields.text(name).replace("\r\n", "\n") for name in ("old", "new"))
        if not old:
            raise BadArguments(
                "edit: old is empty; give the exact text to replace, or create a file with write."
            )
        if old == new:
            raise BadArguments("edit: old and new are the same; nothing would change.")
        return cls(path, old, new, fields.flag("all"))

    def applied(self, file: TextFile) -> tuple[TextFile, tuple[int, ...]]:
        """The file with the change, and the lines where it was made. Raises NoSuchPlace.

        Line ends match whatever they are in the file and new ones are the file's own; all else stays byte for
        byte.
        """
        pattern = re.escape(self.old).replace("\\\n", "\n").replace("\n", "\r?\n")
        places = list(re.finditer(pattern, file.text))
        lines = _line_numbers(file.text, [place.start() for place in places])
        if not places or (len(places) > 1 and not self.everywhere):
            raise NoSuchPlace(lines)
        newline = "\r\n" if file.text.count("\r\n") * 2 > file.text.count("\n") else "\n"
        new = self.new.replace("\n", newline)
        return file.with_text(re.sub(pattern, lambda _: new, file.text)), lines


class Edit:
    spec = ToolSpec(
        name="edit",
        description="Replace exact text in a file you have read. old must occur once, unless all is true.",
        parameters=canonical(
            {
                "type": "object",
                "properties": {
                    "path": {"type": "string"},
                    "old": {
                        "type": "string",
                        "description": "exact text with its indentation, no line numbers",
                    },
                    "new": {"type": "string"},
                    "all": {"type": "boolean", "description": "replace every occurrence"},
                },
                "required": ["path", "old", "new"],
            }
        ),
    )

    def intend(self, arguments: Arguments, workspace: Workspace) -> Intent:
        change = Change.parse(arguments, workspace)
        name = workspace.show(change.path)
        try:
            before = existing(change.path)
            after = change.applied(before)[0] if before else None
            preview = unified(before.text, after.text, name) if before and after else ""
        except (OSError, NotText, NoSuchPlace):
            preview = ""  # running it will say what is wrong
        return Intent(
            access="write",
            summary=f"edit {one_line(name)}",
            paths=(change.path,),
            preview=shortened(preview, 2_000) or unified(change.old, change.new, name),
        )

    async def run(self, arguments: Arguments, context: ToolContext) -> Outcome:
        import asyncio

        change = Change.parse(arguments, context.workspace)
        before: TextFile | None = None
        name = visible(context.workspace.show(change.path))
        try:
            before = existing(change.path)
            if before is None:
                return missing(change.path, context.workspace)
            if refusal := unread(change.path, name, context):
                return failure(refusal)
            after, lines = change.applied(before)
            if MASK in change.new and MASK not in before.text:
                return failure(masked(name))
            replace_bytes(change.path, after.encode())
            context.seen.note(change.path)
        except NoSuchPlace as error:
            why = await asyncio.to_thread(_explained, before.plain if before else "", change.old, error.lines)
            return failure(f"{name} was not changed: {why}")
        except UnicodeEncodeError as error:
            letter = error.object[error.start]
            return failure(
                f"{name} was not changed: {error.encoding} has no {letter!r}. "
                "Leave it out, or convert the file first, with iconv in bash."
            )
        except NotText as error:
            return failure(f"{name} can't be edited: {error}.")
        except OSError as error:
            return failure(f"{name} can't be edited: {error.strerror or error}")
        diff = unified(before.text, after.text, context.workspace.show(change.path))
        where = f"line {lines[0]}" if len(lines) == 1 else f"{len(lines)} places, from line {lines[0]}"
        return Outcome(text=f"Edited {name} ({where}; {tally(diff)}).", display=shortened(diff))


def _line_numbers(text: str, positions: list[int]) -> tuple[int, ...]:
    numbers: list[int] = []
    line, passed = 1, 0
    for position in positions:
        line += text.count("\n", passed, position)
        passed = position
        numbers.append(line)
    return tuple(numbers)


def _explained(text: str, old: str, lines: tuple[int, ...]) -> str:
    return _not_unique(text, lines) if lines else _not_found(text, old)


def _not_unique(text: str, lines: tuple[int, ...]) -> str:
    rows = text.split("\n")
    named = "\n".join(f"{line}\t{visible(rows[line - 1][:200])}" for line in lines[:PLACES_NAMED])
    return (
        f"`old` occurs {len(lines)} times. Add lines around it until it occurs once, or set all to true. "
        f"It begins at:\n{named}" + ("\n…" if len(lines) > PLACES_NAMED else "")
    )


def _not_found(text: str, old: str) -> str:
    hints = ["`old` is not in it."]
    if MASK in old:
        hints.append(f"{MASK} stands for a masked secret and can't be matched: choose lines around it.")
    if all(re.match(r"\s*\d+\t", line) for line in old.strip("\n").split("\n")):
        hints.append("Leave out the line numbers that read shows.")
        old = "\n".join(re.sub(r"^\s*\d+\t", "", line) for line in old.split("\n"))
    passages = near_passages(text, old)
    if not passages:
        hints.append("Nothing in it is much like it: read the file again.")
    elif passages[0].same_words:
        hints.append("Only the whitespace differs here (copy it exactly):")
    else:
        hints.append("The nearest text is:")
    return "\n".join((" ".join(hints), *(visible(passage.numbered()) for passage in passages)))
