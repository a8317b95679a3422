"""The footer's line: what the session cost and what is still warm, cut to a width so that nothing wraps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size

from cli import figures
from providers.types import Usage

Fragment: TypeAlias = tuple[str, str]
"""A style name and its text, as prompt-toolkit takes them."""

SEPARATOR = " · "
_SHORT_MODEL = 12
_NEARLY_COLD = 60.0
"""Seconds of warmth left from which the countdown is marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FooterValues:
    """All that the line tells; the same values and width always make the same line."""

    model: str
    effort: str = ""
    """How hard it thinks; empty where nobody said."""
    mode: str = "ask"
    usage: Usage = field(default_factory=Usage)
    """Billed to date."""
    last: Usage | None = None
    """Of the last model call; None before the first."""
    known_cost: float = 0.0
    """US dollars of the calls whose price is known."""
    unknown_calls: int = 0
    """Calls without a known price."""
    saved: float = 0.0
    """US dollars that the cache saved."""
    context_tokens: int = 0
    context_window: int | None = None
    warm_left: float | None = None
    """Seconds until the provider's cache entry expires; None where that isn't known."""
    working: float | None = None
    """Seconds since the turn began; None while the prompt waits."""
    streamed: int = 0
    """Estimated output tokens of the answer that streams now, not yet in `usage`."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One piece of the line: its texts from the fullest to the shortest. After the last it is left out."""

    name: str
    texts: tuple[str, ...]
    style: str = "class:footer"


_SHORTENED_FIRST = (
    "cost",  # saved
    "cache",  # last call's rate
    "tokens",  # cache tokens
    "warm",
    "effort",
    "model",  # to its first letters
    "context",
    "tokens",
    "cost",
    "model",
    "working",
    "cache",
    "mode",
)
"""What gives way as the line gets narrower, one step each."""


def footer(values: FooterValues, width: int) -> tuple[Fragment, ...]:
    """The line in at most `width` cells, least important parts left out first."""
    parts = [part for part in _parts(values) if part.texts and part.texts[0]]
    for name in ("", *_SHORTENED_FIRST):
        parts = [_shorter(part) if part.name == name else part for part in parts]
        shown = [part for part in parts if part.texts]
        if _width(shown) <= width:
            return _fragments(shown)
    return ()


def text(fragments: tuple[Fragment, ...]) -> str:
    """The line without its styles."""
    return "".join(piece for _, piece in fragments)


def _parts(values: FooterValues) -> tuple[_Part, ...]:
    return (
        _Part("model", (values.model, _cut(values.model, _SHORT_MODEL)), "class:footer.model"),
        _Part("effort", (f"effort {values.effort}" if values.effort else "",)),
        _Part("mode", ("" if values.mode == "ask" else values.mode,), f"class:footer.mode.{values.mode}"),
        _Part("working", (_working(values),), "class:footer.working"),
        _Part("tokens", _tokens(values)),
        _Part("cache", _cache(values)),
        _Part("warm", (_warmth(values),), _warmth_style(values)),
        _Part("cost", _cost(values)),
        _Part("context", (_context(values),)),
    )


def _working(values: FooterValues) -> str:
    return "" if values.working is None else f"working {figures.seconds(int(values.working))}"


def _tokens(values: FooterValues) -> tuple[str, ...]:
    usage = values.usage
    mark = "~" if values.streamed else ""
    output = figures.tokens(usage.output_tokens + values.streamed)
    plain = f"↑{figures.tokens(usage.input_tokens)} ↓{mark}{output}"
    if not usage.cache_reported:
        return (plain,)
    read, write = figures.tokens(usage.cache_read_tokens), figures.tokens(usage.cache_write_tokens)
    return (f"{plain} R {read} W {write}", plain)


def _cache(values: FooterValues) -> tuple[str, ...]:
    rate = f"cache {figures.percent(values.usage.cache_hit_rate)}"
    if values.last is None or not values.usage.cache_reported:
        return (rate,)
    return (f"{rate} (last {figures.percent(values.last.cache_hit_rate)})", rate)


def _warmth(values: FooterValues) -> str:
    if values.warm_left is None or values.working is not None:
        return ""
    return f"warm {figures.countdown(values.warm_left)}" if values.warm_left > 0 else "cold"


def _warmth_style(values: FooterValues) -> str:
    near = values.warm_left is not None and values.warm_left < _NEARLY_COLD
    return "class:footer.cooling" if near else "class:footer"


def _cost(values: FooterValues) -> tuple[str, ...]:
    if values.unknown_calls:
        return (f"≥ {figures.dollars(values.known_cost)}" if values.known_cost else "cost unknown",)
    cost = figures.dollars(values.known_cost)
    saved = figures.dollars(values.saved)
    return (f"{cost} saved {saved}", cost) if abs(values.saved) >= 0.0005 else (cost,)


def _context(values: FooterValues) -> str:
    if not values.context_tokens:
        return ""
    if not values.context_window:
        return f"ctx {figures.tokens(values.context_tokens)}"
    return f"ctx {figures.percent(values.context_tokens / values.context_window)}"


def _cut(name: str, cells: int) -> str:
    return name if cell_len(name) <= cells else set_cell_size(name, cells - 1).rstrip("-.: ") + "…"


def _shorter(part: _Part) -> _Part:
    """The part one step shorter; a step that would change nothing is skipped."""
    rest = part.texts[1:]
    while rest and rest[0] == part.texts[0]:
        rest = rest[1:]
    return _Part(part.name, rest, part.style)


def _width(parts: list[_Part]) -> int:
    return sum(cell_len(part.texts[0]) for part in parts) + len(SEPARATOR) * max(0, len(parts) - 1)


def _fragments(parts: list[_Part]) -> tuple[Fragment, ...]:
    pieces: list[Fragment] = []
    for part in parts:
        if pieces:
            pieces.append(("class:footer", SEPARATOR))
        pieces.append((part.style, part.texts[0]))
    return tuple(pieces)
