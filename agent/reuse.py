"""What a call could have read from the provider's cache, what it did, and why the two differ.

Only answered calls count: one that failed tells of no cache. Where a provider says nothing about caching,
nothing is expected of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agent.lifetimes import LONG
from providers.types import (
    JSON,
    Block,
    Image,
    JSONObject,
    Message,
    Opaque,
    Prefix,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    canonical,
)

Cause: TypeAlias = Literal[
    "first_call",
    "expired",
    "model_changed",
    "tools_changed",
    "system_changed",
    "parameters_changed",
    "history_changed",
    "compacted",
    "below_minimum",
    "affinity_or_eviction",
]

OPENAI_MINIMUM = 1024
OPENAI_STEP = 128
"""Tokens: OpenAI caches from so many on, in such steps (its prompt-caching documentation)."""

FORGOTTEN = 600.0
LONGEST_UNNAMED = 86_400.0
"""Seconds: OpenAI forgets after five to ten minutes without use, and keeps nothing for more than a day."""

SLACK = 16
"""Tokens by which a chat template may end a prompt differently once an answer follows it."""

TOLD: dict[str, Cause] = {
    "model_changed": "model_changed",
    "system_changed": "system_changed",
    "tools_changed": "tools_changed",
    "messages_changed": "history_changed",
    "prompt_cache_key_changed": "parameters_changed",
    "text_format_changed": "parameters_changed",
    "reasoning_effort_changed": "parameters_changed",
    "verbosity_changed": "parameters_changed",
    "service_tier_changed": "parameters_changed",
    "context_compacted": "compacted",
    "input_changed": "history_changed",
}
"""The causes that Anthropic (`cache_miss_reason`) and OpenAI (`prompt_cache_diagnostics`) name.

Where they can't tell they say `previous_message_not_found`, `comparison_response_not_found` or `unavailable`:
none of that is a cause (cache_miss_previous_message_not_found.py and cache_miss_unavailable.py in Anthropic's
SDK: "doesn't mean that this request changed", "can't give a diagnosis").
"""


LOADING = 500_000_000
"""Nanoseconds: a model that takes as long as this to be ready was not in memory."""

BY_PROVIDER = "the provider says so"


@dataclass(frozen=True, slots=True)
class Sent:
    """One answered call of the session, as far as a later one may read what it left in the cache."""

    prefix: Prefix
    digest: str
    """Of all the messages that it sent, in order; see `digests`."""
    started: float
    """Seconds since the epoch."""
    usage: Usage
    keeps: float | None
    """Seconds that the entry of its end lives from its last use; None where the provider doesn't say."""
    lane: str = "main"
    response: str = ""
    """The endpoint's own id of the answer, where it is known."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Tokens that an earlier call had sent and this one paid for again, or read anew after a break."""

    cause: Cause
    detail: str
    """What exactly, for a person: `idle 7 min`, the names of tools, the number of a message."""
    expected: int
    """Tokens."""
    read: int
    """Tokens."""

    @property
    def tokens(self) -> int:
        return self.expected - self.read

    @property
    def by_choice(self) -> bool:
        """Whether it was announced before it happened: a switch of the model or its parameters, a summary."""
        return self.cause in ("model_changed", "parameters_changed", "compacted")


