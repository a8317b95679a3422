"""`agent models`: what can be used from here, and fetching what runs on this machine."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent.harmless import one_line
from cli import figures
from cli.choose import WAYS
from cli.config import Config
from cli.console import print_table
from cli.failure import UsageProblem, explain
from cli.place import Place
from providers import local, ollama
from providers.errors import CachetError
from providers.pricing import default_model
from providers.provider import ModelInfo
from providers.settings import KEY_VARIABLES, NO_KEY_MODEL, ProviderSettings, key_of
from providers.types import JSON, ModelRef
from providers.weights import Progress
from providers.weights import pull as pull_weights

SHOWN = 25
"""Models of one provider that the table shows; JSON has all."""

PATIENCE = 10.0
"""Seconds that one provider's list may take."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What one provider offers; `problem` says in one line why that is not known."""

    provider: str
    models: tuple[ModelInfo, ...]
    default: str | None = None
    problem: str = ""


def show(*, as_json: bool) -> None:
    """Print the models of every provider within reach."""
    place = Place.of(os.environ)
    offers = asyncio.run(_offers(place, place.configuration().config))
    if as_json:
        print(json.dumps([_object(offer) for offer in offers], indent=2, ensure_ascii=False))
        return
    rows = [row for offer in offers for row in _rows(offer)]
    print_table(("model", "context", ""), rows, narrow=(0, 1), text=(0, 2), gives_way=2)
    for offer in offers:
        if len(offer.models) > SHOWN:
            more = len(offer.models) - SHOWN
            print(f"{offer.provider} has {figures.plural(more, 'model')} more. All: agent models --json")
        if offer.problem:
            print(f"{offer.provider}: {offer.problem}")
    if not any(offer.models for offer in offers if offer.provider != "local"):
        print(WAYS)


def pull(text: str) -> None:
    """Fetch a model to this machine, with a progress bar. Raises CachetError."""
    place = Place.of(os.environ)
    match text.partition("/"):
        case ("local", "/", local.MODEL):
            _with_progress(text, lambda tell: pull_weights(place.home, tell))
        case ("ollama", "/", name) if name:
            config = place.configuration().config
            _with_progress(text, lambda tell: asyncio.run(_pull_by_ollama(place, config, name, tell)))
        case _:
            raise UsageProblem(f"'{text}' can't be fetched. There is {NO_KEY_MODEL}, and ollama/MODEL.")
    print(f"{text} is here. Try: agent -m {text}")


async def _pull_by_ollama(place: Place, config: Config, name: str, tell: Progress) -> None:
    provider = place.provider("ollama", config)
    assert isinstance(provider, ollama.OllamaProvider)
    try:
        await provider.pull(name, tell)
    finally:
        await provider.aclose()


async def _offers(place: Place, config: Config) -> list[Offer]:
    names = ["local", *(["ollama"] if await ollama.reachable(place.environ) else [])]
    names += [
        name
        for name in dict.fromkeys((*KEY_VARIABLES, *config.providers))
        if _within_reach(name, place, config)
    ]
    return list(await asyncio.gather(*(_offer(place, config, name) for name in dict.fromkeys(names))))


def _within_reach(name: str, place: Place, config: Config) -> bool:
    """Whether there is a key or an address for the provider."""
    settings = config.providers.get(name, ProviderSettings())
    return bool(settings.base_url or key_of(name, settings, place.environ))


async def _offer(place: Place, config: Config, name: str) -> Offer:
    default = await asyncio.to_thread(default_model, name)
    try:
        provider = place.provider(name, config)
        try:
            models = await asyncio.wait_for(provider.models(), PATIENCE)
        finally:
            await provider.aclose()
    except TimeoutError:
        return Offer(name, (), default, f"no answer in {figures.seconds(PATIENCE)}")
    except CachetError as error:
        return Offer(name, (), default, explain(error))
    return Offer(name, models, default)


def _rows(offer: Offer) -> Iterable[tuple[str, ...]]:
    for model in offer.models[:SHOWN]:
        window = figures.tokens(model.context_window) if model.context_window else figures.UNKNOWN
        note = "the default" if model.name == offer.default else model.note
        yield str(ModelRef(offer.provider, one_line(model.name))), window, one_line(note)


def _object(offer: Offer) -> dict[str, JSON]:
    return {
        "provider": offer.provider,
        "default": offer.default,
        "problem": offer.problem or None,
        "models": [
            {
                "model": f"{offer.provider}/{each.name}",
                "context_window": each.context_window,
                "note": each.note,
            }
            for each in offer.models
        ],
    }


def _with_progress(title: str, work: Callable[[Progress], object]) -> None:
    """Do the work, which tells bytes done and bytes in all, under a progress bar."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns) as bar:
        task = bar.add_task(title, total=None)
        work(lambda done, total: bar.update(task, completed=done, total=total or None))
