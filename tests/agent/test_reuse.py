"""What should have been read from the cache, and the name of each miss."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.cache import kept
from agent.diagnosis import ANNOUNCED, reloaded, told_cause
from agent.digests import digests
from agent.reuse import CacheRecord, Sent
from providers.types import Message, ModelRef, Parameters, Prefix, Text, ToolCall, ToolSpec, Usage

MODEL = ModelRef("anthropic", "claude-test")
READ = ToolSpec("read", "Read a file.", "{}")
PREFIX = Prefix(model=MODEL, system="s", tools=(READ,), encoder="anthropic/1", affinity_key="k")


def said(*texts: str) -> list[str]:
    return digests(Message(f"m{place}", "user", (Text(text),)) for place, text in enumerate(texts))


def usage(*, read: int = 0, written: int = 0, uncached: int = 0, output: int = 10) -> Usage:
    prompt = read + written + uncached
    return Usage(
        input_tokens=uncached,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reported_prompt_tokens=prompt,
    )


def record(
    *calls: tuple[list[str], Usage, float], prefix: Prefix = PREFIX, keeps: float = 300.0
) -> CacheRecord:
    """The record after these calls: (digests of what was sent, usage, start)."""
    made = CacheRecord()
    for chain, billed, started in calls:
        made.add(Sent(prefix, chain[-1], started, billed, keeps), chain)
    return made


def test_a_call_that_reads_all_that_was_kept_misses_nothing() -> None:
    past = record((said("a"), usage(written=900), 0.0))
    assert past.miss(PREFIX, said("a", "b"), 60.0, usage(read=900, written=50)) is None


def test_a_first_call_misses_nothing() -> None:
    assert CacheRecord().miss(PREFIX, said("a"), 0.0, usage(written=900)) is None


def test_of_two_calls_at_once_the_later_one_says_until_when_an_entry_lives() -> None:
    first = (said("a"), usage(written=900), 0.0)
    later, earlier = (said("a", "b"), usage(read=900, written=50), 200.0), (said("a"), usage(read=900), 100.0)
    assert record(first, later, earlier).expires(PREFIX, said("a"), 300.0) == 500.0


def test_an_entry_that_expired_is_named_with_how_long_nobody_came() -> None:
    past = record((said("a"), usage(written=900), 0.0))
    missed = past.miss(PREFIX, said("a", "b"), 420.0, usage(written=950))
    assert missed is not None
    assert (missed.cause, missed.tokens, missed.detail) == ("expired", 900, "idle 7 min, kept 5 min")


def test_a_hit_keeps_an_entry_for_its_whole_lifetime_anew() -> None:
    past = record((said("a"), usage(written=900), 0.0), (said("a", "b"), usage(read=900, written=10), 240.0))
    assert past.alive(PREFIX, said("a"), 500.0) == 900


def test_identical_bytes_that_were_not_found_are_the_providers_doing() -> None:
    past = record((said("a"), usage(written=900), 0.0))
    missed = past.miss(PREFIX, said("a", "b"), 30.0, usage(read=200, written=700))
    assert missed is not None
    assert (missed.cause, missed.tokens) == ("affinity_or_eviction", 700)


def test_after_more_than_the_longest_lifetime_nothing_is_paid_twice() -> None:
    past = record((said("a"), usage(written=900), 0.0))
    assert past.miss(PREFIX, said("a", "b"), 3601.0, usage(written=950)) is None


@pytest.mark.parametrize(
    ("idle", "cause"), [(60.0, "affinity_or_eviction"), (1200.0, "expired"), (90_000.0, None)]
)
def test_who_names_no_time_forgets_all_the_same(idle: float, cause: str | None) -> None:
    openai = replace(PREFIX, model=ModelRef("openai", "gpt"), encoder="openai-chat/1")
    past = CacheRecord()
    past.add(Sent(openai, said("a")[-1], 0.0, usage(uncached=5000), None), said("a"))
    missed = past.miss(openai, said("a", "b"), idle, usage(uncached=5100))
    assert (missed and missed.cause) == cause
    assert (past.alive(openai, said("a"), idle) > 0) == (cause is not None)


def test_what_is_kept_longer_is_told_once_the_end_is_gone() -> None:
    past = record((said("a"), usage(written=9000), 0.0), keeps=3600.0)
    past.add(Sent(PREFIX, said("a", "b")[-1], 10.0, usage(read=9000, written=500), 300.0), said("a", "b"))
    assert past.expires(PREFIX, said("a", "b"), 100.0) == 310.0
    assert past.expires(PREFIX, said("a", "b"), 1000.0) == 3610.0
    assert past.expires(PREFIX, said("a", "b"), 9000.0) == 310.0


def test_a_conversation_taken_back_is_measured_by_what_it_still_shares() -> None:
    past = record(
        (said("a"), usage(written=900), 0.0), (said("a", "b", "c"), usage(read=900, written=500), 10.0)
    )
    assert past.reusable(PREFIX, said("a", "x"), 20.0)[0] == 900
    assert past.miss(PREFIX, said("a", "x"), 20.0, usage(read=900, written=50)) is None


def test_a_conversation_taken_back_to_its_beginning_is_no_miss() -> None:
    past = record((said("a"), usage(written=900), 0.0))
    past.rewound()
    assert past.miss(PREFIX, said("x"), 20.0, usage(written=50)) is None


@pytest.mark.parametrize(
    ("now", "cause", "detail"),
    [
        (
            replace(PREFIX, model=ModelRef("anthropic", "other")),
            "model_changed",
            "anthropic/claude-test before, anthropic/other now",
        ),
        (replace(PREFIX, tools=(READ, replace(READ, name="grep"))), "tools_changed", "grep"),
        (replace(PREFIX, tools=(replace(READ, description="Reads."),)), "tools_changed", "read"),
        (replace(PREFIX, system="t"), "system_changed", "the system prompt"),
        (replace(PREFIX, parameters=Parameters(effort="high")), "parameters_changed", "effort high"),
    ],
)
def test_a_changed_part_of_the_prefix_is_named(now: Prefix, cause: str, detail: str) -> None:
    past = record((said("a"), usage(written=900), 0.0))
    missed = past.miss(now, said("a", "b"), 20.0, usage(written=950))
    assert missed is not None
    assert (missed.cause, missed.detail, missed.tokens) == (cause, detail, 900)


def test_another_lifetime_is_not_another_prefix() -> None:
    past = record((said("a"), usage(written=900), 0.0))
    longer = replace(PREFIX, parameters=Parameters(cache_ttl="1h"))
    assert past.reusable(longer, said("a", "b"), 20.0)[0] == 900


def test_a_history_that_changed_is_named_and_so_is_a_summary() -> None:
    past = record((said("a"), usage(written=900), 0.0))
    changed = past.miss(PREFIX, said("x", "b"), 20.0, usage(written=950))
    past.compacted()
    compacted = past.miss(PREFIX, said("x", "b"), 20.0, usage(written=950))
    assert changed is not None
    assert compacted is not None
    assert (changed.cause, compacted.cause) == ("history_changed", "compacted")
    assert compacted.cause in ANNOUNCED
    assert changed.cause not in ANNOUNCED


def test_the_providers_own_diagnosis_goes_first() -> None:
    past = record((said("a"), usage(written=900), 0.0))
    missed = past.miss(PREFIX, said("a", "b"), 20.0, usage(written=950), told="system_changed")
    assert missed is not None
    assert missed.cause == "system_changed"


def test_both_providers_diagnoses_are_read() -> None:
    assert told_cause({"diagnostics": {"cache_miss_reason": {"type": "tools_changed"}}}) == "tools_changed"
    assert told_cause({"prompt_cache_diagnostics": {"reason": "input_changed"}}) == "history_changed"
    assert told_cause({"diagnostics": None}) is None
    assert told_cause({"diagnostics": {"cache_miss_reason": {"type": "unavailable"}}}) is None


def test_a_provider_that_cannot_tell_leaves_the_name_to_what_is_known_here() -> None:
    for kind in ("previous_message_not_found", "unavailable"):
        assert told_cause({"diagnostics": {"cache_miss_reason": {"type": kind}}}) is None
    assert told_cause({"prompt_cache_diagnostics": {"type": "comparison_response_not_found"}}) is None
    assert told_cause({"diagnostics": {"cache_miss_reason": None}}) is None


def test_where_the_provider_says_the_same_the_detail_is_ours() -> None:
    past = record((said("a"), usage(written=900), 0.0))
    other = replace(PREFIX, tools=())
    missed = past.miss(other, said("a", "b"), 20.0, usage(written=950), told="tools_changed")
    assert missed is not None
    assert (missed.cause, missed.detail) == ("tools_changed", "read")


def test_a_summary_is_no_mere_change_though_the_provider_sees_only_that() -> None:
    past = record((said("a"), usage(written=900), 0.0))
    past.compacted()
    missed = past.miss(PREFIX, said("x"), 20.0, usage(written=950), told="history_changed")
    assert missed is not None
    assert missed.cause == "compacted"


def answered(*calls: tuple[list[str], str]) -> CacheRecord:
    """The record after calls that sent these, with their answers' ids."""
    made = CacheRecord()
    for chain, response in calls:
        made.add(
            Sent(PREFIX, chain[-1], 0.0, usage(written=900 * len(chain)), 300.0, response=response), chain
        )
    return made


