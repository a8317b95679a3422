"""Whether anything listens at an address, asked with a bare socket."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from providers.endpoint import is_loopback

SECONDS = 0.3
"""How long another machine is waited for: somebody waits for the prompt."""
HERE_SECONDS = 3.0
"""This machine answers or refuses at once; only a busy one takes longer."""

PORTS = {"http": 80, "https": 443}


async def listens(url: str, seconds: float | None = None) -> bool:
    """Whether a connection to `url` can be made within `seconds`. Nothing is sent; never raises."""
    if seconds is None:
        seconds = HERE_SECONDS if is_loopback(url) else SECONDS
    try:
        address = urlsplit(url)
        port = address.port or PORTS.get(address.scheme, 0)
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address.hostname, port)
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    return True
