"""The provider of commands that open a session without calling a model, so that they need no key."""

from __future__ import annotations

from dataclasses import dataclass

from providers.call import Call
from providers.errors import ConfigurationError
from providers.provider import ModelInfo
from providers.types import Request


@dataclass(slots=True)
class Offline:
    """Stands in for the provider `name`; whatever would call it raises ConfigurationError."""

    name: str
    encoder: str = ""

    def stream(self, request: Request) -> Call:
        raise ConfigurationError(f"{request.prefix.model} was called by a command that calls no model.")

    async def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def context_window(self, model: str) -> int | None:
        return None

    async def models(self) -> tuple[ModelInfo, ...]:
        return ()

    async def aclose(self) -> None:
        """Nothing is open."""
