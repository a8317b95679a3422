"""What each provider's cache is like: what it keeps of a call, for how long, and how finely it counts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from agent.lifetimes import LONG, SHORT
from providers.types import Message, Prefix, Usage

UNTHINKING = frozenset({"local", "scripted"})
"""Wires that have no effort to tell their model of."""

TWO_LIFETIMES = frozenset({"anthropic", "bedrock"})
"""Wires on which the lifetime of what a call writes can be chosen, and on which writing is billed."""

SHARED = frozenset({"openai-chat", "openai-responses", "litellm-sdk"})
"""Wires whose cache others fill too, so that it forgets with time."""

KEEP_ALIVE = 1800.0
"""Seconds: what our requests ask of Ollama where nobody set another time."""

OPENAI_MINIMUM = 1024
OPENAI_STEP = 128
"""Tokens: OpenAI caches from so many on, in such steps (its prompt-caching documentation)."""

FORGOTTEN = 600.0
LONGEST_UNNAMED = 86_400.0
"""Seconds: OpenAI forgets after five to ten minutes without use, and keeps nothing for more than a day."""

SLACK = 16
"""Tokens by which a chat template may end a prompt differently once an answer follows it."""

BREAKPOINTS = 3
"""In the messages, where lifetimes are sold: of the four there are one stands behind the system prompt."""


def identity(prefix: Prefix) -> Hashable:
    """What a provider looks its cache up by: the bytes that a request begins with, and who reads them.

    Lifetimes and limits are no part of it.
    """
    return (prefix.model, prefix.encoder, prefix.tools, prefix.system, prefix.parameters.effort)


def minds_effort(prefix: Prefix) -> bool:
    """Whether the effort reaches the model, and so is part of what its cache is looked up by."""
    return prefix.wire not in UNTHINKING


def chooses_lifetime(prefix: Prefix) -> bool:
    """Whether the provider sells two lifetimes to choose from."""
    return prefix.wire in TWO_LIFETIMES


def lifetime(prefix: Prefix, chosen: str = "") -> float | None:
    """Seconds from a request's start until its cache entry expires; None where the provider doesn't say.

    Anthropic: 5 minutes or 1 hour as asked, refreshed by a hit (its prompt-caching documentation); `chosen`
    is `1h` where a call alone asked for the hour. Ollama: the `keep_alive` that our requests carry, nothing
    to count down where that is for ever. The OpenAI family names no lifetime that could be counted down.
    """
    match prefix.wire:
        case "anthropic" | "bedrock":
            return LONG if "1h" in (chosen, prefix.parameters.cache_ttl) else SHORT
        case "ollama":
            asked = prefix.parameters.keep_alive
            if asked is None:
                return KEEP_ALIVE
            return asked if asked >= 0 else None
        case _:
            return None


def longest_lifetime(prefix: Prefix, keeps: float | None) -> float:
    """The longest lifetime that the provider sells or gives, in seconds; `keeps` is what it named, if any."""
    if chooses_lifetime(prefix):
        return LONG
    if keeps is not None:
        return keeps
    return LONGEST_UNNAMED if prefix.wire in SHARED else float("inf")


def forgets_after(prefix: Prefix) -> float:
    """Seconds without use after which a provider that names no lifetime may have forgotten."""
    return FORGOTTEN if prefix.wire in SHARED else float("inf")


def granularity(prefix: Prefix) -> int:
    """Tokens by which a read may fall short of what was sent without anything being wrong."""
    return OPENAI_STEP if prefix.wire in SHARED else 0


def kept(prefix: Prefix, usage: Usage) -> int:
    """Tokens that the provider's cache holds after a call, by what that provider says of itself."""
    if not usage.cache_reported:
        return 0
    match prefix.wire:
        case "local":
            return max(0, usage.total_tokens - 1)  # the last token was sampled, but not yet computed
        case "ollama":
            return max(0, usage.prompt_tokens - 1 - SLACK)
        case wire if wire in SHARED and not usage.cache_write_tokens:
            if usage.prompt_tokens < OPENAI_MINIMUM:
                return 0
            return max(0, usage.prompt_tokens - SLACK) // OPENAI_STEP * OPENAI_STEP
        case _:
            return usage.cache_read_tokens + usage.cache_write_tokens


def readable(prefix: Prefix, tokens: int) -> int:
    """Tokens that a request reads of a beginning of so many that it has in common with an earlier one."""
    match prefix.wire:
        case wire if wire in SHARED:
            return tokens // OPENAI_STEP * OPENAI_STEP if tokens >= OPENAI_MINIMUM else 0
        case "ollama":
            return max(0, tokens - SLACK)
        case _:
            return tokens


def marks_opening(prefix: Prefix, messages: Sequence[Message], border: int | None) -> bool:
    """Whether the block before the first prompt can be read by itself after a call with these messages.

    Where lifetimes are sold it has the breakpoint that the call's own ends and the border of two lifetimes
    leave, if any; elsewhere a request may part from another one anywhere.
    """
    if not chooses_lifetime(prefix):
        return True
    last = len(messages) - 1
    answer = next((place for place in range(last, -1, -1) if messages[place].role == "assistant"), 0)
    places = {last, last if border is None else border, *([answer - 1] if answer else [])}
    if prefix.wire == "anthropic" and answer_before_prompt(messages):
        places.add(answer)
    return len(places) < BREAKPOINTS


def marks_answer(prefix: Prefix, messages: Sequence[Message], border: int | None) -> bool:
    """Whether all up to the answer before the last prompt can be read by itself after a call with these.

    That is what a conversation taken back to there has in common with it; see `marks_opening`.
    """
    answer = answer_before_prompt(messages)
    if not answer:
        return False
    if not chooses_lifetime(prefix):
        return True
    places = {answer + 1, answer - 1, answer + 1 if border is None else border}
    return prefix.wire == "anthropic" and len(places - {answer}) < BREAKPOINTS


def answer_before_prompt(messages: Sequence[Message]) -> int:
    """The place of the answer that the last message, a person's, stands behind; 0 where it does not."""
    answer = len(messages) - 2
    if answer > 0 and messages[answer].role == "assistant" and messages[-1].role == "user":
        return answer
    return 0
