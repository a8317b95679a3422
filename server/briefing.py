"""What a session is told before a client's prompt: its instructions, and a history that it doesn't know."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from providers.types import Image
from server.asked import Asked, Said
from server.finder import Place

_INSTRUCTIONS = "[Instructions from the program you are used through; they hold until it gives others:]"
_NO_MORE = "[The instructions of the program you are used through hold no longer.]"
_BEFORE = "[What was said before, as that program tells it:]"


def instructions_digest(text: str) -> str:
    """Tells whether two instructions are the same; empty for none."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16] if text else ""


def briefing(asked: Asked, place: Place | None) -> Iterator[str]:
    """The texts to put before the prompt, in order. What the session has been told is not told again.

    Instructions are appended where they changed: the system prompt is frozen, or no two sessions would share
    a cached prefix and a client's clock in its instructions would break it at every turn.
    """
    told = place.instructions if place else ""
    if instructions_digest(asked.instructions) != told:
        yield f"{_INSTRUCTIONS}\n{asked.instructions}" if asked.instructions else _NO_MORE
    if history := _untold(asked, place):
        yield "\n\n".join((_BEFORE, *(f"{said.role}: {said.text}" for said in history)))


def with_untold_images(asked: Asked, place: Place | None) -> Asked:
    """The request with the images of a history that the session doesn't know before the prompt's own."""
    before: tuple[Image, ...] = tuple(image for said in _untold(asked, place) for image in said.images)
    return replace(asked, images=(*before, *asked.images)) if before else asked


def _untold(asked: Asked, place: Place | None) -> tuple[Said, ...]:
    """The part of the client's history that the session hasn't heard."""
    if place is None:
        return asked.history
    return asked.history if asked.named and not asked.resends else ()
