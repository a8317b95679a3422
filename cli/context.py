"""`/compact` and `/context`: what fills the context window, and making room in it."""

from __future__ import annotations

from contextlib import aclosing, suppress

from agent.parts import Part
from agent.room import Room
from cli import figures
from cli.desk import Desk
from cli.tables import table
from providers.errors import ProviderError

_NAMES: dict[Part, str] = {
    "system": "system prompt",
    "tools": "tools",
    "project": "project instructions",
    "summary": "summary",
    "person": "your words",
    "model": "the model's answers",
    "files": "files",
    "results": "other tool results",
}
_WIDEST_BAR = 30
_BESIDE_BAR = 40
"""Cells that the columns beside the bar take."""


async def context(desk: Desk, argument: str) -> None:
    """What fills the context window, part by part. Parts are estimates, scaled to the last call's count."""
    session = desk.session
    room = await session.room()
    window = room.window
    with suppress(ProviderError):  # the parts can be told without the endpoint
        window = await session.context_window()
    bar = min(_WIDEST_BAR, desk.screen.painter.width - _BESIDE_BAR)
    desk.screen.print(
        table(("part", "tokens", "share", ""), _rows(session.parts(room.filled), room, window, bar))
    )
    desk.screen.note(_total(room, window, session.prefix.parameters.max_output_tokens))


def _rows(parts: dict[Part, int], room: Room, window: int | None, bar: int) -> list[tuple[str, ...]]:
    whole = window or room.filled or 1
    rows = [(_NAMES[part], count) for part, count in parts.items() if count]
    if window:
        rows.append(("free", max(0, window - room.filled)))
    return [
        (name, f"~{figures.tokens(count)}", figures.percent(count / whole), _bar(count / whole, bar))
        for name, count in rows
    ]


def _bar(share: float, width: int) -> str:
    """At least a sliver for whatever is there at all."""
    eighths = max(1, round(share * max(width, 0) * 8))
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def _total(room: Room, window: int | None, output_limit: int) -> str:
    filled = f"~{figures.tokens(room.filled)} tokens"
    if not window:
        return f"{filled}; the size of this model's context window is not known."
    limit = window - Room(window, 0).reserve(output_limit)
    return (
        f"{filled} of {figures.tokens(window)}. Above ~{figures.tokens(limit)} a summary takes the "
        "conversation's place by itself; at any time: /compact"
    )


async def compact(desk: Desk, argument: str) -> None:
    """Put a summary in the conversation's place; what follows the name is what it must keep above all."""
    async with aclosing(desk.session.compact(argument)) as events:
        async for event in events:
            desk.screen.show(event)
            desk.prompt.refresh()
