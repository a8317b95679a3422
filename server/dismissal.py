"""Ends the work of keys that are taken away while the server runs."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from providers.errors import ConfigurationError
from server.service import Service

EVERY = 1.0
"""Seconds. A look at the keys' file costs one system call where it didn't change."""


async def dismiss(service: Service, every: float = EVERY) -> None:
    """Stop the runs of keys that were removed, as soon as that is seen; until it is cancelled.

    While the file can't be read nobody is let in, and what runs goes on: a slip in an editor ends no work.
    """
    while True:
        await asyncio.sleep(every)
        with suppress(ConfigurationError):
            service.dismiss()
