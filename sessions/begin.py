"""How a session comes to be: started, resumed, forked."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import replace
from pathlib import Path

from agent.recording import INTERRUPTED, refused
from agent.settled import settled
from agent.state import AgentState
from providers.call import new_id
from providers.errors import ConfigurationError
from providers.provider import Provider
from providers.types import Message, ModelRef, Prefix
from sessions.affinity import Affinity
from sessions.cachebook import CacheBook
from sessions.catalog import journal_path
from sessions.chronicle import Chronicle
from sessions.fields import timestamp
from sessions.fresh import fresh_prefix, new_session_id
from sessions.journal import Journal, JournalError, read
from sessions.keeper import Keeper
from sessions.records import HeadLine, Origin, SessionLine
from sessions.rehydrate import Conversation, rehydrate
from sessions.session import Session
from sessions.setup import Setup
from sessions.switch import STAY, Switch


async def start(setup: Setup, model: ModelRef, *, provider: Provider | None = None) -> Session:
    """A new session in `setup.workspace`; nothing of it is written until its first prompt.

    `provider` is one already open, else `setup` opens it. Raises ConfigurationError.
    """
    provider = provider or setup.providers(model.provider)
    first = _first_line(setup)
    with Affinity.new(setup, provider.encoder, first.session).unless_failed() as affinity:
        prefix = fresh_prefix(setup, model, provider, affinity.key)
        return _new(setup, first, prefix, provider, affinity)


async def resume(setup: Setup, path: Path, *, switch: Switch = STAY) -> Session:
    """Go on with the journal at `path`; other tools' files are imported first (`sessions.importers`).

    The conversation is sent exactly as before unless `switch` says otherwise. Tool calls that a crash left
    open are answered. Raises JournalError, ConfigurationError.
    """
    journal = await _opened(path)
    try:
        return await _resumed(setup, path, journal, switch)
    except BaseException:
        journal.close()
        raise


async def fork(setup: Setup, path: Path, *, switch: Switch = STAY, at: str | None = None) -> Session:
    """A new session with another's conversation, which may be in use; its bill is not copied.

    The prefix stays the same, its affinity key too, so that the first call finds the provider's cache. The
    conversation is the live one, or the one that ends with the message `at`. What fails or is cancelled
    leaves no session. Raises JournalError, also where there is no such message, and ConfigurationError.
    """
    told = await asyncio.to_thread(read, path)
    old = rehydrate(told.records if at is None else (*told.records, _back_to(at)))
    if at is not None and at not in old.tree:
        raise JournalError(
            f"The session {path.stem} has no message {at}. To see it: agent sessions show {path.stem}"
        )
    digest = hashlib.sha256(await asyncio.to_thread(path.read_bytes)).hexdigest()
    messages = [*old.state.messages, *_interrupted(old)]
    origin = Origin(
        kind="fork", path=str(path), sha256=digest, inherited=old.state.usage, messages=len(messages)
    )
    first = _first_line(setup, origin)
    prefix, provider = _prefix_and_provider(setup, old.prefix, switch, first.session)
    with Affinity.again(setup, prefix.affinity_key).unless_failed() as affinity:
        session = _new(setup, first, prefix, provider, affinity, old)
    try:
        await session.adopt(messages)
    except BaseException:
        await session.discard()  # half a conversation would look like one that ended there
        raise
    return session


async def _opened(path: Path) -> Journal:
    """Become the journal's writer. Where that is cancelled, nobody is. Raises JournalError."""
    opening = asyncio.ensure_future(asyncio.to_thread(Journal.open, path))
    try:
        return await settled(opening)
    except asyncio.CancelledError:
        opening.result().close()
        raise


def _back_to(message: str) -> HeadLine:
    return HeadLine(id=new_id("head"), parent=None, at="", message=message, reason="fork")


async def anew(session: Session) -> Session:
    """A fresh conversation in place of this one, on the same open provider."""
    await session.release()
    return await start(session.setup, session.model, provider=session.provider)


