"""The footer is one line at any width and says nothing that nobody reported."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cli.footer import FooterValues, footer, text
from providers.types import Usage

BUSY = FooterValues(
    model="claude-sonnet-5-5",
    usage=Usage(
        input_tokens=1200,
        output_tokens=3400,
        cache_read_tokens=98_000,
        cache_write_tokens=4100,
        reported_prompt_tokens=103_300,
    ),
    last=Usage(input_tokens=10, cache_read_tokens=990, reported_prompt_tokens=1000),
    known_cost=0.2144,
    saved=0.88,
    context_tokens=68_000,
    context_window=200_000,
    warm_left=252.4,
)


def line(values: FooterValues, width: int = 200) -> str:
    return text(footer(values, width))


def test_with_room_the_line_tells_everything() -> None:
    assert line(BUSY) == (
        "claude-sonnet-5-5 · ↑1.2k ↓3.4k R 98k W 4.1k · cache 95% (last 99%)"
        " · warm 4:12 · $0.214 saved $0.88 · ctx 34%"
    )


def test_the_least_important_parts_give_way_first() -> None:
    assert line(BUSY, 80) == "claude-sonnet-5-5 · ↑1.2k ↓3.4k · cache 95% · warm 4:12 · $0.214 · ctx 34%"
    assert line(BUSY, 60) == "claude-sonn… · ↑1.2k ↓3.4k · cache 95% · $0.214 · ctx 34%"
    assert line(BUSY, 30) == "claude-sonn… · cache 95%"
    assert line(BUSY, 10) == "cache 95%"


def test_a_silent_provider_is_not_a_zero() -> None:
    silent = replace(BUSY, usage=Usage(input_tokens=1200, output_tokens=10), last=Usage(input_tokens=1200))
    assert "cache n/a" in line(silent)
    assert "R 0" not in line(silent)
    assert "0%" not in line(silent)


def test_a_reported_zero_is_a_zero() -> None:
    missed = Usage(input_tokens=500, reported_prompt_tokens=500)
    assert "cache 0% (last 0%)" in line(replace(BUSY, usage=missed, last=missed))


def test_a_last_call_that_was_silent_says_so_beside_the_sessions_rate() -> None:
    assert "cache 95% (last n/a)" in line(replace(BUSY, last=Usage(input_tokens=5)))


def test_a_price_nobody_knows_is_unknown() -> None:
    assert "cost unknown" in line(replace(BUSY, known_cost=0.0, unknown_calls=2))


def test_a_partly_known_cost_is_a_lower_bound() -> None:
    assert "≥ $0.214" in line(replace(BUSY, unknown_calls=1))


def test_the_countdown_turns_cold_at_its_end() -> None:
    assert " · cold · " in line(replace(BUSY, warm_left=-1.0))
    assert "warm" not in line(replace(BUSY, warm_left=None))


def test_while_it_works_the_seconds_and_the_estimated_output_grow() -> None:
    working = replace(BUSY, working=12.7, streamed=600)
    assert "working 12s" in line(working)
    assert "↓~4k" in line(working)
    assert "warm" not in line(working)


def test_the_mode_is_shown_when_it_is_not_ask() -> None:
    assert " · plan · " in line(replace(BUSY, mode="plan"))
    assert "ask" not in line(BUSY)


def test_an_unknown_window_shows_the_contexts_tokens() -> None:
    assert line(replace(BUSY, context_window=None)).endswith("ctx 68k")


counts = st.integers(0, 10**12)
values = st.builds(
    FooterValues,
    model=st.text(st.characters(exclude_categories=("C", "M", "Zl", "Zp")), max_size=60),
    mode=st.sampled_from(["ask", "plan", "edits", "auto"]),
    usage=st.builds(
        Usage,
        input_tokens=counts,
        output_tokens=counts,
        cache_read_tokens=counts,
        cache_write_tokens=counts,
        reported_prompt_tokens=counts,
    ),
    last=st.none() | st.builds(Usage, cache_read_tokens=counts, reported_prompt_tokens=counts),
    known_cost=st.floats(0, 1e6),
    unknown_calls=st.integers(0, 3),
    saved=st.floats(-1e3, 1e6),
    context_tokens=counts,
    context_window=st.none() | st.integers(1, 10**7),
    warm_left=st.none() | st.floats(-1e4, 1e5),
    working=st.none() | st.floats(0, 1e6),
    streamed=st.integers(0, 10**6),
)


@given(values, st.integers(0, 140))
def test_the_line_never_wraps(given_values: FooterValues, width: int) -> None:
    shown = line(given_values, width)
    assert cell_len(shown) <= width
    assert "\n" not in shown
