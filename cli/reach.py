"""Which providers are within reach of a person, and what each of them offers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from cli import figures
from cli.choose import VARIABLE
from cli.config import Config
from cli.place import Place
from providers import ollama
from providers.endpoint import endpoint_of, is_loopback
from providers.errors import CachetError, ConfigurationError, KeyRefused, Unreachable
from providers.listening import listens
from providers.provider import ModelInfo
from providers.settings import KEY_VARIABLES, ProviderSettings, key_of
from providers.vendors import VENDORS

BEDROCK, BEARER_TOKEN = "bedrock", "AWS_BEARER_TOKEN_BEDROCK"
"""AWS's other credentials are there for other things, and say nothing of models."""

PATIENCE = 15.0
"""Seconds that one provider's list may take, the import of its SDK included."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A provider within reach. `heard`: nobody set it up, something listens where its server would."""

    name: str
    heard: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What one provider offers; `error` says why that is not known."""

    provider: str
    models: tuple[ModelInfo, ...] = ()
    error: CachetError | None = None


async def within_reach(place: Place, config: Config) -> tuple[Reached, ...]:
    """The embedded one, a running Ollama, those with a key or an address, local servers that listen."""
    known = dict.fromkeys((*KEY_VARIABLES, *config.providers, *_by_model(place, config), BEDROCK))
    set_up = [name for name in known if _is_set_up(name, place, config)]
    local = [name for name in VENDORS if name not in set_up and _is_local(name)]
    ollama_runs, *heard = await asyncio.gather(
        ollama.reachable(place.environ), *(_listens(name, place, config) for name in local)
    )
    names = ["local", *(["ollama"] if ollama_runs or "ollama" in set_up else []), *set_up]
    found = [name for name, there in zip(local, heard, strict=True) if there]
    return (*map(Reached, dict.fromkeys(names)), *(Reached(name, heard=True) for name in found))


async def offer(place: Place, config: Config, reached: Reached, seconds: float = PATIENCE) -> Offer | None:
    """What it offers. None for another program at a port where a local server was looked for."""
    name = reached.name
    try:
        provider = place.provider(name, config)
        try:
            async with asyncio.timeout(seconds):
                return Offer(name, await provider.models())
        finally:
            await provider.aclose()
    except TimeoutError:
        late = Unreachable(
            f"{name} gave no list of its models within {figures.seconds(seconds)}. Try it again."
        )
        return None if reached.heard else Offer(name, error=late)
    except CachetError as error:
        if reached.heard and not isinstance(error, KeyRefused):
            return None
        return Offer(name, error=error)


def settings_of(name: str, config: Config) -> ProviderSettings:
    return config.providers.get(name, ProviderSettings())


def _is_set_up(name: str, place: Place, config: Config) -> bool:
    """Whether a person set the provider up: its address, its key, or it is their model's.

    A key that can't be one counts, so that it is told of. A local server's key alone doesn't: whether that
    runs is another matter.
    """
    settings = settings_of(name, config)
    vendor = VENDORS.get(name)
    variable = vendor.base_url_variable if vendor else f"{name.upper()}_BASE_URL"
    moved = settings.base_url or (variable and place.environ.get(variable, "").strip())
    if moved or name in _by_model(place, config):
        return True
    if name == BEDROCK:
        return name in config.providers or bool(place.environ.get(BEARER_TOKEN, "").strip())
    if _is_local(name):
        return False
    try:
        return key_of(name, settings, place.environ) is not None
    except ConfigurationError:
        return True


def _by_model(place: Place, config: Config) -> tuple[str, ...]:
    """The provider of the model that is used when none is named, where a person chose one."""
    named = place.environ.get(VARIABLE, "").strip() or str(config.model or "")
    provider, slash, _ = named.partition("/")
    return (provider,) if slash and provider else ()


def _is_local(name: str) -> bool:
    vendor = VENDORS.get(name)
    return vendor is not None and is_loopback(vendor.base_url)


async def _listens(name: str, place: Place, config: Config) -> bool:
    try:
        return await listens(endpoint_of(name, settings_of(name, config), place.environ).base_url)
    except ConfigurationError:
        return False