@dataclass(slots=True)
class CacheRecord:
    """What a session's calls left in the provider's cache, as far as can be known from here."""

    sent: list[Sent] = field(default_factory=list)
    _used: dict[str, float] = field(default_factory=dict)
    """When a call last read the entry with this digest."""
    _break: Literal["", "compacted", "rewound"] = ""
    """What is known to have changed the history since the last call."""

    def compacted(self) -> None:
        """A summary took the place of messages: the next call's history begins anew."""
        self._break = "compacted"

    def rewound(self) -> None:
        """The conversation was taken back: the next call's history is a shorter one."""
        self._break = "rewound"

    def add(self, call: Sent, chain: Sequence[str] = ()) -> None:
        """Book an answered call whose messages had these digests."""
        for digest in chain:
            if digest in self._used:
                self._used[digest] = call.started
        self._used[call.digest] = call.started
        self.sent.append(call)
        self._break = ""

    def reusable(self, prefix: Prefix, chain: Sequence[str], now: float) -> tuple[int, Sent | None]:
        """Tokens of the longest beginning of a request that the provider could still have, and of which call.

        It could have what would be alive under the longest lifetime that it sells.
        """
        found = (call for call in self._on(prefix, chain) if self._idle(call, now) <= _longest(call))
        best = max(found, key=kept, default=None)
        return (0, None) if best is None else (kept(best), best)

    def longest(
        self, prefix: Prefix, chain: Sequence[str], now: float, *, lifetime: float = 0.0
    ) -> Sent | None:
        """The call with the longest beginning of a request whose entry has not expired.

        With `lifetime` only entries count that live at least so many seconds from their last use.
        """
        found = (
            call
            for call in self._on(prefix, chain)
            if self._idle(call, now) <= _longest(call)
            and (call.keeps is None or (call.keeps >= lifetime and self._idle(call, now) <= call.keeps))
        )
        return max(found, key=kept, default=None)

    def alive(self, prefix: Prefix, chain: Sequence[str], now: float) -> int:
        """Tokens that a request should read now."""
        best = self.longest(prefix, chain, now)
        return kept(best) if best else 0

    def expires(self, prefix: Prefix, chain: Sequence[str], now: float | None = None) -> float | None:
        """When the latest entry of this conversation expires, seconds since the epoch, used or not by then.

        None where there is none, or its provider doesn't say. With `now` an entry that is alive then goes
        before a longer one that isn't: the last messages may be kept for less time than those before them.
        """
        best = None if now is None else self.longest(prefix, chain, now)
        best = best or max(self._on(prefix, chain), key=kept, default=None)
        if best is None or best.keeps is None:
            return None
        return max(best.started, self._used.get(best.digest, 0.0)) + best.keeps

    def compared_with(
        self, prefix: Prefix, chain: Sequence[str], now: float, *, lane: str = "main"
    ) -> str | None:
        """The endpoint's id of the answer that a request goes on from.

        That is the call whose entry it should read; where there is none, the lane's last: what changed since.
        """
        _, best = self.reusable(prefix, chain, now)
        best = best or self._before(lane)
        if best is None or (best.prefix.model.provider, best.prefix.wire) != (
            prefix.model.provider,
            prefix.wire,
        ):
            return None
        return best.response or None

    def _before(self, lane: str) -> Sent | None:
        return next((call for call in reversed(self.sent) if call.lane == lane), None)

    def _on(self, prefix: Prefix, chain: Sequence[str]) -> Iterable[Sent]:
        known = set(chain)
        return (call for call in self.sent if call.digest in known and _same(call.prefix, prefix))

    def miss(
        self,
        prefix: Prefix,
        chain: Sequence[str],
        now: float,
        usage: Usage,
        *,
        lane: str = "main",
        told: Cause | None = None,
        reloaded: bool = False,
    ) -> Miss | None:
        """Why a call read less than it could, None where it did not. Ask before the call is booked.

        `told` is the provider's own diagnosis; it goes before what is found here. `reloaded` says that the
        model had to be loaded for this call.
        """
        if not usage.cache_reported:
            return None
        expected, whose = self.reusable(prefix, chain, now)
        read = usage.cache_read_tokens
        if whose is None:
            return self._broken(prefix, now, usage, lane, told)
        if expected - read <= _granularity(whose):
            return None
        idle = self._idle(whose, now)
        if told is not None:
            return Miss(told, BY_PROVIDER, expected, read)
        if whose.keeps is not None and idle > whose.keeps:
            return Miss("expired", f"idle {_minutes(idle)}, kept {_minutes(whose.keeps)}", expected, read)
        if whose.keeps is None and _shared(whose) and idle > FORGOTTEN:
            return Miss("expired", f"idle {_minutes(idle)}, the provider names no time", expected, read)
        why = "the model was loaded anew" if reloaded else "the same bytes were sent"
        return Miss("affinity_or_eviction", why, expected, read)

    def _broken(self, prefix: Prefix, now: float, usage: Usage, lane: str, told: Cause | None) -> Miss | None:
        """The beginning itself is another one than the lane's last call had, or all of it is long gone."""
        before = self._before(lane)
        if before is None or self._break == "rewound" or self._idle(before, now) > _longest(before):
            return None  # nobody keeps it so long: that is not paying twice, but coming back
        expected, read = min(kept(before), usage.prompt_tokens), usage.cache_read_tokens
        if expected - read <= _granularity(before):
            return None
        if not _same(before.prefix, prefix):
            cause, detail = _difference(before.prefix, prefix)
        elif self._break == "compacted":
            cause, detail = "compacted", "a summary took the place of messages"
        else:
            cause, detail = "history_changed", "the first message is another one"
        # The provider's word goes first, but of what is the same to it more is known here.
        if told not in (None, cause) and (told, cause) != ("history_changed", "compacted"):
            return Miss(told, BY_PROVIDER, expected, read)
        return Miss(cause, detail, expected, read)

    def _idle(self, call: Sent, now: float) -> float:
        return now - max(call.started, self._used.get(call.digest, 0.0))


