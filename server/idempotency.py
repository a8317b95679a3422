"""Requests that are sent twice with one `Idempotency-Key` begin one run."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from server.errors import ApiError, conflict
from server.run import Run
from server.shelf import Shelf, Shelved

Earlier: TypeAlias = Run | Shelved
"""What an earlier request began: a run under way, or its answer."""


class Claims:
    """Who came first with which idempotency key, each client for itself."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._waiting: dict[tuple[str, str], tuple[str, asyncio.Future[Run]]] = {}

    async def earlier(self, client: str, token: str, request: str) -> Earlier | None:
        """What the first request with this key began; None for that request itself, which must `settle` it.

        `request` is the request's digest. Raises ApiError where another request had the same key.
        """
        claimed = self._waiting.get((client, token))
        if claimed is None:
            self._waiting[client, token] = (request, asyncio.get_running_loop().create_future())
            try:
                found = await asyncio.to_thread(self._shelf.by_token, client, token)
            except BaseException:  # the client left: whoever asks again is the first one
                self.release(client, token)
                raise
            if found is None:
                return None
            self.release(client, token)
            _check(found.request, request)
            if found.status == 0:
                raise conflict("The first request with this Idempotency-Key ended with the server.")
            return found
        _check(claimed[0], request)
        try:
            return await asyncio.shield(claimed[1])
        except asyncio.CancelledError:
            if claimed[1].cancelled():
                raise conflict("The first request with this Idempotency-Key failed.", retry_after=1) from None
            raise

    def settle(self, client: str, token: str, run: Run) -> None:
        """The first request's run has begun: those who wait hear it too."""
        if (claimed := self._waiting.get((client, token))) is not None and not claimed[1].done():
            claimed[1].set_result(run)

    def release(self, client: str, token: str) -> None:
        """The run is over and on the shelf, or never began."""
        if (claimed := self._waiting.pop((client, token), None)) is not None:
            claimed[1].cancel()


def _check(first: str, now: str) -> None:
    if first != now:
        raise ApiError(
            422,
            "invalid_request_error",
            "idempotency_key_reused",
            "This Idempotency-Key was sent with another request. Send a new key with a new request.",
        )
