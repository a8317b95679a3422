"""What the two ways to answer have in common: one object at the end, or a stream of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from agent.events import Event
from providers.types import JSON
from server.run import Outcome, Run


class Translator(Protocol):
    """Turns a run's events into the objects of a stream. Feed it every event in order, then end it."""

    def begin(self) -> Iterable[Mapping[str, JSON]]: ...

    def feed(self, event: Event) -> Iterable[Mapping[str, JSON]]: ...

    def end(self, outcome: Outcome) -> Iterable[Mapping[str, JSON]]: ...


class Form(Protocol):
    """How one endpoint answers."""

    @property
    def kind(self) -> str:
        """What its ids begin with."""
        ...

    @property
    def named(self) -> bool:
        """Whether each event of its streams is named after its `type`."""
        ...

    @property
    def last(self) -> bytes:
        """What its streams end with."""
        ...

    @property
    def begins_at_once(self) -> bool:
        """Whether its streams tell of a failure themselves: others wait a moment to see whether one comes."""
        ...

    def whole(self, run: Run, outcome: Outcome) -> tuple[int, dict[str, JSON]]:
        """The HTTP status and the one object for a run that is over."""
        ...

    def started(self, run: Run) -> dict[str, JSON] | None:
        """The one object for a run that has just begun; None where there is none before the end."""
        ...

    def translator(self, run: Run) -> Translator: ...

    def replayed(self, body: dict[str, JSON]) -> Iterable[Mapping[str, JSON]]:
        """The stream of an answer of which only the one object is left."""
        ...
