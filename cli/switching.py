"""`/model`, `/effort`, `/resume`, `/fork`, `/new`: going on elsewhere, with what that costs said first."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from agent.cache import minds_effort
from agent.harmless import harmless, one_line
from agent.settled import settled
from cli import figures
from cli.desk import Desk
from cli.question import Pick
from cli.rereading import effort_of, rereading
from providers.effort import Effort
from providers.errors import ConfigurationError, UnknownModel
from providers.types import ModelRef, Prefix
from sessions import begin
from sessions.catalog import Catalog, SessionSummary
from sessions.switch import Switch


async def model(desk: Desk, argument: str) -> None:
    """Show the model, or switch: the new one reads the whole conversation without a cache."""
    session = desk.session
    if not argument:
        desk.screen.note(
            f"{_name(session.prefix)}. Switch with /model PROVIDER/MODEL; agent models lists what there is."
        )
        return
    wanted = _model(argument, session.model)
    if wanted == session.model:
        desk.screen.note(f"{wanted} is the model already.")
        return
    if await _switched(desk, Switch(model=wanted), yes="switch"):
        desk.screen.note(f"Model: {_name(desk.session.prefix)}")


async def effort(desk: Desk, argument: str) -> None:
    """Show how hard the model thinks, or change it: that is part of what its cache is looked up by."""
    prefix = desk.session.prefix
    if not argument:
        desk.screen.note(f"Effort: {effort_of(prefix)}. Change it with /effort {'|'.join(Effort)}")
        return
    wanted = Effort.parse(argument)
    if wanted.level == prefix.parameters.effort:
        desk.screen.note(f"{wanted} is the effort already.")
        return
    if await _switched(desk, Switch(effort=wanted), yes="change it"):
        idle = "" if minds_effort(prefix) else f". {prefix.model} takes none: it is for the next model"
        desk.screen.note(f"Effort: {wanted}{idle}")


async def _switched(desk: Desk, switch: Switch, *, yes: str) -> bool:
    """Say what the switch costs, and make it if the person agrees; whether they did."""
    session = desk.session
    after = session.after(switch)  # an unknown provider or a missing key shows before the question
    if switch.model is not None or minds_effort(after):
        cost = await rereading(session, after, session.prefix)
        if cost and not await desk.agrees(f"{cost}. {yes.capitalize()}?", yes=yes):
            return False
    try:
        await session.switch(switch)
    finally:
        desk.settled()  # stopped while the provider before closes, it has switched all the same
    return True


def _name(prefix: Prefix) -> str:
    effort = prefix.parameters.effort
    return f"{prefix.model}, effort {effort}" if effort and minds_effort(prefix) else str(prefix.model)


def _model(text: str, current: ModelRef) -> ModelRef:
    """The model named; a bare name is the current provider's."""
    try:
        return ModelRef.parse(text if "/" in text else f"{current.provider}/{text}")
    except ValueError as error:
        raise UnknownModel(f"{one_line(text)!r} is not PROVIDER/MODEL. Try: agent models") from error


async def new(desk: Desk, argument: str) -> None:
    """A fresh conversation; the one before stays in its journal."""
    await settled(_begin_anew(desk))


async def _begin_anew(desk: Desk) -> None:
    """All of it or nothing: between the two sessions there is none that could go on."""
    before = desk.session
    desk.take(await begin.anew(before))
    desk.screen.note("A new conversation." + _way_back(before.id, before.path))


async def fork(desk: Desk, argument: str) -> None:
    """Go on in a copy: the conversation is the same, so that its cache still hits; the bill starts at 0."""
    before = desk.session
    if not before.path.exists():
        raise ConfigurationError("There is nothing to fork yet. Send a prompt first.")
    copy = await begin.fork(before.setup, before.path)
    await desk.move(copy, f"Now in {copy.id}, a fork." + _way_back(before.id, before.path))


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
    turns = figures.plural(after.state.turn_count, "turn")
    await desk.move(after, *after.repairs, f"Resumed {after.id}: {turns}, {after.model}")


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
