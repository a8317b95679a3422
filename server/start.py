"""Starts the server, and stops it so that nothing is lost."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from providers.errors import ConfigurationError
from providers.types import ModelRef
from server.admission import Admission
from server.app import build
from server.finder import Finder
from server.keys import ClientKey, KeyRing
from server.ledger import Ledger
from server.models import Models
from server.promptness import Patience, prompt
from server.recovery import recover
from server.service import SILENCE, Service
from server.shelf import Shelf
from server.workplaces import Compose, Workplaces

PORT = 8642
LARGEST_BODY = 32 * 1024 * 1024
"""Bytes: some images in base64 beside a long history."""
GRACE = 30
"""Seconds that runs under way are given when the server is asked to stop."""
LAST_WORDS = 5
"""Seconds that clients are given then to read how their runs ended."""
WAITING = 2048
"""Connections that may wait to be taken."""
THREADS = 64
"""Runs wait for disks in threads: fsync, git, SQLite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    home: Path
    """Cachet's own folder, `~/.cachet`."""
    workspace: Path
    compose: Compose
    models: tuple[ModelRef, ...]
    """The first is the default."""
    host: str = "127.0.0.1"
    port: int = PORT
    """0 for any that is free."""
    hosts: frozenset[str] = frozenset()
    """Names beside those of loopback that requests may be sent to."""
    origins: frozenset[str] = frozenset()
    """Web pages that may send requests."""
    largest_body: int = LARGEST_BODY
    grace: int = GRACE
    silence: float = SILENCE
    """Seconds of silence after which a stream says that it is still there."""


@dataclass(frozen=True, slots=True)
class Started:
    """What there is to say once the server takes requests."""

    url: str
    new_key: tuple[ClientKey, str] | None
    """The key that was made because there was none, with its secret."""
    recovered: int
    """Runs that an earlier server left at work."""
    kept_aside: Path | None
    """Where the file of earlier runs is now, because it could not be read."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """The application over its files, before it listens anywhere."""

    app: ASGIApp
    service: Service
    new_key: tuple[ClientKey, str] | None
    recovered: int
    kept_aside: Path | None


async def serve(settings: Settings, announce: Callable[[Started], None]) -> None:
    """Serve until SIGINT or SIGTERM. Raises ConfigurationError where the port or the keys can't be used.

    Then no new request is taken; runs under way have `grace` seconds to finish, those that don't are stopped
    and journalled as any interrupted turn. A second signal stops them at once.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "cachet"))
    listening = _listen(settings.host, settings.port)
    try:
        assembled = await assemble(settings)
        config = configured(assembled.app)
        announce(
            Started(_url(listening), assembled.new_key, assembled.recovered, assembled.kept_aside),
        )
        preparing = asyncio.create_task(assembled.service.prepare())
        try:
            await _Server(config, assembled.service, settings.grace).serve(sockets=[listening])
        finally:
            preparing.cancel()
    finally:
        listening.close()


def configured(app: ASGIApp, patience: Patience | None = None) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        app,
        http=prompt(patience or Patience()),
        ws="none",
        log_config=None,
        log_level="error",  # what anybody can cause without a key is not worth a line
        access_log=False,
        server_header=False,
        proxy_headers=False,  # wrong keys are counted by address: it must be one that can't be made up
        timeout_graceful_shutdown=LAST_WORDS,
        timeout_keep_alive=75,
    )


async def assemble(settings: Settings) -> Assembled:
    """Everything but the listening: keys and what earlier runs left are read. Raises ConfigurationError."""
    ring = KeyRing.open(settings.home)
    shelf = await asyncio.to_thread(Shelf, settings.home)
    recovered = await asyncio.to_thread(recover, shelf, settings.home)
    await asyncio.to_thread(shelf.prune, time.time())
    service = await _service(settings, ring, shelf)
    app = build(
        service,
        ring,
        hosts=settings.hosts | _own_name(settings.host),
        origins=settings.origins,
        largest_body=settings.largest_body,
    )
    # A key is made last: whatever fails before, no key is left that nobody has seen.
    return Assembled(app, service, ring.first(), recovered, shelf.kept_aside)


async def _service(settings: Settings, ring: KeyRing, shelf: Shelf) -> Service:
    workplaces = Workplaces(settings.compose)
    workplaces.setup(settings.workspace)  # what is wrong with it is told now, not to the first client
    ledger = await asyncio.to_thread(Ledger.read, settings.home)
    return Service(
        ring=ring,
        workspace=settings.workspace,
        workplaces=workplaces,
        models=Models(settings.models, time.time()),
        finder=Finder(settings.home, shelf),
        shelf=shelf,
        ledger=ledger,
        admission=Admission(ledger.spent),
        silence=settings.silence,
    )


class _Server(uvicorn.Server):
    """Ends quietly when it is told to stop: that is how a server is meant to end.

    The runs end before the connections do, so that each client is told how its run ended.
    """

    def __init__(self, config: uvicorn.Config, service: Service, grace: float) -> None:
        super().__init__(config)
        self._service = service
        self._grace = grace
        self._hurry = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self._hurry.set()
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        await self._service.wind_down(self._grace, self._hurry)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        stops = (signal.SIGINT, signal.SIGTERM)
        for each in stops:
            loop.add_signal_handler(each, self.handle_exit, each, None)
        try:
            yield
        finally:
            for each in stops:
                loop.remove_signal_handler(each)


def _listen(host: str, port: int) -> socket.socket:
    """Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host.strip("[]"), port), family=family, backlog=WAITING)
        # Connections inherit it. asyncio sets it only where it made the socket itself, and without it the
        # first words wait for the client to acknowledge the headers: 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {host} port {port}: {error.strerror or error}. Try another: agent serve --port"
        ) from error


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _own_name(host: str) -> frozenset[str]:
    """The name that clients use where the server listens on one address; none where it is every address."""
    if host in ("0.0.0.0", "::", ""):
        return frozenset()
    return frozenset({f"[{host}]" if ":" in host else host.lower()})
