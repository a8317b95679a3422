"""Makes a frozen prefix into another one: the one way in which a session changes its model or its effort."""

from __future__ import annotations

from dataclasses import dataclass, replace

from providers.effort import Effort
from providers.types import ModelRef, Prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """What shall be otherwise from the next call on; None leaves it as it is.

    Everything else of the prefix stays, so that going back makes the same one again, and finds in the cache
    what is still there.
    """

    model: ModelRef | None = None
    effort: Effort | None = None

    def of(self, prefix: Prefix) -> Prefix:
        """The prefix after the switch. For another model its provider still has to name the encoder."""
        parameters = prefix.parameters
        if self.model is not None and self.model != prefix.model:
            parameters = replace(parameters, context_window=None, keep_alive=None)  # decided for that model
        if self.effort is not None:
            parameters = replace(parameters, effort=self.effort.level)
        return replace(prefix, model=self.model or prefix.model, parameters=parameters)


STAY = Switch()
