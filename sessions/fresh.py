"""What a new session begins with: an id, and the prefix that is frozen from then on."""

from __future__ import annotations

import time

from agent.prompt import SYSTEM
from providers.call import new_id
from providers.provider import Provider
from providers.types import ModelRef, Prefix
from sessions.setup import Setup


def fresh_prefix(setup: Setup, model: ModelRef, provider: Provider, affinity_key: str) -> Prefix:
    """The prefix of a new session, frozen from now on."""
    return Prefix(
        model=model,
        system=SYSTEM,
        tools=setup.toolbox.specs,
        parameters=setup.parameters,
        encoder=provider.encoder,
        affinity_key=affinity_key,
    )


def new_session_id(now: float | None = None) -> str:
    """An id a person can type the start of: local date and time, then eight random hex digits.

    So many, because a server begins a hundred sessions in a second: with four, one in eight of such seconds
    would hold two of the same id.
    """
    moment = time.localtime(now)
    return time.strftime("%Y%m%d-%H%M%S", moment) + f"-{new_id('s')[-8:]}"
