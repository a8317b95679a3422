"""The one mutable thing of a conversation: its messages and running totals."""

from __future__ import annotations

from dataclasses import dataclass, field

from providers.types import Message, Prefix, Request, Usage


@dataclass(slots=True)
class AgentState:
    """A conversation while it is live. Totals are what was billed to date, in tokens: they never fall."""

    messages: list[Message] = field(default_factory=list)
    turn_count: int = 0
    total_input_tokens: int = 0
    total_output_tokens: int = 0
    total_cache_read_tokens: int = 0
    total_cache_write_tokens: int = 0
    total_cache_write_1h_tokens: int = 0
    total_reasoning_tokens: int = 0
    total_reported_prompt_tokens: int = 0
    previous_end: str | None = None
    """Id of the last message that the latest model call sent: the next call's cache breakpoint."""
    patience: float = 1.0
    """How many times as long as usual this endpoint may be silent: more than 1 once it proved to be slow."""
    parent: AgentState | None = None
    """Of a sub-agent's conversation the one that asked for it: what is billed here counts there too."""

    def add(self, usage: Usage) -> None:
        """Book one model call."""
        self.total_input_tokens += usage.input_tokens
        self.total_output_tokens += usage.output_tokens
        self.total_cache_read_tokens += usage.cache_read_tokens
        self.total_cache_write_tokens += usage.cache_write_tokens
        self.total_cache_write_1h_tokens += usage.cache_write_1h_tokens
        self.total_reasoning_tokens += usage.reasoning_tokens
        self.total_reported_prompt_tokens += usage.reported_prompt_tokens
        if self.parent is not None:
            self.parent.add(usage)

    def request(self, prefix: Prefix) -> Request:
        """What the next model call sends on this prefix."""
        return Request(prefix=prefix, messages=tuple(self.messages), previous_end=self.previous_end)

    @property
    def usage(self) -> Usage:
        """The totals as one value."""
        return Usage(
            input_tokens=self.total_input_tokens,
            output_tokens=self.total_output_tokens,
            cache_read_tokens=self.total_cache_read_tokens,
            cache_write_tokens=self.total_cache_write_tokens,
            cache_write_1h_tokens=self.total_cache_write_1h_tokens,
            reasoning_tokens=self.total_reasoning_tokens,
            reported_prompt_tokens=self.total_reported_prompt_tokens,
        )
