"""The `bash` tool: runs a shell command in the project's folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from uuid import uuid4

from agent.harmless import one_line, visible
from agent.shell import Ended, run
from agent.tools.arguments import Fields
from agent.tools.contract import Arguments, Intent, Outcome, ToolContext
from agent.tools.output import Output
from agent.tools.read import failure
from agent.workspace import Workspace
from providers.types import ToolSpec, canonical

SECONDS = 120
LONGEST = 600

NO_TERMINAL: Mapping[str, str] = {
    "TERM": "dumb",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
}
"""There is nobody to page for or to answer a prompt."""


def shell() -> str:
    """The shell that commands run in: bash, the system's before one on the PATH; else `sh`."""
    return shutil.which("bash", path="/bin:/usr/bin:/usr/local/bin") or shutil.which("bash") or "/bin/sh"


class Bash:
    spec = ToolSpec(
        name="bash",
        description=(
            "Run a bash command in the project's root, each time in a fresh shell without input. "
            "Output is stdout and stderr; long output is cut in the middle and kept in a file. "
            "End a server's command with & to leave it running. "
            "Use read, grep, glob and edit rather than cat, grep, find and sed."
        ),
        parameters=canonical(
            {
                "type": "object",
                "properties": {
                    "command": {"type": "string"},
                    "timeout": {
                        "type": "integer",
                        "description": f"seconds, default {SECONDS}, at most {LONGEST}",
                    },
                },
                "required": ["command"],
            }
        ),
    )

    def intend(self, arguments: Arguments, workspace: Workspace) -> Intent:
        command, _ = self._parse(arguments)
        return Intent(
            access="execute", summary=f"$ {one_line(command)}", command=command, preview=visible(command)
        )

    async def run(self, arguments: Arguments, context: ToolContext) -> Outcome:
        command, seconds = self._parse(arguments)
        output = Output(context.scratch, f"bash-{uuid4().hex[:12]}.txt", context.emit)
        try:
            ended = await run(
                [shell(), "-c", command],
                folder=context.workspace.root,
                environment={**context.environment, **NO_TERMINAL},
                seconds=seconds,
                take=output.take,
            )
        except OSError as error:
            return failure(
                f"The shell could not be started in {context.workspace.root}: {error.strerror or error}"
            )
        finally:
            output.close()
        return _outcome(output, ended, seconds)

    def _parse(self, arguments: Arguments) -> tuple[str, int]:
        fields = Fields.of("bash", arguments, "command", "timeout")
        command = fields.text("command")
        if not command.strip() or "\0" in command:
            raise fields.wrong("command", command, "a command")
        return command, min(fields.whole("timeout", SECONDS, least=1), LONGEST)


def _outcome(output: Output, ended: Ended, seconds: int) -> Outcome:
    notes = []
    if ended.timed_out:
        notes.append(f"stopped after {seconds} s with everything it started; timeout may be up to {LONGEST}")
    elif ended.code < 0:
        notes.append(f"ended by signal {-ended.code}")
    elif ended.code:
        notes.append(f"exit code {ended.code}")
    if ended.background:
        notes.append(f"still running in the background; to stop it: kill -- -{ended.group}")
    said = output.finish().strip("\n")
    note = f"[{'; '.join(notes)}]" if notes else ""
    text = "\n".join(part for part in (said, note) if part) or "[no output]"
    lines = f"{output.lines} line{'' if output.lines == 1 else 's'}"
    return Outcome(
        text=text,
        display=" · ".join((lines, *notes)),
        is_error=ended.timed_out or ended.code != 0,
    )
