"""What three probes of an endpoint's prompt cache say about it, in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cli import figures
from providers.types import JSON
from sessions.records import CallLine

LARGE = 0.5
"""The share of a prompt from which on a read is the cache at work, and not a few tokens shared by chance."""
SOONER = 0.5
"""A first token that comes in less than this share of the time, and by `SAVED` seconds, came from a cache."""
SAVED = 0.3
MINIMUM = 4_096
"""Tokens: the highest minimum that a provider is known to ask for."""

_WRITES = re.compile(r"cache.*(?:write|creat)|creat.*cache", re.IGNORECASE)


class Kind(StrEnum):
    """What came out."""

    HITS = "caches and reports"
    MISSES = "reports, never hits"
    FASTER = "faster, reports nothing"
    SILENT = "reports nothing"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is known of the endpoint beside the calls."""

    provider: str
    wire: str
    affinity: bool
    """Whether requests carry a key that keeps a session's requests on one machine."""


@dataclass(frozen=True, slots=True)
class Verdict:
    kind: Kind
    says: tuple[str, ...]
    """Sentences for a person: what is reported, whether it caches, what may be the reason."""


def judge(calls: Sequence[CallLine], endpoint: Endpoint) -> Verdict:
    """The verdict on a new request, the same one again, and the same one continued, in this order."""
    reports = _reports(calls)
    if any(call.usage.cache_reported for call in calls):
        if any(_share(call) >= LARGE for call in calls[1:]):
            return Verdict(Kind.HITS, (_hit(calls), reports))
        return Verdict(Kind.MISSES, (_missed(calls), reports, *_reasons(calls, endpoint)))
    if sooner := _sooner(calls):
        return Verdict(Kind.FASTER, (sooner, reports))
    silent = "Nothing shows that it caches: the same request was not answered much sooner than the new one."
    return Verdict(Kind.SILENT, (silent, reports, *_how_to_hear(endpoint)))


def _hit(calls: Sequence[CallLine]) -> str:
    _, again, longer = calls
    if _share(again) >= LARGE:
        return (
            f"It caches and says so: of the same request it read {_of(again)}, of the longer one "
            f"{_of(longer)}."
        )
    return (
        f"It caches, but not at once: of the same request it read {_of(again)}, of the longer one after it "
        f"{_of(longer)}. A conversation whose calls follow each other quickly pays for some of it twice."
    )


def _missed(calls: Sequence[CallLine]) -> str:
    read = max(call.usage.cache_read_tokens for call in calls[1:])
    if read:
        return f"It reports its cache, but of the same request it read only {read:,} tokens."
    return "It reports its cache, and read nothing from it when the same request came again."


def _reports(calls: Sequence[CallLine]) -> str:
    if not any(call.raw_usage for call in calls):
        return "It reports no usage at all: the counts above are estimates, one token for four characters."
    if not any(call.usage.cache_reported for call in calls):
        return "It reports tokens, and nothing about caching: Cachet shows n/a, never 0%."
    if any(tells_writes(call.raw_usage) for call in calls):
        return "It reports what is read from the cache and what is written to it."
    return "It reports what is read from the cache, and nothing of what is written to it."


def tells_writes(raw: JSON) -> bool:
    """Whether a raw usage says anything of writing to a cache, a plain 0 included."""
    if not isinstance(raw, Mapping):
        return False
    return any(
        (value is not None and _WRITES.search(key) is not None) or tells_writes(value)
        for key, value in raw.items()
    )


def _sooner(calls: Sequence[CallLine]) -> str:
    """What to say where the later answers came markedly sooner; empty where they did not."""
    first, *later = (call.time_to_first_token for call in calls)
    if first is None or not later or any(wait is None for wait in later):
        return ""
    slowest = max(wait for wait in later if wait is not None)
    if slowest > first * SOONER or first - slowest < SAVED:
        return ""
    return (
        f"It seems to cache: the same request was answered after {figures.seconds(slowest)}, the new one "
        f"after {figures.seconds(first)}. Loading a model would look the same; run it once more to be sure."
    )


def _reasons(calls: Sequence[CallLine], endpoint: Endpoint) -> Iterator[str]:
    """Why an endpoint that reports its cache may not hit, the likeliest first."""
    prompt = calls[1].usage.prompt_tokens
    written = sum(call.usage.cache_write_tokens for call in calls)
    if written:
        yield (
            f"It wrote {written:,} tokens and read none of them: the requests probably reached different "
            "machines, or a gateway changes them on the way."
        )
    elif prompt < MINIMUM:
        yield (
            f"The prompt may be too short: it has {prompt:,} tokens, and some models cache only from "
            f"{MINIMUM:,} on."
        )
    if endpoint.wire.startswith("openai") and not endpoint.affinity:
        yield (
            "It may need a key that keeps a session's requests on one machine. In config.toml, under "
            f'[providers.{endpoint.provider}], try quirks = ["prompt_cache_key"], or ["affinity:HEADER"].'
        )
    if not written:
        yield _disabled(endpoint)


def _disabled(endpoint: Endpoint) -> str:
    match endpoint.wire:
        case "ollama" | "local":
            return "The server may share its slots with others: let it run one request at a time."
        case "anthropic" | "bedrock":
            return "A gateway on the way may drop cache_control, or the model there may not cache."
        case _:
            return "Caching may be switched off for this model or account."


def _how_to_hear(endpoint: Endpoint) -> Iterator[str]:
    match endpoint.provider:
        case "vllm":
            yield "vLLM tells more when it is started with --enable-prompt-tokens-details."
        case "ollama":
            yield "Newer versions of Ollama tell what they read: update it."
        case _:
            return


def _of(call: CallLine) -> str:
    read, prompt = call.usage.cache_read_tokens, call.usage.prompt_tokens
    return f"{read:,} of {prompt:,} tokens ({figures.percent(_share(call))})"


def _share(call: CallLine) -> float:
    prompt = call.usage.prompt_tokens
    return call.usage.cache_read_tokens / prompt if prompt else 0.0
