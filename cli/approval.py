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

_ROWS = 6
"""Up to which a command stands in the question itself."""


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
            reply = await self._prompt.ask(self._question(request))
            if isinstance(reply, Dismissed):
                self._stop()
                await asyncio.sleep(0)  # where the turn's cancellation arrives
            return self._answer(reply, request)

    def _question(self, request: PermissionRequest) -> Question:
        """The question, with the whole diff or command: nothing that is agreed to may be out of sight.

        A short command stands in the question; what is long is printed above it, where it can be scrolled.
        """
        intent = request.intent
        body = visible(intent.preview or intent.command).strip("\n")
        head = one_line(intent.summary)
        if is_diff(body):
            self._screen.print(_head(head, request.reason), coloured_diff(body))
            self._screen.previewed(request.call.id)
            return _asked(request, "")
        whole = f"$ {body}" if intent.command else f"{head}\n{body}"
        shown = head if body in head else whole
        if self._fits(shown):
            return _asked(request, f"{shown}\nIt {request.reason}. ")
        self._screen.print(_head(head, request.reason), Text(body))
        return _asked(request, "")

    def _fits(self, text: str) -> bool:
        """Whether the text is short enough to stand in the question."""
        width, height = self._prompt.size
        rows = sum(1 + len(line) // width for line in text.split("\n"))
        return rows <= min(_ROWS, height // 4)

    def _answer(self, reply: Chosen | Reason | Dismissed, request: PermissionRequest) -> PermissionAnswer:
        match reply:
            case Chosen("y"):
                return PermissionAnswer(allow=True)
            case Chosen("a"):
                self._screen.note(f"{request.rule} is allowed in this project from now on (/permissions).")
                return PermissionAnswer(allow=True, remember=True)
            case Reason(text):
                return PermissionAnswer(allow=False, feedback=plain(text))
            case _:
                return PermissionAnswer(allow=False)


def _head(summary: str, reason: str) -> Text:
    return Text.assemble(("? ", "bold yellow"), (summary, "bold"), f" · {reason}")


def _asked(request: PermissionRequest, before: str) -> Question:
    choices = [Choice("y", "yes"), Choice("n", "no")]
    if request.rule is not None:
        choices.insert(1, Choice("a", f"always {one_line(str(request.rule))}"))
    verb = {"read": "Read this", "write": "Make this change"}.get(request.intent.access, "Run this")
    return Question(f"{before}{verb}?", tuple(choices), reason="or type why not · Esc stops")
