"""What every request passes before it is read: where it came from, how large it is, whose key it has.

Plain ASGI, so that streams pass through untouched. A page in a person's browser can send requests to
loopback: it can't set `Host` or hide its `Origin`, so a name that was rebound to 127.0.0.1 shows in the one
and a foreign page in the other. No CORS header is ever sent: no page may read an answer.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from providers.errors import ConfigurationError
from server.errors import ApiError, api_error, bad_request, forbidden, too_large, unauthorized
from server.keys import ClientKey, KeyRing
from server.turnstile import Turnstile

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
OPEN_PATHS = frozenset({"/health"})
"""What is answered without a key."""

Headers = Sequence[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case, in the order in which they came."""

_HOST = re.compile(rb"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_BEARER = re.compile(rb"bearer +([\x21-\x7e]+) *", re.IGNORECASE)
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))

_log = logging.getLogger("cachet.server")


class Guard:
    """Refuses a foreign `Host` or `Origin` with 403 and a body over `largest` bytes with 413.

    `hosts` are names the server answers to beside those of loopback, without a port and in lower case (an
    IPv6 address in brackets); `origins` are whole origins such as `http://localhost:3000`. Every answer gets
    an `x-request-id`, which stands in `scope["state"]["request_id"]` too, and is stored by no cache.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], origins: frozenset[str], largest: int) -> None:
        self.app = app
        self.hosts = LOOPBACK | hosts
        self.origins = origins
        self.largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request_id = f"req_{secrets.token_hex(12)}"
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        try:
            self._inspect(scope["headers"])
            await self.app(scope, _Limited(receive, self.largest, answer), answer)
        except Exception as error:
            if answer.whole:  # Starlette answers what it can't handle, and raises it all the same
                return
            if answer.begun:
                raise
            if not isinstance(error, ApiError):
                _log.error("%s: %s", request_id, error, exc_info=True)
            await refuse(api_error(error), answer)

    def _inspect(self, headers: Headers) -> None:
        """Raises ApiError: 400, 403, 413."""
        if _host(headers) not in self.hosts:
            raise forbidden("This server does not answer to the name in the Host header.", "host_not_allowed")
        if any(origin not in self.origins for origin in _texts(headers, b"origin")):
            raise forbidden("Web pages may not use this server: the Origin header.", "origin_not_allowed")
        lengths = set(_values(headers, b"content-length"))
        if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
            raise bad_request("The Content-Length header is no number of bytes.", code="bad_content_length")
        if any(int(length) > self.largest for length in lengths):
            raise _over(self.largest)


class Identified:
    """Lets nobody in without a key, to any path but `/health`: not even to hear that there is no such path.

    Nor with one that sends more than it may (see `server.turnstile`). The key stands in
    `scope["state"]["client"]`.
    """

    def __init__(self, app: ASGIApp, ring: KeyRing, turnstile: Turnstile | None = None) -> None:
        self.app = app
        self.ring = ring
        self.turnstile = turnstile or Turnstile()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                scope.setdefault("state", {})["client"] = self._identify(scope)
            except ApiError as error:
                await refuse(error, send)
                return
        await self.app(scope, receive, send)

    def _identify(self, scope: Scope) -> ClientKey:
        """The key a request was sent with. Raises ApiError: 401, 429, 500 where the ring can't be read."""
        secret = bearer(scope["headers"])
        if not secret:
            raise unauthorized()
        try:
            key = self.ring.authenticate(secret)
        except ConfigurationError as error:
            _log.error("%s", error)
            raise api_error(error) from error
        address = scope["client"][0] if scope.get("client") else ""
        if key is None:
            self.turnstile.turn_away(address)
            raise unauthorized()
        self.turnstile.admit(key, address)
        return key


def bearer(headers: Headers) -> str | None:
    """What stands in `Authorization: Bearer …`; None where it stands nowhere, or twice."""
    match _values(headers, b"authorization"):
        case [value] if found := _BEARER.fullmatch(value):
            return found[1].decode("ascii")
        case _:
            return None


async def refuse(error: ApiError, send: Send) -> None:
    """Answer with an error's envelope, whole."""
    body = json.dumps(error.body()).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **error.headers(),
    }
    raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


class _Limited:
    """A request's body, counted while it comes in: it need not have named its length."""

    def __init__(self, receive: Receive, largest: int, answer: _Answer) -> None:
        self._receive = receive
        self._largest = largest
        self._answer = answer
        self._read = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            if self._read > self._largest:
                error = _over(self._largest)
                await self._answer.overrule(error)
                raise error
        return message


class _Answer:
    """An answer on its way out, with the headers that all have."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._headers = [*_ALWAYS, (b"x-request-id", request_id.encode("ascii"))]
        self.begun = False
        self.whole = False

    async def overrule(self, error: ApiError) -> None:
        """Answer with this error, whatever the application makes of it; too late once an answer has begun."""
        if not self.begun:
            await refuse(error, self)

    async def __call__(self, message: Message) -> None:
        if self.whole:  # overruled: nothing more of the application's is sent
            return
        if message["type"] == "http.response.start":
            self.begun = True
            ours = {name for name, _ in self._headers}
            kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in ours]
            message = {**message, "headers": [*kept, *self._headers]}
        elif message["type"] == "http.response.body":
            self.whole = not message.get("more_body", False)
        await self._send(message)


def _host(headers: Headers) -> str | None:
    """The name in the one `Host` header, without its port; None where there is none or it is no name."""
    match _values(headers, b"host"):
        case [value] if found := _HOST.fullmatch(value):
            return found[1].decode("ascii").lower()
        case _:
            return None


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _texts(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for value in _values(headers, name)]


def _over(largest: int) -> ApiError:
    return too_large(f"The request's body is larger than this server takes: {largest} bytes.")
