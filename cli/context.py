"""`/compact` and `/context`: what fills the context window, and making room in it."""

from __future__ import annotations

from contextlib import aclosing

from cli.desk import Desk


async def compact(desk: Desk, argument: str) -> None:
    """Put a summary in the conversation's place; what follows the name is what it must keep above all."""
    async with aclosing(desk.session.compact(argument)) as events:
        async for event in events:
            desk.screen.show(event)
            desk.prompt.refresh()
