"""Finds the counts in a usage object of OpenAI's wires, under all the names that servers give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from providers.counts import count, section
from providers.types import JSON, JSONObject

READS = (
    "cached_tokens",
    "num_cached_tokens",  # Mistral
)
"""In the prompt's details; also beside the prompt's count (Moonshot, Mistral)."""
TOP_READS = (
    "prompt_cache_hit_tokens",  # DeepSeek, beside `cached_tokens` for the same tokens
    "cache_read_input_tokens",  # LiteLLM, likewise
)
WRITES = (
    "cache_write_tokens",
    "cache_creation_tokens",  # LiteLLM, three times for the same tokens
    "created_cache_tokens",  # vLLM
)
TOP_WRITES = ("cache_creation_input_tokens",)

TOP_COUNTS = (
    *("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens"),
    *("prompt_cache_miss_tokens", *READS, *TOP_READS, *TOP_WRITES),
    *("prompt_n", "cache_n", "predicted_n"),  # llama.cpp's timings
)
"""Every field at the top that is read."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a usage object says, nothing of it interpreted yet. None: the wire did not say."""

    prompt: int
    completion: int
    total: int | None
    reads: tuple[int, ...]
    """The same tokens under each name that was used for them; never to be added up."""
    writes: tuple[int, ...]
    long_write: int
    """The part of the writes that was made for the longest lifetime."""
    reasoning: int | None

    @classmethod
    def of(cls, raw: JSONObject) -> Self:
        prompt, answer = details(raw, "prompt", "input"), details(raw, "completion", "output")
        long_writes = (
            section(prompt, "cache_write_tokens_details").get("ttl_12h_tokens"),
            section(prompt, "cache_creation_token_details").get("ephemeral_1h_input_tokens"),
        )
        return cls(
            prompt=_prompt(raw),
            completion=_first(raw.get("completion_tokens"), raw.get("output_tokens")) or 0,
            total=count(raw.get("total_tokens")),
            reads=tuple(_said([*map(prompt.get, READS), *map(raw.get, (*READS, *TOP_READS))])),
            writes=tuple(_said([*map(prompt.get, WRITES), *map(raw.get, TOP_WRITES)])),
            long_write=max(_said(long_writes), default=0),
            reasoning=count(answer.get("reasoning_tokens")),
        )

    @property
    def read(self) -> int | None:
        return max(self.reads, default=None)

    @property
    def write(self) -> int | None:
        return max(self.writes, default=None)

    @property
    def extra(self) -> int:
        """What the total holds beyond prompt and completion; 0 where it holds less or is not said."""
        return max(0, (self.total or 0) - self.prompt - self.completion)


def details(raw: JSONObject, chat: str, responses: str) -> JSONObject:
    """The details of the prompt or the answer, as either of OpenAI's wires calls them."""
    return section(raw, f"{chat}_tokens_details") or section(raw, f"{responses}_tokens_details")


def odd_counts(raw: JSONObject) -> Iterator[str]:
    """A note for each known field that holds something, but no count."""
    prompt, answer = details(raw, "prompt", "input"), details(raw, "completion", "output")
    fields = [(name, raw.get(name)) for name in TOP_COUNTS]
    fields += [(name, prompt.get(name)) for name in (*READS, *WRITES)]
    fields.append(("reasoning_tokens", answer.get("reasoning_tokens")))
    for name, value in fields:
        if value is not None and count(value) is None:
            yield f"{name} is no count: {_shown(value)}"


def _shown(value: JSON) -> str:
    """The value where it is short, else its kind; a number too long to be written raises nothing."""
    match value:
        case str():
            return repr(value[:40])
        case bool() | float():
            return repr(value)
        case int():
            return "a negative number" if value < 0 else "a number past belief"
        case _:
            return f"a {type(value).__name__}"


def _prompt(raw: JSONObject) -> int:
    """The prompt's count; DeepSeek's two parts of it stand in for one that is missing."""
    said = _first(raw.get("prompt_tokens"), raw.get("input_tokens"))
    if said is not None:
        return said
    return sum(_said([raw.get("prompt_cache_hit_tokens"), raw.get("prompt_cache_miss_tokens")]))


def _said(values: Iterable[JSON]) -> list[int]:
    return [number for value in values if (number := count(value)) is not None]


def _first(*values: JSON) -> int | None:
    return next(iter(_said(values)), None)
