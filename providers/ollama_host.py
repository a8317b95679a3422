"""The address in `OLLAMA_HOST`, read as Ollama's own command reads it."""

from __future__ import annotations

from urllib.parse import urlsplit

from providers.endpoint import without_credentials
from providers.errors import ConfigurationError

PORT = 11434
SCHEME_PORTS = {"http": 80, "https": 443}
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses a server listens on, but nothing can be reached at."""


def host_url(host: str) -> str:
    """The URL of a server named as `host`, `host:port`, `:port` or a URL, without a slash at its end.

    An empty text is this machine. The port is 11434, but with `http://` or `https://` that scheme's own, as
    in Ollama's `envconfig.Host`. Raises ConfigurationError.
    """
    text = without_credentials("ollama", host.strip().strip("\"'"))
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    if rest.count(":") > 1 and not rest.startswith("["):
        rest = f"[{rest}]"
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = parts.port or (SCHEME_PORTS.get(scheme, PORT) if separator else PORT)
    except ValueError as error:
        raise _unusable(host) from error
    if scheme not in SCHEME_PORTS:
        raise _unusable(host)
    name = parts.hostname or "127.0.0.1"
    name = EVERYWHERE.get(name, name)
    at = f"[{name}]" if ":" in name else name
    return f"{scheme}://{at}:{port}{parts.path.rstrip('/')}"


def _unusable(host: str) -> ConfigurationError:
    return ConfigurationError(
        f"OLLAMA_HOST is not an address: {host!r}. Give HOST:PORT, as in 127.0.0.1:{PORT}, or leave it unset."
    )
