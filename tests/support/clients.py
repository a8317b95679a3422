"""The server's whole application in the test's own process, on loopback, and what stock clients see of it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import openai

from agent.permissions import Mode
from cli.compose import compose
from cli.options import Options
from cli.place import Place
from providers.retry import Retry
from providers.types import ModelRef
from server.keys import KeyRing
from server.promptness import Patience
from server.service import SILENCE
from server.start import Settings, assemble
from sessions.setup import Limits, Setup
from tests.support.asgi import PATIENCE, served

AT_ONCE = Retry(first=0.0, longest=0.0)
MANY = 10_000
"""Requests a minute: more than any test sends."""


@dataclass(frozen=True, slots=True)
class Door:
    """A server of ours that runs, and a key to it."""

    url: str
    secret: str
    home: Path
    project: Path

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secret}"}

    @contextmanager
    def sdk(self, secret: str = "", **more: Any) -> Iterator[openai.OpenAI]:
        """OpenAI's client, which tries nothing again unless told to."""
        given = {"max_retries": 0, "timeout": PATIENCE} | more
        with openai.OpenAI(base_url=self.base_url, api_key=secret or self.secret, **given) as client:
            yield client

    @asynccontextmanager
    async def async_sdk(self, secret: str = "", **more: Any) -> AsyncIterator[openai.AsyncOpenAI]:
        given = {"max_retries": 0, "timeout": PATIENCE} | more
        async with openai.AsyncOpenAI(
            base_url=self.base_url, api_key=secret or self.secret, **given
        ) as client:
            yield client

    def http(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """One request with the key; `headers` with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx2.request(
            method, f"{self.url}{path}", json=body, headers=self.headers | named, timeout=PATIENCE
        )

    @contextmanager
    def stream(self, path: str, body: Any, **headers: str) -> Iterator[httpx2.Response]:
        """A request whose answer is read as it comes; leaving the block early closes the connection."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx2.stream(
            "POST", f"{self.url}{path}", json=body, headers=self.headers | named, timeout=PATIENCE
        ) as response:
            yield response

    def when_free(self, session: str) -> None:
        """Return once no run of the session is under way: looking at a rewind waits for its end."""
        body = {"checkpoint": 0, "dry_run": True}
        answered = self.http("POST", f"/v1/sessions/{session}/rewind", body)
        assert answered.status_code in (200, 404), answered.text

    def key(self, name: str, **limits: Any) -> str:
        """Make another key while the server runs; its secret."""
        return KeyRing.open(self.home).add(name, **({"per_minute": MANY} | limits))[1]

    def sessions(self) -> list[str]:
        """The ids of all sessions, in the order in which they were begun."""
        return sorted(path.stem for path in self.home.glob("sessions/*/*.jsonl"))

    def lines(self, session: str, *kinds: str) -> list[Any]:
        """A journal's lines of these kinds."""
        [journal] = self.home.glob(f"sessions/*/{session}.jsonl")
        lines = [json.loads(line) for line in journal.read_bytes().splitlines()]
        return [line for line in lines if line["kind"] in kinds]


@contextmanager
def door(
    folder: Path,
    *models: str | ModelRef,
    mode: Mode = Mode.PLAN,
    limits: Limits | None = None,
    retry: Retry = AT_ONCE,
    config: str = "",
    environ: Mapping[str, str] | None = None,
    secret: str = "",
    silence: float = SILENCE,
    patience: Patience | None = None,
) -> Iterator[Door]:
    """A server for these models, composed as `agent serve` composes it; failed calls are tried again at once.

    `config` is the person's `config.toml`. Where `folder` was served before, `secret` is the key from then.
    """
    home, project = folder / "cachet", folder / "shop"
    for place in (home, project):
        place.mkdir(exist_ok=True)
    if config:
        (home / "config.toml").write_text(config)
    variables = environment(folder) | dict(environ or {})
    settings = Settings(
        home=home,
        workspace=project.resolve(),
        compose=_composing(variables, mode, limits, retry),
        models=tuple(ModelRef.parse(str(model)) for model in models),
        silence=silence,
    )
    if not secret:
        ring = KeyRing.open(home)
        _, secret = ring.add("test", terminal_sessions=True, per_minute=MANY, concurrent=100)
    with ThreadPoolExecutor(1) as aside:  # the test may be in a loop of its own
        app = aside.submit(asyncio.run, assemble(settings)).result().app
    with served(app, patience) as listening:
        yield Door(listening.url, secret, home, project)


def environment(folder: Path) -> dict[str, str]:
    """What a person's shell has who has no key and no Ollama."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CACHET_HOME": str(folder / "cachet"),
        "OLLAMA_HOST": "127.0.0.1:1",
        "COLUMNS": "120",
    }


def _composing(
    environ: Mapping[str, str], mode: Mode, limits: Limits | None, retry: Retry
) -> Callable[[Path], Setup]:
    def made(folder: Path) -> Setup:
        place = Place.of(environ, folder)
        setup = compose(place, Options(permission_mode=mode), place.configuration().config)
        return replace(setup, limits=limits or setup.limits, retry=retry)

    return made
