"""What a slash command has to work with: the session, the screen, the prompt."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from agent.settled import settled
from cli.input import Prompt
from cli.question import Choice, Chosen, Question
from cli.screen import Screen
from sessions.session import Session


@dataclass(slots=True)
class Desk:
    """The chat's one mutable place. A command that changes sessions calls `move` as soon as it has another.

    The session that stands here is the one that is open, and the chat's end closes it.
    """

    session: Session
    screen: Screen
    prompt: Prompt
    settled: Callable[[], None]
    """Called when the session or its model is another: get its provider ready, ask for its window."""
    leave: Callable[[], None]
    """End the chat."""

    def take(self, session: Session) -> None:
        """Go on with another session; the one before must be closed already."""
        self.session = session
        self.settled()

    async def move(self, session: Session, *notes: str) -> None:
        """Go on with another session, say so, and close the one before.

        A cancellation comes too late for all of that: it is raised once it is done.
        """
        before = self.session
        try:
            self.take(session)
            for note in notes:
                self.screen.note(note)
        finally:
            await settled(before.close())

    async def agrees(self, question: str, *, yes: str = "yes") -> bool:
        """Whether the person says yes. A question longer than a line breaks between words."""
        text = textwrap.fill(question, max(self.prompt.width - 1, 20), break_on_hyphens=False)
        reply = await self.prompt.ask(Question(text, (Choice("y", yes), Choice("n", "no"))))
        return reply == Chosen("y")
