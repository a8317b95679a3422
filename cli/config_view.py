"""`agent config`: where the configuration lies, and what it comes to, without a secret."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping

from agent.permissions import Mode
from cli.choose import VARIABLE
from cli.config import FILE, Config, Loaded
from cli.place import Place
from providers.settings import KEY_VARIABLES, ProviderSettings
from providers.types import JSON

MASKED = "••••"
SHOWN_END = 4
SHORTEST_WITH_END = 16
"""Characters. Of a shorter secret not even the end is shown."""


def show(*, as_json: bool) -> None:
    """Print the configuration in force in the current folder."""
    place = Place.of(os.environ)
    view = effective(place, place.configuration())
    if as_json:
        print(json.dumps(view, indent=2, ensure_ascii=False))
        return
    for line in _lines(view):
        print(line)


def effective(place: Place, loaded: Loaded) -> dict[str, JSON]:
    """The configuration as plain values; keys and headers masked."""
    config = loaded.config
    return {
        "home": str(place.home),
        "file": str(place.home / FILE),
        "read": [str(path) for path in loaded.files],
        "untrusted": str(loaded.untrusted.path) if loaded.untrusted else None,
        "notices": list(loaded.notices),
        "model": place.environ.get(VARIABLE) or (str(config.model) if config.model else None),
        "effort": config.effort,
        "cache_ttl": config.cache_ttl or "auto",
        "keep_warm": config.keep_warm or False,
        "auto_compact": config.auto_compact is not False,
        "permission_mode": (config.permission_mode or Mode.ASK).value,
        "allow_tools": sorted(config.allow_tools),
        "deny_tools": sorted(config.deny_tools),
        "pass_env": list(config.pass_env),
        "keys": _keys(place.environ),
        "providers": {name: _provider(settings) for name, settings in config.providers.items()},
        "prices": _prices(config),
    }


def masked(secret: str) -> str:
    """Enough of a secret to tell which one it is."""
    return MASKED + (secret[-SHOWN_END:] if len(secret) >= SHORTEST_WITH_END else "")


def without_password(url: str) -> str:
    """The address with the name and password in front of its host masked, if there are any."""
    return re.sub(r"(?<=//)[^/?#]*@", f"{MASKED}@", url)


def _keys(environ: Mapping[str, str]) -> dict[str, JSON]:
    return {name: masked(environ[name]) for name in KEY_VARIABLES.values() if environ.get(name, "").strip()}


def _provider(settings: ProviderSettings) -> dict[str, JSON]:
    return {
        "base_url": settings.base_url and without_password(settings.base_url),
        "api_key": masked(settings.api_key) if settings.api_key else None,
        "headers": {name: masked(value) for name, value in settings.headers.items()},
        "quirks": sorted(settings.quirks),
        "wire": settings.wire or None,
        "context_window": settings.context_window,
        "keep_alive": settings.keep_alive,
        "stall_seconds": settings.stall_seconds,
    }


def _prices(config: Config) -> dict[str, JSON]:
    return {
        name: {
            "input": rates.input,
            "output": rates.output,
            "cache_read": rates.cache_read,
            "cache_write": rates.cache_write,
            "cache_write_1h": rates.cache_write_1h,
        }
        for name, rates in config.prices.items()
    }


def _lines(view: Mapping[str, JSON], indent: str = "") -> list[str]:
    """The values one on a line, what is empty left out."""
    lines: list[str] = []
    for name, value in view.items():
        if isinstance(value, dict):
            inner = _lines(value, indent + "  ")
            lines += [f"{indent}{name}:", *inner] if inner else []
        elif isinstance(value, list):
            lines += [f"{indent}{name}: {', '.join(map(str, value))}"] if value else []
        elif value is not None:
            lines.append(f"{indent}{name}: {value}")
    return lines
