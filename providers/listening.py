"""Whether anything listens at an address, asked with a bare socket."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

SECONDS = 0.3
"""On this machine an answer takes a thousandth of that."""

PORTS = {"http": 80, "https": 443}


async def listens(url: str, seconds: float = SECONDS) -> bool:
    """Whether a connection to `url` can be made within `seconds`. Nothing is sent; never raises."""
    try:
        address = urlsplit(url)
        port = address.port or PORTS.get(address.scheme, 0)
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address.hostname, port)
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    return True
