"""A conversation and the model that answers it: how far it was sent, and how much of the window it fills."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from agent.parts import Part, shares
from agent.room import Room, measured
from agent.state import AgentState
from providers.errors import ProviderError
from providers.provider import Provider, Settles
from providers.types import Prefix, Request
from sessions.cachebook import CacheBook
from sessions.records import CallLine
from sessions.traffic import Reached, filled

SMALLEST_WINDOW = 3_000
"""Tokens. No model that can call tools has a context window smaller than 4,096."""


class Dialogue:
    """The live conversation on the prefix in force; the model may change, the conversation goes on.

    Whatever changes here keeps `state.previous_end` at the place that was sent last on this prefix.
    """

    def __init__(
        self,
        state: AgentState,
        prefix: Prefix,
        provider: Provider,
        reached: Mapping[Prefix | None, Reached],
        cache: CacheBook,
    ) -> None:
        """`reached` tells how far it was sent before, on each prefix."""
        self.state = state
        self.prefix = prefix
        self.provider = provider
        self._reached = dict(reached)
        self._window: int | None = None
        self._cache = cache

    # --- what was sent of it --------------------------------------------------------------------------------

    def answered(self, call: CallLine) -> None:
        """A call of the conversation was answered; it sent all of it."""
        self._reached[self.prefix] = Reached(call, self.state.previous_end)

    def summed_up(self) -> None:
        """A summary took the conversation's place: as it is now, no call sent it."""
        self._reached = {}

    def taken_back(self, state: AgentState, reached: Mapping[Prefix | None, Reached]) -> None:
        """The conversation is an earlier one again, of which so much was sent; its bill is what it was."""
        self.state.messages[:] = state.messages
        self.state.turn_count = state.turn_count
        self._reached = dict(reached)
        self.state.previous_end = self._end()

    def _end(self) -> str | None:
        found = self._reached.get(self.prefix)
        return found.end if found else None

    # --- who answers it -------------------------------------------------------------------------------------

    def continue_on(self, prefix: Prefix, provider: Provider) -> None:
        """Go on with another prefix, and perhaps with another provider."""
        self.prefix, self.provider, self._window = prefix, provider, None
        self.state.previous_end = self._end()

    async def settle(self) -> bool:
        """Freeze the parameters that only the endpoint can tell, before the first call on the prefix.

        Whether that made another prefix of it.
        """
        fixed = self.prefix.parameters.context_window is not None or self.prefix in self._reached
        if fixed or not isinstance(self.provider, Settles):
            return False
        parameters = await self.provider.settled(self.prefix.model.name, self.prefix.parameters)
        if parameters == self.prefix.parameters:
            return False
        self.continue_on(replace(self.prefix, parameters=parameters), self.provider)
        return True

    # --- its room in the model's context window -------------------------------------------------------------

    async def window(self) -> int | None:
        """The model's context window in tokens, asked once; None where nobody knows it."""
        if self._window is None:
            self._window = await self.provider.context_window(self.prefix.model.name)
        return self._window

    @property
    def filled(self) -> int:
        """Tokens of it as of its last call; an estimate where none sent it as it is now.

        0 where it has no messages, and before anything was answered.
        """
        return self._cache.length(self.prefix, self.state.messages, filled(self._reached))

    async def room(self) -> Room:
        """How much of the window it fills as it is now."""
        return await self.gauge(self._request())

    async def gauge(self, request: Request) -> Room:
        """How much of the window a request that continues it fills."""
        return await self.room_of(request, self._reached.get(self.prefix))

    async def room_of(self, request: Request, reached: Reached | None) -> Room:
        """How much of the window a request on this prefix fills, a sub-agent's too.

        `reached` is how far its own conversation was sent before.
        """
        counted = reached.call.usage if reached and reached.end == request.previous_end else None
        room = measured(request, None, counted) if counted else self._estimated(request)
        if room.filled < SMALLEST_WINDOW:
            return room  # any window has room for it: the endpoint needn't be asked
        with suppress(ProviderError):
            return replace(room, window=await self.window())
        return room

    def parts(self, filled: int) -> dict[Part, int]:
        """Tokens of each part of it, where all of it fills so many."""
        return shares(self._request(), filled)

    def _estimated(self, request: Request) -> Room:
        """The request's room where no call has sent its beginning."""
        cache = self._cache
        return Room(None, cache.estimated(request.prefix, request.messages), cache.scale)

    def _request(self) -> Request:
        return self.state.request(self.prefix)