async def _resumed(setup: Setup, path: Path, journal: Journal, switch: Switch) -> Session:
    told = await asyncio.to_thread(read, path)
    old = rehydrate(told.records)
    session_id = old.session or path.stem
    prefix, provider = _prefix_and_provider(setup, old.prefix, switch, session_id)
    chronicle = Chronicle(
        path, first=None, journal=journal, head=old.head, rates=setup.rates, client=setup.client
    )
    if prefix != old.prefix:
        chronicle.begin_with(prefix)
    _go_on(old, prefix)
    with Affinity.again(setup, prefix.affinity_key).unless_failed() as affinity:
        session = Session(
            setup=setup,
            session_id=session_id,
            prefix=prefix,
            provider=provider,
            state=old.state,
            chronicle=chronicle,
            keeper=Keeper(setup.workspace.root, setup.home, session_id, setup.captures),
            affinity=affinity,
            calls=list(old.calls),
            policy=setup.policy,
            title=old.title,
            repairs=(*told.notices, *old.repairs),
            reached=old.reached,
            cache=_cache_book(setup, old),
            left=old.prefix if prefix != old.prefix else None,
            seen=old.seen,
            untold=old.untold,
        )
        if answers := _interrupted(old):
            await session.adopt(answers)
    return session


def _new(
    setup: Setup,
    first: SessionLine,
    prefix: Prefix,
    provider: Provider,
    affinity: Affinity,
    old: Conversation | None = None,
) -> Session:
    """A session with a journal of its own; `old` is the conversation that it copies."""
    path = journal_path(setup.home, setup.workspace.root, first.session)
    chronicle = Chronicle(path, first=first, journal=None, head=None, rates=setup.rates, client=setup.client)
    chronicle.begin_with(prefix)
    state = AgentState()
    if old is not None:
        _go_on(old, prefix)
        state.turn_count, state.previous_end = old.state.turn_count, old.state.previous_end
    return Session(
        setup=setup,
        session_id=first.session,
        prefix=prefix,
        provider=provider,
        state=state,
        chronicle=chronicle,
        keeper=Keeper(setup.workspace.root, setup.home, first.session, setup.captures),
        affinity=affinity,
        calls=[],
        policy=setup.policy,
        reached=old.reached if old else None,
        cache=_cache_book(setup, old),
        left=old.prefix if old and prefix != old.prefix else None,
        seen=old.seen if old else None,
        untold=old.untold if old else (),
    )


def _cache_book(setup: Setup, old: Conversation | None) -> CacheBook:
    book = CacheBook(setup.home)
    if old is not None:
        book.remember(old.traffic)
    return book


def _go_on(old: Conversation, prefix: Prefix) -> None:
    """What the conversation sent last on this prefix is the place where its cache may still be read."""
    reached = old.reached.get(prefix)
    old.state.previous_end = reached.end if reached else None


def _prefix_and_provider(
    setup: Setup, frozen: Prefix | None, switch: Switch, affinity_key: str
) -> tuple[Prefix, Provider]:
    """The frozen prefix if there is one, after the switch; and who answers it."""
    wanted = switch.model or (frozen.model if frozen else None)
    if wanted is None:
        raise ConfigurationError("That session names no model. Choose one: agent resume … -m PROVIDER/MODEL")
    if frozen is None:
        provider = setup.providers(wanted.provider)
        return fresh_prefix(setup, wanted, provider, affinity_key), provider
    same = wanted == frozen.model
    provider = setup.providers(wanted.provider, frozen.encoder if same else "")
    prefix = switch.of(frozen)
    elsewhere = replace(prefix, encoder=provider.encoder)
    return (prefix if same and elsewhere.wire == prefix.wire else elsewhere), provider


def _interrupted(old: Conversation) -> list[Message]:
    """Answers to the calls that were open when the process ended."""
    return [refused(call, INTERRUPTED) for call in old.dangling]


def _first_line(setup: Setup, origin: Origin | None = None) -> SessionLine:
    session_id, now = new_session_id(), timestamp(time.time())
    return SessionLine(
        id=session_id,
        parent=None,
        at=now,
        session=session_id,
        cwd=str(setup.workspace.root),
        created=now,
        origin=origin,
        client=setup.client,
    )
