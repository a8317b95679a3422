"""The Protocol that a provider fulfils."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from providers.call import Call
from providers.types import Parameters, Request


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a provider offers. `context_window` in tokens, None where unknown."""

    name: str
    context_window: int | None = None
    note: str = ""


class Provider(Protocol):
    """One endpoint. Making one is cheap; its SDK is imported by `prepare` or the first call.

    A class that inherits from this has to bring `name`, `encoder` and `stream`; the rest does nothing then.
    """

    name: str
    """The name in `provider/model`: `anthropic`, or NAME of `[providers.NAME]`."""
    encoder: str
    """The wire and the version of its encoder, pinned in a session's prefix: `anthropic/1`."""

    def stream(self, request: Request) -> Call:
        """A call, not yet sent. It raises only `providers.errors` when entered or iterated."""
        ...

    async def prepare(self) -> None:
        """Do early what the first call would wait for: import the SDK, start an engine. Idempotent."""
        return

    async def context_window(self, model: str) -> int | None:
        """The model's context window in tokens, None where unknown. May ask the endpoint."""
        return None

    async def models(self) -> tuple[ModelInfo, ...]:
        """What the endpoint offers. Raises ProviderError."""
        return ()

    async def aclose(self) -> None:
        """Close connections and child processes."""
        return


@runtime_checkable
class Settles(Protocol):
    """A provider with parameters that only its endpoint or its settings can tell."""

    async def settled(self, model: str, parameters: Parameters) -> Parameters:
        """The parameters to begin a conversation with; from then on they are frozen with its prefix.

        What cannot be found out is left as it was: the call that follows tells why.
        """
        ...
