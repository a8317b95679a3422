"""Takes turns for clients: opens the right session, runs it, remembers what came of it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakValueDictionary

from agent.settled import settled
from checkpoint.types import CheckpointError
from providers.errors import CachetError
from server.admission import Admission, Slot
from server.asked import Asked
from server.briefing import briefing, with_untold_images
from server.errors import key_removed, not_found, unavailable
from server.finder import Finder, Place
from server.form import Form
from server.idempotency import Claims
from server.keys import ClientKey, KeyRing
from server.ledger import Ledger
from server.models import Models
from server.run import Outcome, Run
from server.shelf import Shelf, Shelved
from server.workplaces import Workplaces
from sessions import begin
from sessions.session import Session
from sessions.setup import Setup
from sessions.switch import Switch

SILENCE = 15.0
"""Seconds. Proxies and clients take a connection for dead after a minute or less."""

_log = logging.getLogger("cachet.server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request to take a turn, and how its answer is to be kept."""

    key: ClientKey
    asked: Asked
    form: Form
    """How it wants to be answered."""
    id: str
    token: str = ""
    """The request's `Idempotency-Key`; empty for none."""
    request: str = ""
    """Digest of its body."""


class Service:
    """The runs of one server. Everything here is done on one event loop."""

    def __init__(
        self,
        *,
        ring: KeyRing,
        workspace: Path,
        workplaces: Workplaces,
        models: Models,
        finder: Finder,
        shelf: Shelf,
        ledger: Ledger,
        admission: Admission,
        silence: float = SILENCE,
    ) -> None:
        """`workspace` is where the runs of keys work that name no folder of their own.

        After `silence` seconds of nothing a stream says that it is still there.
        """
        self.silence = silence
        self.models = models
        self.finder = finder
        self.shelf = shelf
        self.ledger = ledger
        self._ring = ring
        self._workspace = workspace
        self._workplaces = workplaces
        self._admission = admission
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._claims = Claims(shelf)

    def at_work(self, client: str) -> int:
        """How many of a client's runs are under way."""
        return sum(run.client == client for run in self._runs.values())

    def workspace(self, key: ClientKey) -> Path:
        """The folder that a key's runs work in."""
        return Path(key.workspace) if key.workspace else self._workspace

    def setup(self, key: ClientKey) -> Setup:
        """What a key's sessions are opened with. Raises ConfigurationError."""
        return replace(self._workplaces.setup(self.workspace(key)), client=key.id)

    @asynccontextmanager
    async def held(self, key: ClientKey, session: str) -> AsyncIterator[None]:
        """The session is left alone until the block ends, for a key that is still there once it is free.

        Raises ApiError, ConfigurationError.
        """
        async with self._lock(session):
            self._check_key(key)
            yield

    def running(self, client: str, id: str) -> Run | None:
        """A client's run that is under way; None where there is none."""
        run = self._runs.get(id)
        return run if run is not None and run.client == client else None

    async def taken(self, ask: Ask) -> Run | Shelved:
        """The turn that a request means: begun now, or by an earlier request with its idempotency key.

        Waits while its session is at work on another turn. Raises ApiError, and what opening a session
        raises.
        """
        if not ask.token:
            return await self._begun(ask)
        earlier = await self._claims.earlier(ask.key.id, ask.token, ask.request)
        if earlier is not None:
            return earlier
        try:
            run = await self._begun(ask)
        except BaseException:
            self._claims.release(ask.key.id, ask.token)
            raise
        self._claims.settle(ask.key.id, ask.token, run)
        return run

    def dismiss(self) -> None:
        """Stop the runs of keys that are there no more. Raises ConfigurationError for a broken file."""
        here = {key.id for key in self._ring.keys}
        for run in list(self._runs.values()):
            if run.client not in here:
                run.cancel(key_removed())

    async def wind_down(self, grace: float, hurry: asyncio.Event) -> None:
        """Begin no run any more; stop those that are not over in `grace` seconds, or once `hurry` is set.

        Those are journalled up to there, and whoever listens hears that they were cancelled.
        """
        self._closing = True
        hurried = asyncio.create_task(hurry.wait())
        ended = asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.wait((hurried, ended), timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        for run in list(self._runs.values()):
            run.cancel()
        await ended

    async def prepare(self) -> None:
        """Load what each model's first call would wait for. What is wrong with one, that call tells."""
        providers = self._workplaces.setup(self._workspace).providers
        for model in self.models.offered:
            with suppress(CachetError):
                await providers(model.provider).prepare()

    async def close(self) -> None:
        """Stop what runs, and close every provider."""
        await self.wind_down(0, asyncio.Event())
        await self._workplaces.close()
        await asyncio.to_thread(self.shelf.close)

    async def _begun(self, ask: Ask) -> Run:
        """Open the session that the request means, and start its turn in a task of its own."""
        self._check_open()
        model = self.models.named(ask.asked.model)
        async with AsyncExitStack() as held:
            slot = held.enter_context(self._admission.admit(ask.key))
            place = await asyncio.to_thread(self.finder.find, ask.key, self.workspace(ask.key), ask.asked)
            setup = self._limited(self.setup(ask.key), ask.asked, slot)
            if place is None:
                session = await begin.start(setup, model or self.models.default)
            else:
                if model is None:
                    had = await asyncio.to_thread(self.finder.model, place.journal)
                    model = self.models.going_on(had, named=ask.asked.named)
                session = await self._gone_on(
                    place, setup, Switch(model=model, effort=ask.asked.effort), held
                )
            if place is None or session.id != place.session:
                await held.enter_async_context(self._lock(session.id))  # nobody else knows it yet
            held.push_async_callback(_closed, session)
            self._check_open()  # it may have waited for long
            self._check_key(ask.key)
            for text in briefing(ask.asked, place, session):
                session.add_context(text)
            asked = with_untold_images(ask.asked, place)
            run = Run(ask.id, ask.key.id, asked, session, created=time.time())
            self._runs[run.id] = run
            task = asyncio.create_task(self._work(run, ask, slot, held.pop_all()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return run

    def _check_open(self) -> None:
        if self._closing:
            raise unavailable("The server is stopping. Ask again when it is back.", retry_after=5)

    def _check_key(self, key: ClientKey) -> None:
        if not self._ring.holds(key.id):
            raise key_removed()

    def _lock(self, session: str) -> asyncio.Lock:
        """Held while a session is at work here."""
        return self._locks.setdefault(session, asyncio.Lock())

    async def _gone_on(self, place: Place, setup: Setup, switch: Switch, held: AsyncExitStack) -> Session:
        """The session of this place, its lock added to what is `held`; or a branch of it, from the place on.

        That is where it is at work on another turn, or took one since.
        """
        at_work = any(run.session.id == place.session and not run.over for run in self._runs.values())
        if not (place.message and at_work):
            async with AsyncExitStack() as here:
                await here.enter_async_context(self._lock(place.session))
                if not place.journal.exists():  # removed while this waited
                    raise not_found(f"There is no session {place.session!r}.", code="session_not_found")
                session = await _opened(begin.resume(setup, place.journal, switch=switch))
                if place.message in ("", session.head):
                    held.push_async_exit(here.pop_all())
                    return session
                await _closed(session)
        return await _opened(begin.fork(setup, place.journal, switch=switch, at=place.message))

    def _limited(self, setup: Setup, asked: Asked, slot: Slot) -> Setup:
        parameters = setup.parameters
        if asked.effort is not None:
            parameters = replace(parameters, effort=asked.effort.level)
        limits = replace(setup.limits, max_cost=_least(setup.limits.max_cost, slot.allowance))
        return replace(setup, parameters=parameters, limits=limits, answer_tokens=asked.answer_tokens)

    async def _work(self, run: Run, ask: Ask, slot: Slot, held: AsyncExitStack) -> None:
        """Take the turn, and then leave what was held for it: its session, the session's lock, the slot."""
        async with held:
            try:
                await run.take(
                    begin=lambda: self._shelve(run, ask, None),
                    before_end=lambda outcome: self._settle(run, ask, slot, outcome),
                )
                if run.fault is not None:
                    _log.error("%s failed: %s", run.id, run.fault, exc_info=_unforeseen(run.fault))
            finally:
                self._runs.pop(run.id, None)
                self._claims.release(ask.key.id, ask.token)

    async def _settle(self, run: Run, ask: Ask, slot: Slot, outcome: Outcome) -> None:
        """Book what a run came to, and make room for the next one, before anyone hears of its end."""
        slot.spent(sum(call.cost or 0.0 for call in run.calls))
        self.ledger.add(run.calls)
        slot.release()  # whoever has the answer may ask again at once
        try:
            await self._shelve(run, ask, outcome)
        except (sqlite3.Error, OSError) as error:  # the answer is there, only nobody can go on from its id
            _log.error("%s could not be kept: %s", run.id, error)

    async def _shelve(self, run: Run, ask: Ask, outcome: Outcome | None) -> None:
        asked = ask.asked
        status, body = ask.form.whole(run, outcome) if outcome else (0, ask.form.started(run))
        delivered = run.pieces.text(with_void=asked.resends and asked.stream)
        shelved = Shelved(
            id=run.id,
            client=run.client,
            workspace=str(self.workspace(ask.key)),
            session=run.session.id,
            message=(run.session.head or "") if outcome else "",
            chain=asked.answered(delivered) if outcome and delivered and not asked.named else "",
            token=ask.token,
            request=ask.request,
            created=run.created,
            status=status,
            body=body if asked.store or ask.token else None,
        )
        await asyncio.to_thread(self.shelf.put, shelved)


async def _opened(opening: Coroutine[None, None, Session]) -> Session:
    """The session that is being opened. Where that is cancelled, it is closed: nobody else would do it."""
    task = asyncio.ensure_future(opening)
    try:
        return await settled(task)
    except asyncio.CancelledError:
        await _closed(task.result())
        raise


async def _closed(session: Session) -> None:
    await settled(session.close())


def _least(*limits: float | None) -> float | None:
    given = [limit for limit in limits if limit is not None]
    return min(given) if given else None


def _unforeseen(fault: Exception) -> bool:
    """Whether it is a fault of ours, so that where it happened must be told."""
    return not isinstance(fault, CachetError | CheckpointError | OSError)
