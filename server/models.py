"""The models that clients may ask for: those the server was started with, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from providers.types import ModelRef
from server.answers import Model, ModelList
from server.errors import INVALID, ApiError, not_found
from server.schemas import MODEL


@dataclass(frozen=True, slots=True)
class Models:
    """The first is the default; a client calls it `cachet`, too."""

    offered: tuple[ModelRef, ...]
    started: float
    """Seconds since the epoch: OpenAI's list wants a date."""

    @property
    def default(self) -> ModelRef:
        return self.offered[0]

    def named(self, name: str) -> ModelRef | None:
        """The model of that name; None for the alias, which means a session's own. Raises ApiError."""
        if name == MODEL:
            return None
        for model in self.offered:
            if name == str(model):
                return model
        known = ", ".join((MODEL, *map(str, self.offered)))
        raise not_found(f"There is no model {name!r} here. There are: {known}", "model", "model_not_found")

    def going_on(self, had: ModelRef | None, *, named: bool) -> ModelRef | None:
        """What the alias means where a session goes on that had this model; None for that one.

        No client is given a model that isn't offered (any more). Whoever `named` the session is told:
        ApiError (409). A history that was recognised by itself goes on with the default, as a new one begins.
        """
        if had in self.offered:
            return None
        if had is None or not named:
            return self.default
        raise ApiError(
            409,
            INVALID,
            "model_not_offered",
            f"This session goes on with {had}, which the server doesn't offer. To go on with another model "
            f"send its name: {', '.join(map(str, self.offered))}",
            "model",
        )

    def listed(self) -> ModelList:
        """`GET /v1/models`."""
        return {"object": "list", "data": [self.described(name) for name in self._names()]}

    def described(self, name: str) -> Model:
        """One of them as OpenAI describes models. Raises ApiError."""
        model = self.named(name) or self.default
        return {
            "id": name,
            "object": "model",
            "created": int(self.started),
            "owned_by": model.provider,
            "model": str(model),
        }

    def _names(self) -> Sequence[str]:
        return (MODEL, *map(str, self.offered))
