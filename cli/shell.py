"""Runs a command the person typed after `!`, with its output live."""

from __future__ import annotations

from agent.events import ToolOutput, ToolStarted
from agent.harmless import harmless
from agent.secrets import child_environment
from agent.tools.bash import LONGEST, Bash
from agent.tools.contract import FilesSeen, ToolContext
from cli.desk import Desk
from providers.call import new_id
from providers.types import ToolCall, canonical


async def run_shell(desk: Desk, command: str, *, shared: bool) -> None:
    """Run it in the project. `shared` puts command and output before the next prompt."""
    session = desk.session
    arguments = {"command": command, "timeout": LONGEST}
    call = ToolCall(new_id("shell"), "bash", canonical(arguments))
    desk.screen.show(ToolStarted(call, f"$ {harmless(command)}"))

    def emit(text: str) -> None:
        desk.screen.show(ToolOutput(call.id, harmless(text)))
        desk.prompt.refresh()

    context = ToolContext(
        workspace=session.setup.workspace,
        environment=child_environment(session.setup.environ, pass_env=session.setup.pass_env),
        scratch=session.setup.home / "scratch" / session.id,
        seen=FilesSeen(),
        emit=emit,
    )
    outcome = await Bash().run(arguments, context)
    text = harmless(outcome.text)
    desk.screen.output(call.id, text)
    if shared:
        session.add_context(f"The person ran `{command}`:\n```\n{text}\n```")
