"""How many requests a key may send, and how many wrong keys may come from one address.

A key can't be guessed: it has 256 random bits. What the second limit keeps short is the noise, and the time
that an attacker may try at all. It shuts out nobody who has been let in from that address before, or a
forgotten dashboard with an old key would lock out everybody else behind the same proxy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network

from server.bucket import Bucket
from server.errors import rate_limited
from server.keys import ClientKey

REQUESTS = 600
"""A minute, for each key: a few programs that ask every second what became of their runs."""
REQUESTS_A_TURN = 10
"""For each turn that a key may begin: one that may do much is asked about much."""
WRONG_KEYS = 300
"""A minute, from one address."""
ADDRESSES = 4096
"""That are remembered for their wrong keys."""


class Turnstile:
    """Counts requests. It belongs to one thread: that of the event loop. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._keys: dict[str, Bucket] = {}
        self._addresses: dict[str, _Address] = {}

    def admit(self, key: ClientKey, address: str) -> None:
        """A request with this key has come. Raises ApiError (429) for one too many."""
        now = self._clock()
        place = self._place(address, now)
        if key.id not in place.known and (wait := place.wrong.wait(WRONG_KEYS, now)):
            raise _too_many_wrong(wait)
        place.known.add(key.id)
        most = requests_a_minute(key)
        bucket = self._keys.setdefault(key.id, Bucket.full(most, now))
        if wait := bucket.take(most, now):
            message = f"This key may send {most} requests a minute, of whatever kind. Wait {wait} s."
            raise rate_limited(message, wait)

    def turn_away(self, address: str) -> None:
        """A wrong key has come. Raises ApiError (429) where there were too many of them."""
        now = self._clock()
        if wait := self._place(address, now).wrong.take(WRONG_KEYS, now):
            raise _too_many_wrong(wait)

    def _place(self, address: str, now: float) -> _Address:
        name = _network(address)
        if name not in self._addresses:
            self._forget(now)
            self._addresses[name] = _Address(Bucket.full(WRONG_KEYS, now))
        return self._addresses[name]

    def _forget(self, now: float) -> None:
        """Make room for one more address: those that sent no wrong key of late go, then the oldest one."""
        if len(self._addresses) < ADDRESSES:
            return
        quiet = [
            name
            for name, place in self._addresses.items()
            if not place.wrong.wait(WRONG_KEYS, now) and place.wrong.tokens >= WRONG_KEYS
        ]
        for name in quiet or [next(iter(self._addresses))]:
            del self._addresses[name]


@dataclass(slots=True)
class _Address:
    """What is remembered of where requests came from."""

    wrong: Bucket
    known: set[str] = field(default_factory=set)
    """Ids of the keys that were let in from there."""


def requests_a_minute(key: ClientKey) -> int:
    """Of whatever kind, those that begin a turn too: these have a limit of their own."""
    return max(REQUESTS, REQUESTS_A_TURN * key.per_minute)


def _network(address: str) -> str:
    """The address; of IPv6 the network that one subscriber has all of."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else address


def _too_many_wrong(wait: int) -> Exception:
    message = f"Too many wrong keys came from your address. Wait {wait} s, and mend the key that is sent."
    return rate_limited(message, wait, "too_many_wrong_keys")
