"""Finds the one provider that a name means, and imports no other."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from providers.endpoint import at_own_vendor
from providers.errors import ConfigurationError, UnknownModel
from providers.provider import Provider
from providers.settings import ProviderSettings

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Connector: TypeAlias = Callable[[str, ProviderSettings, Mapping[str, str], Path], Provider]
"""`connect(name, settings, environ, home)`: what a provider's file and an entry point of `GROUP` offer."""

GROUP = "cachet.providers"

BUILT_IN: Mapping[str, str] = {
    "anthropic": "providers.anthropic",
    "openai": "providers.openai_responses",
    "gemini": "providers.openai_chat",
    "groq": "providers.openai_chat",
    "xai": "providers.openai_chat",
    "deepseek": "providers.openai_chat",
    "mistral": "providers.openai_chat",
    "openrouter": "providers.openai_chat",
    "lmstudio": "providers.openai_chat",
    "vllm": "providers.openai_chat",
    "llamacpp": "providers.openai_chat",
    "litellm": "providers.openai_chat",
    "bedrock": "providers.bedrock",
    "litellm-sdk": "providers.litellm_sdk",
    "ollama": "providers.ollama",
    "local": "providers.local",
    "scripted": "providers.scripted",
}

WIRES: Mapping[str, str] = {
    "openai-chat": "providers.openai_chat",
    "openai-responses": "providers.openai_responses",
    "anthropic": "providers.anthropic",
    "bedrock": "providers.bedrock",
    "ollama": "providers.ollama",
}
"""What `wire` may be in `[providers.NAME]`, for endpoints of one's own."""

OWN_WIRE = "openai-chat"
OPENAI_WIRES = (WIRES["openai-chat"], WIRES["openai-responses"])

MAKERS: Mapping[str, str] = {
    "claude": "anthropic",
    "gpt": "openai",
    "grok": "xai",
    "google": "gemini",
    "aws": "bedrock",
    "amazon": "bedrock",
}
"""What people type for a provider when they think of its models."""


def open_provider(
    name: str,
    settings: Mapping[str, ProviderSettings],
    environ: Mapping[str, str],
    home: Path,
    *,
    encoder: str = "",
) -> Provider:
    """The provider called `name`: built in, configured with a `base_url`, or another package's.

    `settings` is `[providers]` of the configuration, by name; `home` is Cachet's own folder. `encoder` is the
    one that a session was begun with: its wire is kept where the endpoint speaks several and the settings
    name none, so that the session goes on with the bytes it always sent. Raises UnknownModel, MissingKey, and
    ConfigurationError for settings that cannot work.
    """
    own = settings.get(name, ProviderSettings())
    if own.wire and own.wire not in WIRES:
        raise ConfigurationError(
            f"No wire named {own.wire!r} in [providers.{name}]. It can be: {', '.join(WIRES)}."
        )
    module = _module(name, own, environ, encoder)
    connect = _connector(name, settings) if module is None else importlib.import_module(module).connect
    return cast(Connector, connect)(name, own, environ, home)


def provider_names(settings: Mapping[str, ProviderSettings]) -> tuple[str, ...]:
    """Every provider that can be named: those built in, those configured, those of other packages.

    Looks through the installed packages, so not for use at start-up.
    """
    configured = (name for name, own in settings.items() if own.base_url)
    return tuple(dict.fromkeys((*BUILT_IN, *configured, *(point.name for point in _entry_points()))))


def _module(name: str, own: ProviderSettings, environ: Mapping[str, str], encoder: str) -> str | None:
    """The module of the wire that a provider speaks; None for one that is neither built in nor configured."""
    if own.wire:
        return WIRES[own.wire]
    usual = BUILT_IN.get(name) or (WIRES[OWN_WIRE] if own.base_url else None)
    if name == "openai" and not at_own_vendor(name, own, environ):
        return WIRES[OWN_WIRE]  # what answers there is somebody else's, and need not know the newer wire
    kept = WIRES.get(encoder.partition("/")[0])
    return kept if kept and usual in OPENAI_WIRES else usual


def _connector(name: str, settings: Mapping[str, ProviderSettings]) -> Connector:
    """Another package's provider."""
    for point in _entry_points():
        if point.name == name:
            return _loaded(point)
    if name in settings:
        raise ConfigurationError(f"[providers.{name}] has no base_url. Add the address of its endpoint.")
    meant = _nearest(name, provider_names(settings))
    raise UnknownModel(f"No provider named {name!r}. Try {meant}/<model>, or run: agent models")


def _entry_points() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(entry_points(group=GROUP))


def _loaded(point: EntryPoint) -> Connector:
    try:
        return cast(Connector, point.load())
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist else point.value
        raise ConfigurationError(
            f"The provider {point.name!r} of the package {package} cannot be loaded ({error}). "
            "Update that package, or uninstall it."
        ) from error


def _nearest(name: str, names: tuple[str, ...]) -> str:
    """The provider that was probably meant."""
    for maker, provider in MAKERS.items():
        if name.lower().startswith(maker):
            return provider
    return next(iter(difflib.get_close_matches(name.lower(), names, 1)), "openai")