def test_a_request_is_compared_with_the_call_whose_entry_it_should_read() -> None:
    past = answered((said("a"), "msg_1"), (said("a", "b"), "msg_2"), (said("a", "b", "c"), "msg_3"))
    assert past.compared_with(PREFIX, said("a", "b", "d"), 20.0) == "msg_2"
    assert past.compared_with(PREFIX, said("x"), 20.0) == "msg_3"
    assert CacheRecord().compared_with(PREFIX, said("a"), 20.0) is None


def test_another_providers_answer_is_compared_with_nothing() -> None:
    past = answered((said("a"), "msg_1"))
    elsewhere = replace(PREFIX, model=ModelRef("gate", "claude-test"))
    assert past.compared_with(elsewhere, said("a", "b"), 20.0) is None


def test_a_model_that_was_loaded_anew_is_told_of() -> None:
    past = record((said("a"), usage(written=900), 0.0), keeps=1800.0)
    missed = past.miss(PREFIX, said("a", "b"), 20.0, usage(uncached=950), reloaded=True)
    assert missed is not None
    assert (missed.cause, missed.detail) == ("affinity_or_eviction", "the model was loaded anew")
    assert reloaded({"load_duration": 4_000_000_000})
    assert not reloaded({"load_duration": 40_000_000})
    assert not reloaded({})


