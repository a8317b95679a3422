"""`agent serve`: what the server works with, from the command line and the configuration."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from agent.harmless import harmless
from cli import figures
from cli.choose import choose, parse
from cli.compose import compose
from cli.failure import UsageProblem
from cli.options import Options
from cli.place import Place
from cli.serving import Serving
from providers.types import ModelRef
from server.start import Settings, Started
from server.start import serve as start
from sessions.setup import Setup

MIB = 1024 * 1024
"""Bytes."""


def serve(wish: Serving, environ: Mapping[str, str]) -> None:
    """Serve until the person or the system ends it. Raises CachetError."""
    asyncio.run(_serve(wish, environ))


async def _serve(wish: Serving, environ: Mapping[str, str]) -> None:
    origins = frozenset(map(checked_origin, wish.allow_origin or ()))
    place = Place.of(environ, wish.cwd)
    loaded = place.configuration()
    for notice in loaded.notices:
        print(f"note: {harmless(notice)}", file=sys.stderr)
    models = tuple(parse(text, "--model") for text in wish.model or ())
    if not models:
        models = (await choose(place, loaded.config, None),)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    settings = Settings(
        home=place.home,
        workspace=place.project,
        compose=lambda folder: _setup(wish.options, environ, folder),
        models=models,
        host=wish.host,
        port=wish.port,
        hosts=frozenset(name.lower() for name in wish.allow_host or ()),
        origins=origins,
        largest_body=wish.max_body * MIB,
        grace=wish.grace,
    )
    await start(settings, lambda started: _announce(started, models, place.project, wish))


def _setup(options: Options, environ: Mapping[str, str], folder: Path) -> Setup:
    """The setup of a folder that runs work in, under that folder's own configuration."""
    place = Place.of(environ, folder)
    return compose(place, options, place.configuration().config)


def _announce(started: Started, models: tuple[ModelRef, ...], project: Path, wish: Serving) -> None:
    print(f"Cachet serves {', '.join(map(str, models))} on {started.url}/v1")
    print(f"It works in {project}, permission mode {wish.permission_mode}.")
    if started.new_key is not None:
        key, secret = started.new_key
        print(f"Made the key {key.name}; it is shown only now, and its hash alone is kept:\n\n  {secret}\n")
    if started.kept_aside is not None:
        print(f"What earlier runs answered could not be read: kept as {started.kept_aside}, and begun anew.")
        print("The sessions are whole; only the ids of their answers are unknown.")
    if started.recovered:
        lost = figures.plural(started.recovered, "run")
        print(f"An earlier server ended during {lost}: marked as failed, the sessions are kept.")
    print("Ctrl-C stops it.", flush=True)


def checked_origin(text: str) -> str:
    """An origin as browsers send it. Raises UsageProblem."""
    scheme, separator, rest = text.partition("://")
    if scheme not in ("http", "https") or not separator or not rest or "/" in rest:
        raise UsageProblem(f"--allow-origin '{text}' is no origin. Write it as: http://localhost:3000")
    return text.lower()
