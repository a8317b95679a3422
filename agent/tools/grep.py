"""The `grep` tool: lines that match a regular expression."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from agent.harmless import harmless, one_line
from agent.ripgrep import LAST, MISSING, STEADY, ripgrep
from agent.shell import run
from agent.tools.arguments import Fields
from agent.tools.contract import Arguments, Intent, Outcome, ToolContext
from agent.tools.read import failure, missing
from agent.workspace import Workspace
from providers.types import ToolSpec, canonical

SECONDS = 30
MATCHES = 200
CHARACTERS = 30_000
COLUMNS = 300
CONTEXT = 20


@dataclass(frozen=True, slots=True)
class Search:
    pattern: str
    path: Path
    glob: str
    ignore_case: bool
    context: int
    files_only: bool

    @classmethod
    def parse(cls, arguments: Arguments, workspace: Workspace) -> Search:
        names = ("pattern", "path", "glob", "ignore_case", "context", "files_only")
        fields = Fields.of("grep", arguments, *names)
        pattern, glob = fields.text("pattern"), fields.text("glob", "")
        if not pattern or "\0" in pattern:
            raise fields.wrong("pattern", pattern, "a regular expression")
        return cls(
            pattern=pattern,
            path=fields.path(workspace, default="."),
            glob=glob.replace("\0", ""),
            ignore_case=fields.flag("ignore_case"),
            context=min(fields.whole("context", 0), CONTEXT),
            files_only=fields.flag("files_only"),
        )

    def argv(self, program: str, root: Path) -> list[str]:
        """Sorted by path, so that a cut result is the same each time."""
        return [
            program,
            *STEADY,
            "--sort=path",
            *(["--ignore-case"] if self.ignore_case else []),
            *(
                ["--files-with-matches"]
                if self.files_only
                else ["--heading", "--line-number", "--with-filename"]
            ),
            *([f"--context={self.context}"] if self.context else []),
            f"--max-columns={COLUMNS}",
            "--max-columns-preview",
            *([f"--glob={self.glob}"] if self.glob else []),
            *LAST,
            f"--regexp={self.pattern}",
            "--",
            place(self.path, root),
        ]


class Grep:
    spec = ToolSpec(
        name="grep",
        description="Search file contents by regular expression. Files that .gitignore names are left out.",
        parameters=canonical(
            {
                "type": "object",
                "properties": {
                    "pattern": {"type": "string", "description": "Rust regex; escape ( { [ . to match them"},
                    "path": {"type": "string", "description": "file or folder, default the project"},
                    "glob": {"type": "string", "description": "only these files, e.g. *.py or !tests/**"},
                    "ignore_case": {"type": "boolean"},
                    "context": {"type": "integer", "description": "lines around each match"},
                    "files_only": {"type": "boolean", "description": "only the names of files that match"},
                },
                "required": ["pattern"],
            }
        ),
    )

    def intend(self, arguments: Arguments, workspace: Workspace) -> Intent:
        search = Search.parse(arguments, workspace)
        where = "" if search.path == workspace.root else f" in {workspace.show(search.path)}"
        return Intent(access="read", summary=one_line(f"grep {search.pattern}{where}"), paths=(search.path,))

    async def run(self, arguments: Arguments, context: ToolContext) -> Outcome:
        search = Search.parse(arguments, context.workspace)
        program = ripgrep()
        if program is None:
            return failure(MISSING)
        if not search.path.exists():
            return missing(search.path, context.workspace)
        root = context.workspace.root
        found = _Found(count_lines=search.files_only)
        ended = await run(
            search.argv(program, root),
            folder=root,
            environment=context.environment,
            seconds=SECONDS,
            take=found.take,
        )
        if ended.code == 2 and not found.matches:
            return failure(f"grep: {harmless(found.text).strip()}")
        return found.outcome(timed_out=ended.timed_out)


class _Found:
    """Ripgrep's output as it comes, up to what a model should read."""

    def __init__(self, *, count_lines: bool) -> None:
        self._count_lines = count_lines
        self._rest = b""
        self._lines: list[str] = []
        self._size = 0
        self.matches = 0
        self.full = False

    def take(self, piece: bytes) -> bool:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return all(self._add(line.decode("utf-8", errors="replace")) for line in lines)

    def _add(self, line: str) -> bool:
        """False when there is no more room."""
        number, colon, _ = line.partition(":")
        is_match = self._count_lines or (bool(colon) and number.isdecimal())
        if (is_match and self.matches == MATCHES) or self._size + len(line) > CHARACTERS:
            self.full = True
            return False
        self.matches += is_match
        self._size += len(line) + 1
        self._lines.append(line.removeprefix("./"))
        return True

    @property
    def text(self) -> str:
        return "\n".join(
            (*self._lines, *([self._rest.decode("utf-8", errors="replace")] if self._rest else []))
        )

    def outcome(self, *, timed_out: bool) -> Outcome:
        """What was found, and whether there is more."""
        what = "file" if self._count_lines else "match"
        plural = "s" if self._count_lines else "es"
        count = f"{self.matches} {what}{'' if self.matches == 1 else plural}"
        note = ""
        if self.full:
            note = f"[the first {count}, by path; narrow it with path, glob or pattern to see others]"
        elif timed_out:
            note = f"[{count} in {SECONDS} s, then it was stopped; narrow it with path or glob]"
        elif not self.matches:
            note = "[no matches]"
        text = "\n".join(part for part in (harmless("\n".join(self._lines)).strip("\n"), note) if part)
        return Outcome(text=text, display=count + (" and more" if self.full else ""))


def place(path: Path, root: Path) -> str:
    """A path as ripgrep gets it from the root: relative inside, so that results are."""
    return os.path.relpath(path, root) if path.is_relative_to(root) else str(path)
