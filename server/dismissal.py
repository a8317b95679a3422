"""Ends the work of keys that are taken away while the server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from providers.errors import ConfigurationError

EVERY = 1.0
"""Seconds. A look at the keys' file costs one system call where it didn't change."""

_log = logging.getLogger("cachet.server")


async def dismiss(look: Callable[[], None], every: float = EVERY) -> None:
    """Have a `look` at the keys, which stops the runs of those that were removed, until it is cancelled.

    While the file can't be read nobody is let in, and what runs goes on: a slip in an editor ends no work.
    No error ends this: each is logged, once until a look succeeds again.
    """
    well = True
    while True:
        await asyncio.sleep(every)
        try:
            look()
        except Exception as error:  # whatever it is, the next key that is removed counts all the same
            if well:
                foreseen = isinstance(error, ConfigurationError)
                _log.error(
                    "Cannot see which keys were removed, so what runs goes on: %s",
                    error,
                    exc_info=not foreseen,
                )
            well = False
        else:
            well = True
