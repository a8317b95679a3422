"""What a person may set for one provider, where config and environment meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from providers.errors import ConfigurationError, MissingKey
from providers.vendors import VENDORS

KEY_VARIABLES: Mapping[str, str] = {
    "anthropic": "ANTHROPIC_API_KEY",
    **{name: vendor.key_variable for name, vendor in VENDORS.items() if vendor.key_variable},
}
"""The environment variable that holds a provider's key, in the order in which a default is looked for."""

NO_KEY_MODEL = "local/smollm2"
"""The model that needs neither key nor network: what an error about either points at."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """`[providers.NAME]` of the configuration. What is left out here may come from the environment."""

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request; may hold a gateway's credentials."""
    quirks: frozenset[str] = frozenset()
    """Names of deviations an endpoint wants; each wire's file says which it knows."""
    wire: str = ""
    """The wire an endpoint of one's own speaks; empty means OpenAI's chat completions."""
    context_window: int | None = None
    """Tokens of context to ask for where a server takes a size with the request; None: the wire chooses."""
    keep_alive: float | None = None
    """Seconds that such a server shall keep a model loaded; below 0: for ever. None leaves it to the wire."""
    stall_seconds: float | None = None
    """How long the endpoint may send nothing before a call counts as stalled; None leaves it to the wire."""


def key_of(name: str, settings: ProviderSettings, environ: Mapping[str, str]) -> str | None:
    """The key of provider `name`: the configured one, else its environment variable's, else None.

    Raises ConfigurationError for one that no HTTP header can carry: SDKs would show it in their complaint.
    """
    key = (settings.api_key or environ.get(KEY_VARIABLES.get(name, ""), "")).strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(
            f"The key of {name} holds characters that no key has. Copy it again into {key_source(name)}"
        )
    return key or None


def required_key(name: str, settings: ProviderSettings, environ: Mapping[str, str]) -> str:
    """The key to use for provider `name`. Raises MissingKey, which names where to put one."""
    key = key_of(name, settings, environ)
    if key is None:
        raise MissingKey(
            f"{name} needs a key and {key_source(name)} has none. Set it, or run: agent -m {NO_KEY_MODEL}"
        )
    return key


def key_source(name: str) -> str:
    """Where a person finds the key of provider `name`: a variable, else a place in the configuration."""
    return KEY_VARIABLES.get(name, f"[providers.{name}] api_key")