def kept(call: Sent) -> int:
    """Tokens that the provider's cache holds after a call, by what that provider says of itself."""
    usage = call.usage
    if not usage.cache_reported:
        return 0
    match call.prefix.encoder.partition("/")[0]:
        case "local":
            return max(0, usage.total_tokens - 1)  # the last token was sampled, but not yet computed
        case "ollama":
            return max(0, usage.prompt_tokens - 1 - SLACK)
        case "openai-chat" | "openai-responses" | "litellm-sdk" if not usage.cache_write_tokens:
            if usage.prompt_tokens < OPENAI_MINIMUM:
                return 0
            return max(0, usage.prompt_tokens - SLACK) // OPENAI_STEP * OPENAI_STEP
        case _:
            return usage.cache_read_tokens + usage.cache_write_tokens


class Chain:
    """The digests of a conversation that mostly grows: what is known of its beginning isn't made anew."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._digests: list[str] = []
        self._hashes: list[hashlib._Hash] = []

    def of(self, messages: Sequence[Message]) -> list[str]:
        """For each message a short hash of it and all before it; a message is known by its id."""
        same = 0
        for message, known in zip(messages, self._ids, strict=False):
            if message.id != known:
                break
            same += 1
        del self._ids[same:], self._digests[same:], self._hashes[same:]
        running = self._hashes[-1].copy() if self._hashes else hashlib.sha256()
        for message in messages[same:]:
            running.update(_bytes(message))
            self._ids.append(message.id)
            self._digests.append(running.hexdigest()[:16])
            self._hashes.append(running.copy())
        return list(self._digests)


def digests(messages: Iterable[Message]) -> list[str]:
    """For each message a short hash of it and all before it."""
    return Chain().of([*messages])


def _bytes(message: Message) -> bytes:
    facts = [message.role, [_facts(block) for block in message.blocks]]
    return canonical(facts).encode("utf-8", "replace")


def response_of(raw_usage: JSONObject) -> str:
    """The endpoint's own id of the answer, where it stands beside the usage."""
    return str(raw_usage.get("response_id") or "")


def reloaded(raw_usage: JSONObject) -> bool:
    """Whether a server that keeps models in memory had to load this one (Ollama's `load_duration`, in ns).

    It tells some tens of milliseconds for a model that was there.
    """
    took = raw_usage.get("load_duration")
    return isinstance(took, int | float) and took >= LOADING


def told_cause(raw_usage: JSONObject) -> Cause | None:
    """The provider's own diagnosis, where one stands beside the usage."""
    for name in ("diagnostics", "prompt_cache_diagnostics"):
        match raw_usage.get(name):
            case {"cache_miss_reason": {"type": str(kind)}} | {"reason": str(kind)} if kind in TOLD:
                return TOLD[kind]
            case _:
                continue
    return None


def _same(one: Prefix, other: Prefix) -> bool:
    """Whether requests with these prefixes begin with the same bytes. Lifetimes and limits don't count."""
    return (one.model, one.encoder, one.tools, one.system, one.parameters.effort) == (
        other.model,
        other.encoder,
        other.tools,
        other.system,
        other.parameters.effort,
    )


def _difference(before: Prefix, now: Prefix) -> tuple[Cause, str]:
    if before.model != now.model or before.encoder != now.encoder:
        return "model_changed", f"{before.model} before, {now.model} now"
    if before.tools != now.tools:
        changed = sorted({tool.name for tool in {*before.tools} ^ {*now.tools}})
        return "tools_changed", ", ".join(changed) or "their order"
    if before.system != now.system:
        return "system_changed", "the system prompt"
    return "parameters_changed", f"effort {now.parameters.effort or 'default'}"


def _facts(block: Block) -> JSON:
    match block:
        case Text(text):
            return ["text", text]
        case Thinking(text, origin, signature):
            return ["thinking", text, signature, origin.wire, origin.endpoint, origin.model]
        case Image(media_type, data):
            return ["image", media_type, data]
        case ToolCall(id, name, raw):
            return ["call", id, name, raw]
        case ToolResult(call_id, name, text, is_error, images):
            return [
                "result",
                call_id,
                name,
                text,
                is_error,
                [[image.media_type, image.data] for image in images],
            ]
        case Opaque(raw, origin):
            return ["opaque", raw, origin.wire, origin.endpoint, origin.model]


def _longest(call: Sent) -> float:
    """The longest lifetime that the call's provider sells or gives, in seconds."""
    if call.prefix.encoder.startswith(("anthropic/", "bedrock/")):
        return LONG
    if call.keeps is not None:
        return call.keeps
    return LONGEST_UNNAMED if _shared(call) else float("inf")


def _shared(call: Sent) -> bool:
    """Whether the call's cache is one that others fill too, so that it forgets with time."""
    return call.prefix.encoder.partition("/")[0] in ("openai-chat", "openai-responses", "litellm-sdk")


def _granularity(call: Sent) -> int:
    """Tokens by which a read may fall short of what was sent without anything being wrong."""
    wire = call.prefix.encoder.partition("/")[0]
    return OPENAI_STEP if wire.startswith("openai") or wire == "litellm-sdk" else 0


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
