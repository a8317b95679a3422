"""Where runs work: a setup for each workspace, on providers that all sessions share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from providers.provider import Provider
from server.apart import check_apart
from sessions.captures import Captures
from sessions.setup import Providers, Setup

Compose: TypeAlias = Callable[[Path], Setup]
"""Makes the setup of a workspace. Raises ConfigurationError."""


class Workplaces:
    """The setups of the folders that keys work in, made when first needed.

    Providers stay open between runs: a connection is kept, and the embedded engine with all that it has read.
    """

    def __init__(self, compose: Compose) -> None:
        self._compose = compose
        self._setups: dict[Path, Setup] = {}
        self._open: dict[tuple[Path, str], list[Provider]] = {}

    def setup(self, workspace: Path) -> Setup:
        """The setup for a folder, the same for all its runs. Raises ConfigurationError.

        That is refused, too, for a folder that clients may not be let into (see `server.apart`).
        """
        if workspace not in self._setups:
            made = self._compose(workspace)
            for folder in (made.workspace.root, *made.workspace.added):
                check_apart(folder, made.home)
            self._setups[workspace] = replace(
                made,
                providers=self._sharing(workspace, made.providers),
                shared_providers=True,
                captures=Captures(made.workspace.root, made.home),
            )
        return self._setups[workspace]

    async def close(self) -> None:
        """Close every provider that was opened."""
        opened, self._open = self._open, {}
        closing = (provider.aclose() for providers in opened.values() for provider in providers)
        await asyncio.gather(*closing, return_exceptions=True)

    def _sharing(self, workspace: Path, providers: Providers) -> Providers:
        def opened(name: str, encoder: str = "", /) -> Provider:
            there = self._open.setdefault((workspace, name), [])
            for provider in there:
                if encoder in ("", provider.encoder):
                    return provider
            there.append(providers(name, encoder))
            return there[-1]

        return opened
