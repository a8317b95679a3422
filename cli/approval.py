"""Asks the person whether a tool may run, showing all that it would do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rich.text import Text

from agent.harmless import one_line, visible
from agent.permissions import PermissionAnswer, PermissionRequest
from cli.input import Prompt
from cli.paint import coloured_diff, is_diff
from cli.paste import plain
from cli.question import Choice, Chosen, Dismissed, Question, Reason
from cli.screen import Screen


class Approval:
    """One question at a time. `stop` ends the turn."""

    def __init__(self, prompt: Prompt, screen: Screen, stop: Callable[[], None]) -> None:
        self._prompt = prompt
        self._screen = screen
        self._stop = stop
        self._one = asyncio.Lock()

    async def ask(self, request: PermissionRequest) -> PermissionAnswer:
        """The person's answer. Typing a reason denies with it; Esc denies and stops the turn."""
        async with self._one:
            self._show(request)
            return self._answer(await self._prompt.ask(_question(request)), request)

    def _show(self, request: PermissionRequest) -> None:
        """Print the whole diff or command: nothing that is agreed to may be out of sight."""
        intent = request.intent
        head = Text.assemble(
            ("? ", "bold yellow"), (one_line(intent.summary), "bold"), f" · {request.reason}"
        )
        body = visible(intent.preview or intent.command).strip("\n")
        if body in intent.summary:
            self._screen.print(head)
        elif is_diff(body):
            self._screen.print(head, coloured_diff(body))
            self._screen.previewed(request.call.id)
        else:
            self._screen.print(head, Text("\n".join(f"  {line}" for line in body.splitlines())))

    def _answer(self, reply: Chosen | Reason | Dismissed, request: PermissionRequest) -> PermissionAnswer:
        match reply:
            case Chosen("y"):
                return PermissionAnswer(allow=True)
            case Chosen("a"):
                self._screen.note(f"{request.rule} is allowed in this project from now on (/permissions).")
                return PermissionAnswer(allow=True, remember=True)
            case Reason(text):
                return PermissionAnswer(allow=False, feedback=plain(text))
            case Dismissed():
                self._stop()
                return PermissionAnswer(allow=False)
            case _:
                return PermissionAnswer(allow=False)


def _question(request: PermissionRequest) -> Question:
    choices = [Choice("y", "yes"), Choice("n", "no")]
    if request.rule is not None:
        choices.insert(1, Choice("a", f"always {one_line(str(request.rule))}"))
    verb = {"read": "Read this", "write": "Make this change"}.get(request.intent.access, "Run this")
    return Question(f"{verb}?", tuple(choices), reason="or type why not · Esc stops")
