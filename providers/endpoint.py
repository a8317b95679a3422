"""Where an OpenAI-compatible endpoint is and what it wants: its vendor's facts under a person's settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from providers.errors import ConfigurationError
from providers.settings import ProviderSettings, key_of, required_key
from providers.vendors import VENDORS, Vendor

OFF = "-"
"""Before a quirk's name in the configuration: this endpoint does not have it, whatever its vendor says."""


QUIRKS = (
    "affinity:",
    "cache_diagnostics",
    "effort:",
    "effort_off:",
    "efforts:",
    "max_completion_tokens",
    "nine_letter_call_ids",
    "prompt_cache_key",
    "reasoning_content",
    "short_call_ids",
)
"""What may be configured; `openai_request` says what each means. A value follows where a colon stands."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint, ready to be called."""

    name: str
    base_url: str
    """Without a slash at its end."""
    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request; may hold a gateway's credentials."""
    quirks: frozenset[str] = frozenset()
    stall_seconds: float | None = None
    """How long it may send nothing before a call counts as stalled; None leaves it to the wire."""


def endpoint_of(name: str, settings: ProviderSettings, environ: Mapping[str, str]) -> Endpoint:
    """The endpoint of provider `name`. Raises ConfigurationError; MissingKey where a known vendor's has none.

    The address is the configured one, else that of the vendor's variable, else the vendor's. A key is needed
    wherever the address turns out to be that of a vendor who wants one, whatever the provider is called.
    """
    named, base_url = VENDORS.get(name), _base_url(name, settings, environ)
    there = _vendor_at(base_url)
    key_for = required_key if there is not None and there.needs_key else key_of
    key = key_for(name, settings, environ)
    quirks = frozenset(quirk for vendor in (named, there) if vendor for quirk in vendor.quirks)
    if there:
        quirks |= there.host_quirks
    _check_quirks(name, settings.quirks)
    wanted = _overridden(quirks, settings.quirks)
    return Endpoint(name, base_url, key, settings.headers, wanted, settings.stall_seconds)


def at_own_vendor(name: str, settings: ProviderSettings, environ: Mapping[str, str]) -> bool:
    """Whether provider `name` is at the host of the vendor it is named after. Raises ConfigurationError."""
    named = VENDORS.get(name)
    return named is not None and same_host(_base_url(name, settings, environ), named.base_url)


def is_loopback(url: str) -> bool:
    """Whether `url` is on this machine, where no proxy has any business. Never raises."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_credentials(name: str, url: str) -> str:
    """The address of provider `name`. Raises ConfigurationError where it holds a user or a password:
    addresses stand in journals and in what people are shown."""
    host = url.rpartition("://")[2].partition("/")[0]
    if "@" not in host:
        return url
    raise ConfigurationError(
        f"The base_url of {name} holds a user name or a password, and addresses are kept in journals. "
        f'Put it into [providers.{name}.headers], as in Authorization = "Basic BASE64"'
    )


def same_host(url: str, other: str) -> bool:
    """Whether `url` is at `other`'s host, or at a regional one below it."""
    host, wanted = urlsplit(url).hostname or "", urlsplit(other).hostname or ""
    return host == wanted or host.endswith("." + wanted)


def _base_url(name: str, settings: ProviderSettings, environ: Mapping[str, str]) -> str:
    named = VENDORS.get(name)
    variable = named.base_url_variable if named else ""
    return _checked(
        name,
        settings.base_url or environ.get(variable, "").strip() or (named.base_url if named else ""),
        source=variable if variable and not settings.base_url else f"[providers.{name}] base_url",
    )


def _vendor_at(base_url: str) -> Vendor | None:
    """The vendor whose host this is; on this machine anything may listen at a known port."""
    if is_loopback(base_url):
        return None
    return next((vendor for vendor in VENDORS.values() if same_host(base_url, vendor.base_url)), None)


def _check_quirks(name: str, configured: frozenset[str]) -> None:
    """Raises ConfigurationError for a quirk that nothing would heed."""
    for quirk in sorted(configured):
        word, colon, _ = quirk.removeprefix(OFF).partition(":")
        if word + colon not in QUIRKS:
            raise ConfigurationError(
                f"[providers.{name}] has a quirk that is none: {quirk!r}. There are: {', '.join(QUIRKS)}"
            )


def _overridden(quirks: frozenset[str], configured: frozenset[str]) -> frozenset[str]:
    """The vendor's quirks and a person's: `-NAME` takes one away, `NAME:VALUE` replaces another value."""
    off = {quirk.removeprefix(OFF) for quirk in configured if quirk.startswith(OFF)}
    on = {quirk for quirk in configured if not quirk.startswith(OFF)}
    valued = {quirk.partition(":")[0] for quirk in on if ":" in quirk}
    return frozenset(on | {quirk for quirk in quirks - off if quirk.partition(":")[0] not in valued})


def _checked(name: str, base_url: str, *, source: str) -> str:
    without_credentials(name, base_url)
    try:
        parts = urlsplit(base_url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ConfigurationError(
            f"The base_url of {name} is not a web address: {base_url!r}. "
            f"Give one like https://HOST/v1 in {source}"
        )
    return base_url.rstrip("/")
