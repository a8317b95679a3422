"""`/model`, `/resume`, `/fork`, `/new`: going on elsewhere, with what that costs said first."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from agent.harmless import harmless, one_line
from cli import figures
from cli.desk import Desk
from cli.question import Pick
from providers.errors import ConfigurationError, UnknownModel
from providers.types import ModelRef, Usage
from sessions import begin
from sessions.catalog import Catalog, SessionSummary


async def model(desk: Desk, argument: str) -> None:
    """Show the model, or switch: the new one reads the whole conversation without a cache."""
    session = desk.session
    if not argument:
        desk.screen.note(
            f"{session.model}. Switch with /model PROVIDER/MODEL; agent models lists what there is."
        )
        return
    wanted = _model(argument, session.model)
    if wanted == session.model:
        desk.screen.note(f"{wanted} is the model already.")
        return
    session.setup.providers(wanted.provider)  # an unknown provider or a missing key shows before the question
    if session.context_tokens:
        price = await asyncio.to_thread(_rereading, wanted, session.context_tokens)
        warning = f"{wanted} has nothing of this conversation in its cache: {price}. Switch?"
        if not await desk.agrees(warning, yes="switch"):
            return
    await session.switch_model(wanted)
    desk.settled()
    desk.screen.note(f"Model: {wanted}")


def _model(text: str, current: ModelRef) -> ModelRef:
    """The model named; a bare name is the current provider's."""
    try:
        return ModelRef.parse(text if "/" in text else f"{current.provider}/{text}")
    except ValueError as error:
        raise UnknownModel(f"{one_line(text)!r} is not PROVIDER/MODEL. Try: agent models") from error


def _rereading(model: ModelRef, tokens: int) -> str:
    """What a call costs that reads so many tokens anew."""
    from providers.pricing import price

    priced = price(model, Usage(input_tokens=tokens))
    cost = figures.dollars(priced.cost if priced else None)
    return f"its next call reads {figures.tokens(tokens)} tokens at full price ({cost})"


async def new(desk: Desk, argument: str) -> None:
    """A fresh conversation; the one before stays in its journal."""
    before = desk.session
    desk.take(await begin.anew(before))
    desk.screen.note("A new conversation." + _way_back(before.id, before.path))


async def fork(desk: Desk, argument: str) -> None:
    """Go on in a copy: the conversation is the same, so that its cache still hits; the bill starts at 0."""
    before = desk.session
    if not before.path.exists():
        raise ConfigurationError("There is nothing to fork yet. Send a prompt first.")
    copy = await begin.fork(before.setup, before.path)
    await before.close()
    desk.take(copy)
    desk.screen.note(f"Now in {copy.id}, a fork." + _way_back(before.id, before.path))


async def resume(desk: Desk, argument: str) -> None:
    """Go on with another session: the one named, or one from a list."""
    path = await (_named(desk, argument) if argument else _picked(desk))
    if path is None:
        return
    before = desk.session
    if path == before.path:
        desk.screen.note("That is this session.")
        return
    after = await begin.resume(before.setup, path)
    await before.close()
    desk.take(after)
    for repair in after.repairs:
        desk.screen.note(repair)
    desk.screen.note(f"Resumed {after.id}: {figures.plural(after.state.turn_count, 'turn')}, {after.model}")


async def _named(desk: Desk, name: str) -> Path:
    return await asyncio.to_thread(Catalog(desk.session.setup.home).find, name)


async def _picked(desk: Desk) -> Path | None:
    """One of this project's sessions, from a list; None when the person left it."""
    session = desk.session
    catalog = Catalog(session.setup.home)
    found = await asyncio.to_thread(catalog.sessions, session.setup.workspace.root)
    others = [summary for summary in found if summary.path != session.path]
    if not others:
        desk.screen.note("This project has no other session. Elsewhere: agent sessions list")
        return None
    width = desk.screen.painter.width - 4
    rows = tuple(one_line(_row(summary), width) for summary in others)
    choice = await desk.prompt.pick(Pick("Go on with which session?", rows))
    return None if choice is None else others[choice].path


def _row(summary: SessionSummary) -> str:
    age = figures.ago(time.time() - summary.updated)
    turns = figures.plural(summary.turns, "turn")
    return f"{age:>9} · {turns} · {summary.model.partition('/')[2]} · {harmless(summary.name)}"


def _way_back(session: str, path: Path) -> str:
    return f" Back: /resume {session}" if path.exists() else ""