def test_a_silent_provider_is_expected_to_do_nothing() -> None:
    quiet = Usage(input_tokens=900)
    past = record((said("a"), quiet, 0.0))
    assert past.miss(PREFIX, said("a", "b"), 20.0, quiet) is None


def test_a_lane_of_its_own_does_not_miss_what_it_never_sent() -> None:
    past = record((said("a"), usage(written=900), 0.0))
    assert past.miss(PREFIX, said("task"), 20.0, usage(written=300), lane="task_1") is None


def test_what_is_kept_is_counted_as_each_provider_counts() -> None:
    def after(encoder: str, billed: Usage) -> int:
        return kept(replace(PREFIX, encoder=encoder), billed)

    assert after("anthropic/1", usage(read=100, written=50, uncached=7)) == 150
    assert after("local/2", usage(uncached=100, output=10)) == 109
    assert after("openai-chat/1", usage(uncached=1000)) == 0
    assert after("openai-chat/1", usage(uncached=1500)) == 1408
    assert after("openai-responses/1", usage(written=1500, uncached=20)) == 1500
    assert after("openai-chat/1", Usage(input_tokens=9000)) == 0


def test_equal_messages_have_equal_digests_and_a_changed_one_changes_all_behind_it() -> None:
    one, other = said("a", "b", "c"), said("a", "x", "c")
    assert one[0] == other[0]
    assert {*one[1:]}.isdisjoint(other[1:])
    call = Message("m", "assistant", (ToolCall("t", "read", '{"path": "\ud800"}'),))
    assert len(digests([call])) == 1
