"""The values that every room shares: messages and their blocks, usage, requests, stream events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

JSON: TypeAlias = Any
"""A decoded JSON value whose shape is not known yet; parse it into a value before passing it on."""

JSONObject: TypeAlias = Mapping[str, JSON]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one or more model calls were billed for, in tokens.

    The buckets are disjoint whatever the wire's convention is: `input_tokens` was neither read from nor
    written to a cache, `output_tokens` includes reasoning. `cache_write_1h_tokens` is the part of
    `cache_write_tokens` that was written for the long lifetime, `reasoning_tokens` the part of
    `output_tokens` that was reasoning.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    reported_prompt_tokens: int = 0
    """Prompt tokens of those calls whose provider said anything about caching, a plain 0 included."""

    @classmethod
    def told(
        cls,
        uncached: int,
        output: int,
        read: int | None,
        write: int | None,
        *,
        write_1h: int = 0,
        reasoning: int = 0,
    ) -> Usage:
        """One call's usage, from disjoint counts.

        Where `read` and `write` are both None nobody said anything of caching. A part (`write_1h` of `write`,
        `reasoning` of `output`) is cut to what it is a part of.
        """
        kept = (read or 0) + (write or 0)
        return cls(
            input_tokens=uncached,
            output_tokens=output,
            cache_read_tokens=read or 0,
            cache_write_tokens=write or 0,
            cache_write_1h_tokens=min(write_1h, write or 0),
            reasoning_tokens=min(reasoning, output),
            reported_prompt_tokens=0 if read is None and write is None else uncached + kept,
        )

    @property
    def prompt_tokens(self) -> int:
        """All context sent: uncached, read from the cache and written to it."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    @property
    def cache_reported(self) -> bool:
        return self.reported_prompt_tokens > 0

    @property
    def cache_hit_rate(self) -> float | None:
        """Cache reads over the prompt tokens of calls that reported; None where no provider said anything."""
        return self.cache_read_tokens / self.reported_prompt_tokens if self.reported_prompt_tokens else None

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            reported_prompt_tokens=self.reported_prompt_tokens + other.reported_prompt_tokens,
        )


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model by the name of its provider and the provider's own name for it; written `provider/name`."""

    provider: str
    name: str

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """Split at the first slash: `openrouter/meta/llama` is the model `meta/llama`. Raises ValueError."""
        provider, slash, name = text.strip().partition("/")
        if not (slash and provider and name):
            raise ValueError(f"not a model: {text!r} (want PROVIDER/MODEL)")
        return cls(provider, name)

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


# --- blocks and messages ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made an opaque block. It is sent back only where wire, endpoint and model are all the same."""

    wire: str
    endpoint: str
    model: str


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """A model's reasoning, with the provider's signature byte for byte as it came."""

    text: str
    origin: Origin
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An image in base64."""

    media_type: str
    data: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model wants run. Its arguments stay as the text that came: resume sends the same bytes."""

    id: str
    name: str
    raw_arguments: str

    def arguments(self) -> dict[str, JSON]:
        """The arguments; no text at all means `{}`. Raises ValueError unless they are one JSON object."""
        if not self.raw_arguments.strip():
            return {}
        try:
            value = json.loads(self.raw_arguments)
        except RecursionError as error:
            raise ValueError("the arguments are nested too deeply") from error
        if not isinstance(value, dict):
            raise ValueError(f"the arguments are {type(value).__name__}, not an object")
        return value


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model reads of a tool's run."""

    call_id: str
    name: str
    text: str
    is_error: bool = False
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Opaque:
    """A block of a kind we do not know, as the JSON text that came."""

    raw: str
    origin: Origin


