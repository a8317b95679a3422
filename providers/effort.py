"""How hard a model shall think: the words a person may say, and the nearest one that a wire has."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from providers.errors import ConfigurationError


class Effort(StrEnum):
    """`default` says nothing to the model, which then does as its maker thinks best."""

    DEFAULT = "default"
    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"

    @classmethod
    def parse(cls, text: str) -> Effort:
        """The effort a person named. Raises ConfigurationError, which lists them."""
        try:
            return cls(text.strip().lower())
        except ValueError as error:
            raise ConfigurationError(f"No effort {text.strip()!r}. There are: {', '.join(cls)}.") from error

    @property
    def level(self) -> str | None:
        """What `Parameters.effort` holds: None where nothing is to be said."""
        return None if self is Effort.DEFAULT else self.value


LEVELS = tuple(effort.value for effort in Effort if effort is not Effort.DEFAULT)
"""From the least to the most."""


def nearest(effort: str, offered: Sequence[str]) -> str:
    """The highest of `offered` that is not above `effort`, else the lowest; a word of neither list passes.

    `offered` is in the order of `LEVELS`, without `none`: not to think at all is said otherwise.
    """
    if effort in offered or effort not in LEVELS:
        return effort
    wanted = LEVELS.index(effort)
    below = [level for level in offered if LEVELS.index(level) < wanted]
    return below[-1] if below else offered[0]
