"""The audit: what was booked comes out again, and what was tampered with doesn't."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from providers.pricing import Rates, price
from providers.types import JSONObject, ModelRef, Parameters, Prefix, Usage
from sessions.catalog import journal_path
from sessions.records import CallLine, PrefixLine, Record
from sessions.verify import ESTIMATED, ESTIMATED_OUTPUT, NO_RAW_USAGE, UNREADABLE, Audit, audit
from tests.support.journals import AT, EPOCH, booked, session, write

SONNET = "anthropic/claude-sonnet-5-5"
RAW: JSONObject = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 1840,
    "cache_read_input_tokens": 12032,
    "cache_creation": {"ephemeral_5m_input_tokens": 840, "ephemeral_1h_input_tokens": 1000},
    "output_tokens": 89,
    "output_tokens_details": {"thinking_tokens": 41},
}
USAGE = Usage(
    input_tokens=21,
    output_tokens=89,
    cache_read_tokens=12032,
    cache_write_tokens=1840,
    cache_write_1h_tokens=1000,
    reasoning_tokens=41,
    reported_prompt_tokens=13893,
)
OWN = {"gateway/big": Rates(3, 15, 0.3)}


def call(
    id: str = "c1",
    *,
    raw: JSONObject = RAW,
    usage: Usage = USAGE,
    model: str = SONNET,
    wire: str = "anthropic",
    billed: float | None = None,
    **other: Any,
) -> CallLine:
    """A line as it is booked."""
    known = price(ModelRef.parse(model), usage, at=EPOCH, overrides=OWN, billed=billed)
    return replace(
        booked(id, usage, model=model),
        raw_usage=raw,
        wire=wire,
        cost=known.cost if known else None,
        uncached_cost=known.uncached if known else None,
        price=known.id if known else None,
        **other,
    )


def audited(folder: Path, *lines: Record, rates: dict[str, Rates] = OWN) -> Audit:
    write(journal_path(folder, Path("/p"), "s1"), session("s1"), lines)
    return audit(folder, rates)


SOUND = {
    "anthropic": call(),
    "openai": call(
        raw={
            "prompt_tokens": 300_000,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 280_000},
        },
        usage=Usage(
            input_tokens=20_000, output_tokens=7, cache_read_tokens=280_000, reported_prompt_tokens=300_000
        ),
        model="openai/gpt-5.6-sol",
        wire="openai-chat",
    ),
    "billed": call(
        raw={"prompt_tokens": 30, "completion_tokens": 7, "cost": 0.00123, "cost_details": {}},
        usage=Usage(input_tokens=30, output_tokens=7),
        model="openrouter/nobody/nothing",
        wire="openai-chat",
        billed=0.00123,
    ),
    "own rates": call(
        raw={"prompt_tokens": 30, "completion_tokens": 7},
        usage=Usage(input_tokens=30, output_tokens=7),
        model="gateway/big",
        wire="openai-chat",
    ),
    "free": call(
        raw={"prompt_eval_count": 30, "eval_count": 7},
        usage=Usage(input_tokens=30, output_tokens=7),
        model="ollama/qwen3:8b",
        wire="ollama",
    ),
    "unknown price": call(
        raw={"prompt_tokens": 30, "completion_tokens": 7},
        usage=Usage(input_tokens=30, output_tokens=7),
        model="gateway/nameless",
        wire="openai-chat",
    ),
    "refused before it began": call(raw={}, usage=Usage(), outcome="KeyRefused"),
}


@pytest.mark.parametrize("line", SOUND.values(), ids=SOUND)
def test_a_line_as_it_was_booked_agrees_in_every_part(line: CallLine, tmp_path: Path) -> None:
    made = audited(tmp_path, line)
    assert (made.sessions, made.calls, made.disagreements, dict(made.unchecked)) == (1, 1, [], {})


@pytest.mark.parametrize(
    ("field", "tampered"),
    [
        *(
            (name, call(usage=replace(USAGE, **{name: getattr(USAGE, name) + 1})))
            for name in (
                "input_tokens",
                "output_tokens",
                "cache_read_tokens",
                "cache_write_tokens",
                "cache_write_1h_tokens",
                "reasoning_tokens",
                "reported_prompt_tokens",
            )
        ),
        ("cost", replace(call(), cost=0.001)),
        ("cost", replace(call(), cost=None)),
        ("uncached_cost", replace(call(), uncached_cost=1.0)),
        ("cost", replace(call(), price=None)),
        ("cost", replace(SOUND["billed"], cost=0.00124)),
        ("cost", replace(SOUND["free"], cost=0.5)),
    ],
)
def test_a_field_that_was_changed_is_named_with_both_values(
    field: str, tampered: CallLine, tmp_path: Path
) -> None:
    made = audited(tmp_path, call("sound"), tampered)
    assert {one.field for one in made.disagreements} == {field}
    assert made.disagreeing == 1
    (one, *_) = made.disagreements
    assert (one.session, one.call) == ("s1", "c1")
    assert one.recorded != one.recomputed


def test_a_cost_at_the_rates_of_another_day_disagrees(tmp_path: Path) -> None:
    booked_now = SOUND["openai"]
    july = price(ModelRef.parse(booked_now.model), booked_now.usage, at=EPOCH - 150 * 86_400)
    assert july is not None
    made = audited(tmp_path, replace(booked_now, cost=july.cost))
    assert [one.field for one in made.disagreements] == ["cost"]


def test_a_call_that_is_booked_twice_is_found(tmp_path: Path) -> None:
    made = audited(tmp_path, call(), call())
    assert [(one.field, one.recorded) for one in made.disagreements] == [("id", "booked again")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (call(raw={}, usage=Usage(input_tokens=9), estimated=True), ESTIMATED),
        (call(usage=replace(USAGE, output_tokens=USAGE.output_tokens + 9), estimated=True), ESTIMATED_OUTPUT),
        (call(raw={}), NO_RAW_USAGE),
        (call(wire="carrier-pigeon"), "nothing here reads the usage of the wire 'carrier-pigeon'"),
        (call(wire=""), "no wire is known for it"),
        (
            replace(call(), price="genai-prices:anthropic/gone"),
            "the price table no longer has anthropic/gone",
        ),
        (replace(call(), price="override:gone"), "your own rates for gone are no longer in config.toml"),
        (replace(call(), price="billed:openrouter"), "the raw usage doesn't tell what was billed"),
        (replace(call(), price="barter:eggs"), "its price 'barter:eggs' is of no kind that is known here"),
    ],
)
def test_what_cannot_be_checked_is_counted_with_its_reason(
    line: CallLine, reason: str, tmp_path: Path
) -> None:
    made = audited(tmp_path, line)
    assert (made.disagreements, dict(made.unchecked)) == ([], {reason: 1})


def test_the_prompt_of_an_answer_that_broke_off_is_checked_all_the_same(tmp_path: Path) -> None:
    wrong = replace(USAGE, input_tokens=USAGE.input_tokens + 1, output_tokens=USAGE.output_tokens + 9)
    made = audited(tmp_path, call(usage=wrong, estimated=True))
    assert [one.field for one in made.disagreements] == ["input_tokens"]


def test_the_price_of_an_estimate_is_checked_all_the_same(tmp_path: Path) -> None:
    made = audited(tmp_path, replace(call(raw={}, estimated=True), cost=9.0))
    assert [one.field for one in made.disagreements] == ["cost"]


def test_a_line_from_before_wires_were_named_is_read_by_its_prefix(tmp_path: Path) -> None:
    def prefix(model: str, encoder: str) -> PrefixLine:
        whole = Prefix(
            model=ModelRef.parse(model),
            system="",
            tools=(),
            parameters=Parameters(),
            encoder=encoder,
            affinity_key="",
        )
        return PrefixLine(id=f"p-{model}", parent=None, at=AT, prefix=whole)

    made = audited(
        tmp_path,
        prefix(SONNET, "anthropic/1"),
        call("c1", wire=""),
        prefix("openai/gpt-5.6-sol", "openai-chat/1"),
        replace(SOUND["openai"], id="c2", wire=""),
        call("c3", wire="", usage=replace(USAGE, output_tokens=1, reasoning_tokens=1)),
    )
    assert (made.calls, dict(made.unchecked)) == (3, {})
    assert {one.call for one in made.disagreements} == {"c3"}


def test_a_usage_that_contradicts_itself_is_noted(tmp_path: Path) -> None:
    odd = call(
        raw={"prompt_tokens": 30, "completion_tokens": -7},
        usage=Usage(input_tokens=30),
        model="gateway/big",
        wire="openai-chat",
    )
    made = audited(tmp_path, odd)
    assert [(note.session, note.call) for note in made.notes] == [("s1", "c1")]
    assert made.disagreements == []


def test_a_call_line_that_is_torn_is_counted_and_the_rest_is_checked(tmp_path: Path) -> None:
    path = write(journal_path(tmp_path, Path("/p"), "s1"), session("s1"), [call()])
    path.write_bytes(path.read_bytes() + b'{"kind":"call","id":')
    made = audit(tmp_path, {})
    assert (made.calls, dict(made.unchecked)) == (1, {UNREADABLE: 1})


def test_only_the_days_asked_for_are_audited(tmp_path: Path) -> None:
    late = replace(call("c2"), started=EPOCH + 5 * 86_400)
    audited(tmp_path, call("c1"), late)
    assert audit(tmp_path, {}, since=date.fromtimestamp(late.started)).calls == 1
    assert audit(tmp_path, {}, until=date.fromtimestamp(EPOCH + 86_400)).calls == 1
    assert audit(tmp_path, {}, until=date(2020, 1, 1)).sessions == 0


def test_a_moment_of_no_calendar_stops_no_audit(tmp_path: Path) -> None:
    odd = replace(call("c2"), started=1e20)
    audited(tmp_path, call("c1"), odd)
    assert audit(tmp_path, {}, since=date(2020, 1, 1)).calls == 2