Block: TypeAlias = Text | Thinking | Image | ToolCall | ToolResult | Opaque
Role: TypeAlias = Literal["user", "assistant", "tool", "system"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message. A `tool` message holds one `ToolResult`; `system` appends an instruction."""

    id: str
    role: Role
    blocks: tuple[Block, ...]

    @property
    def text(self) -> str:
        return "".join(block.text for block in self.blocks if isinstance(block, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(block for block in self.blocks if isinstance(block, ToolCall))


class StopReason:
    """Why a model stopped. A string this list doesn't have passes through as the wire wrote it."""

    END_TURN = "end_turn"
    TOOL_USE = "tool_use"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    REFUSAL = "refusal"
    CONTEXT_EXCEEDED = "model_context_window_exceeded"
    INTERRUPTED = "interrupted"
    """The stream ended before the provider said that the message was whole; no tool runs from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantTurn:
    """One model call's answer, with what it was billed."""

    message: Message
    usage: Usage
    stop_reason: str
    model: str
    """The model's name as the provider gave it, else as it was asked for."""
    call_id: str
    raw_usage: JSONObject

    @property
    def input_tokens(self) -> int:
        return self.usage.input_tokens

    @property
    def output_tokens(self) -> int:
        return self.usage.output_tokens

    @property
    def cache_read_tokens(self) -> int:
        return self.usage.cache_read_tokens

    @property
    def cache_write_tokens(self) -> int:
        return self.usage.cache_write_tokens


# --- requests -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it. `parameters` is its JSON schema as canonical JSON text (`canonical`)."""

    name: str
    description: str
    parameters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Request parameters; part of the cache key with most providers, so they are frozen with the prefix."""

    max_output_tokens: int = 16_384
    effort: str | None = None
    cache_ttl: Literal["auto", "5m", "1h"] = "5m"
    """The lifetime of cache entries where a provider sells several; `auto` leaves it to each request.

    It is no part of a cache key.
    """
    context_window: int | None = None
    """Tokens asked of servers that take a context size with the request (Ollama's `num_ctx`)."""
    keep_alive: float | None = None
    """Seconds from a call on that such a server shall keep the model loaded, and its cache with it.

    Below 0: for ever. None leaves it to the wire.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The part of every request that is frozen at the session's start."""

    model: ModelRef
    system: str
    tools: tuple[ToolSpec, ...]
    parameters: Parameters = field(default_factory=Parameters)
    encoder: str
    """The code that turns messages into wire bytes, with its version: `anthropic/1`."""
    affinity_key: str
    """Keeps a session's requests on the machine that holds its cache (OpenAI's `prompt_cache_key`)."""

    @property
    def wire(self) -> str:
        """The wire that the encoder makes requests for: `anthropic`."""
        return self.encoder.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One model call to make."""

    prefix: Prefix
    messages: tuple[Message, ...]
    previous_end: str | None = None
    """Id of the last message of the previous call on this prefix: a cache breakpoint there hits for sure."""
    kept_until: str | None = None
    """With `auto`: the last message whose end shall be kept for the long lifetime, or already is.

    Breakpoints up to there ask for the long one, those behind it for the short one.
    """
    compared_with: str | None = None
    """The endpoint's own id of the answer whose request this one goes on from; None where there is none.

    Some endpoints compare the two and say where the cache missed.
    """
    patience: float = 1.0
    """How many times as long as usual the endpoint may be silent; grows after each stall."""
    max_output_tokens: int | None = None
    """A tighter limit for this answer alone, where the person's budget wants one.

    It costs no cached token: an answer's limit is no part of a cache key. Anthropic's prompt-caching
    documentation lists what invalidates an entry, and OpenAI's `prompt_cache_diagnostics` why one missed;
    neither list has it.
    """

    @property
    def output_limit(self) -> int:
        """The most tokens that the answer may have; what every encoder sends."""
        most = self.prefix.parameters.max_output_tokens
        return most if self.max_output_tokens is None else min(most, self.max_output_tokens)


# --- what a stream tells while it runs ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    id: str
    json_text: str


StreamEvent: TypeAlias = TextDelta | ThinkingDelta | ToolCallStarted | ToolCallDelta


def canonical(value: JSON) -> str:
    """JSON text that is the same bytes for equal values: sorted keys, no spaces, raw non-ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
