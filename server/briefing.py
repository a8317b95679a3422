"""What a session is told before a client's prompt: its instructions, and a history that it doesn't know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agent.secrets import MASK
from providers.types import Image, Message, Text
from server.asked import Asked, Said
from server.finder import Place
from sessions.session import Session

_INSTRUCTIONS = "[Instructions from the program you are used through; they hold until it gives others:]"
_NO_MORE = "[The instructions of the program you are used through hold no longer.]"
_BEFORE = "[What was said before, as that program tells it:]"


def briefing(asked: Asked, place: Place | None, session: Session) -> Iterator[str]:
    """The texts to put before the prompt, in order. What the session has been told is not told again.

    Instructions are appended where they changed: the system prompt is frozen, or no two sessions would share
    a cached prefix and a client's clock in its instructions would break it at every turn.
    """
    if _changed(asked.instructions, _told(session.state.messages), session):
        yield f"{_INSTRUCTIONS}\n{asked.instructions}" if asked.instructions else _NO_MORE
    if history := _untold(asked, place):
        yield "\n\n".join((_BEFORE, *(f"{said.role}: {said.text}" for said in history)))


def _changed(instructions: str, told: str, session: Session) -> bool:
    """Whether these instructions are others than those that were told, without their secrets, before.

    Masking takes 70 ms a megabyte, and every other stream waits: it is done only where it decides.
    """
    if instructions == told or MASK not in told:
        return instructions != told
    return session.redacted(instructions) != told


def _told(conversation: Sequence[Message]) -> str:
    """The instructions that hold in a conversation; empty for none.

    What was taken back holds no longer, nor what a summary stands for now.
    """
    for message in reversed(conversation):
        for block in reversed(message.blocks[:-1]):  # the last one is the prompt
            match block:
                case Text(text) if text == _NO_MORE:
                    return ""
                case Text(text) if text.startswith(f"{_INSTRUCTIONS}\n"):
                    return text.removeprefix(f"{_INSTRUCTIONS}\n")
                case _:
                    pass
    return ""


def with_untold_images(asked: Asked, place: Place | None) -> Asked:
    """The request with the images of a history that the session doesn't know before the prompt's own."""
    before: tuple[Image, ...] = tuple(image for said in _untold(asked, place) for image in said.images)
    return replace(asked, images=(*before, *asked.images)) if before else asked


def _untold(asked: Asked, place: Place | None) -> tuple[Said, ...]:
    """The part of the client's history that the session hasn't heard."""
    if place is None:
        return asked.history
    return asked.history if asked.named and not asked.resends else ()
