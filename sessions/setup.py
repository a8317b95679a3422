"""What a front end hands to a session: places, the model's end, the tools' end, and whom to ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from agent.permissions import PermissionAnswer, PermissionRequest, Policy
from agent.tools.toolbox import Toolbox
from agent.workspace import Workspace
from providers.pricing import Rates
from providers.provider import Provider
from providers.retry import Retry
from providers.types import Parameters
from sessions.captures import Captures
from sessions.records import CallLine

Ask: TypeAlias = Callable[[PermissionRequest], Awaitable[PermissionAnswer]]


class Providers(Protocol):
    """Opens a provider by its name; raises ConfigurationError.

    `encoder` is that of the prefix it shall go on with: where an endpoint speaks several wires, the same one.
    """

    def __call__(self, name: str, encoder: str = "", /) -> Provider: ...


async def deny(request: PermissionRequest) -> PermissionAnswer:
    """The answer where nobody can be asked."""
    return PermissionAnswer(
        allow=False, feedback="Nobody can be asked here. Go on without it, or say what you would need."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may spend at most: US dollars, model calls. None is no limit.

    They count every call of the run, whatever its purpose and lane, in all the sessions that follow each
    other in it.
    """

    max_cost: float | None = None
    max_turns: int | None = None
    allow_unknown_cost: bool = False
    """Make calls whose price is not known, and count them as 0 dollars."""
    max_missed_tokens: int | None = None
    """Tokens that may be paid for again where the cache could have had them; what was announced is free."""
    min_hit_rate: float | None = None
    """The share of the prompt tokens, from 0 to 1, that must have come from the cache when the run ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    home: Path
    """Cachet's own folder, `~/.cachet`."""
    workspace: Workspace
    providers: Providers
    toolbox: Toolbox
    policy: Policy
    environ: Mapping[str, str]
    """The person's environment."""
    pass_env: tuple[str, ...] = ()
    """Names that child processes get although they look like keys."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Values to mask beside those of the environment: keys from the configuration."""
    rates: Mapping[str, Rates] = field(default_factory=dict)
    """The person's own prices, by model."""
    parameters: Parameters = field(default_factory=Parameters)
    answer_tokens: int | None = None
    """The most tokens of one answer, where a client asked for so few: it then ends there, unfinished."""
    ask: Ask = deny
    limits: Limits = field(default_factory=Limits)
    paid: tuple[CallLine, ...] = ()
    """The calls of this run's earlier sessions: the limits count them."""
    retry: Retry = field(default_factory=Retry)
    auto_compact: bool = True
    """Whether a summary takes the conversation's place by itself before it no longer fits the window."""
    keep_warm: bool = False
    """Whether the cache is kept warm while the person is away, as long as that can pay for itself."""
    shared_providers: bool = False
    """Whether `providers` hands out providers that outlive the session, which then leaves them open."""
    captures: Captures | None = None
    """The workspace's, where several sessions work there at once; None: each session makes its own."""
    client: str = ""
    """Id of the server's client that the session works for; empty in the terminal."""
