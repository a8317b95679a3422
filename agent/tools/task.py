"""The `task` tool: hands one job to a sub-agent, which has a conversation of its own."""

from __future__ import annotations

from agent.harmless import one_line
from agent.tools.arguments import Fields
from agent.tools.contract import Arguments, Intent, Job, Outcome, ToolContext
from agent.tools.read import failure
from agent.workspace import Workspace
from providers.types import ToolSpec, canonical


class Task:
    spec = ToolSpec(
        name="task",
        description=(
            "Hand a search, a review or another job that would fill this conversation to a sub-agent. It "
            "knows only the prompt, has these tools, and gives one answer. Tasks of one step run side by "
            "side."
        ),
        parameters=canonical(
            {
                "type": "object",
                "properties": {"description": {"type": "string"}, "prompt": {"type": "string"}},
                "required": ["description", "prompt"],
            }
        ),
    )

    def intend(self, arguments: Arguments, workspace: Workspace) -> Intent:
        """It changes nothing by itself: each tool that the sub-agent calls is permitted on its own."""
        return Intent(access="read", summary=f"task: {one_line(self._parse(arguments).description)}")

    async def run(self, arguments: Arguments, context: ToolContext) -> Outcome:
        job = self._parse(arguments)
        if context.delegate is None:
            return failure("task is not available inside a task. Do the work here, with the other tools.")
        return await context.delegate(job)

    def _parse(self, arguments: Arguments) -> Job:
        fields = Fields.of("task", arguments, "description", "prompt")
        job = Job(fields.text("description"), fields.text("prompt"))
        if not job.prompt.strip():
            raise fields.wrong("prompt", job.prompt, "what the sub-agent shall do")
        return job
