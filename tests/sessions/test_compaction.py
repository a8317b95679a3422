"""A summary in the conversation's place: what it sends, what it costs, and every way back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from agent.compaction import CompactionFailed, NothingToCompact
from agent.events import CacheMissed, CallFinished, Compacted, Compacting, Event, NotCompacted
from agent.summary import HEAD, QUOTE, is_summary
from providers.errors import BudgetReached, ContextOverflow
from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import ModelRef, Parameters, Text, TextDelta, ThinkingDelta
from sessions import begin
from sessions.journal import read
from sessions.records import CallLine, CompactionLine, MessageLine
from sessions.rehydrate import rehydrate
from sessions.session import Session
from sessions.setup import Limits, Setup
from tests.support.anthropic_server import AnthropicServer, text, tool_use
from tests.support.loopback import Recorded, Reply, json_reply
from tests.support.openai_server import OpenAIServer
from tests.support.script import say, script, use
from tests.support.setups import setup

CLAUDE = ModelRef("anthropic", "claude-sonnet-4-5")


def facing(server: AnthropicServer, folder: Path, **more: Any) -> Setup:
    settings = {"anthropic": ProviderSettings(base_url=server.url, api_key="k")}
    return setup(
        folder,
        providers=lambda name, encoder="": open_provider(
            name, settings, {}, folder / "home", encoder=encoder
        ),
        **more,
    )


async def tell(session: Session, words: str) -> list[Event]:
    return [event async for event in session.turn(words)]


async def compact(session: Session, keep: str = "") -> list[Event]:
    return [event async for event in session.compact(keep)]


def bare(value: Any) -> Any:
    """A request's part without its cache markers."""
    if isinstance(value, dict):
        return {key: bare(part) for key, part in value.items() if key != "cache_control"}
    return [*map(bare, value)] if isinstance(value, list) else value


def blocks(body: dict[str, Any]) -> list[Any]:
    return [(each["role"], bare(block)) for each in body["messages"] for block in each["content"]]


def words_of(body: dict[str, Any]) -> str:
    return "\n".join(block.get("text", "") for _, block in blocks(body))


def of(events: Iterable[Event], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


TWO_TURNS = (
    (text("I look."), tool_use("t1", "ls")),
    (text("An empty folder."),),
    (text("Nothing to add."),),
)
SUMMARY = (text("The person asked about the folder; it is empty."),)


async def test_the_summary_is_asked_for_on_the_same_prefix_and_read_from_the_cache(tmp_path: Path) -> None:
    with AnthropicServer([*TWO_TURNS, SUMMARY]) as server:
        session = await begin.start(facing(server, tmp_path), CLAUDE)
        await tell(session, "What is here?")
        await tell(session, "And else?")
        await compact(session)
        await session.close()
        before, asked = (request.json for request in server.requests[-2:])
        assert bare(asked["system"]) == bare(before["system"])
        assert asked["tools"] == before["tools"]
        own = {"messages", "system", "diagnostics"}
        rest, same = ({key: body[key] for key in body.keys() - own} for body in (asked, before))
        assert rest == same
        assert blocks(asked)[: len(blocks(before))] == blocks(before)
        last, bill = server.billed[-2:]
        kept = last["cache_read_input_tokens"] + last["cache_creation_input_tokens"]
        assert bill["cache_read_input_tokens"] == kept
        assert bill["input_tokens"] + bill["cache_creation_input_tokens"] < 500


async def test_the_next_request_begins_as_before_and_pays_only_behind_the_summary(tmp_path: Path) -> None:
    with AnthropicServer([*TWO_TURNS, SUMMARY, (text("Go on."),)]) as server:
        session = await begin.start(facing(server, tmp_path), CLAUDE)
        await tell(session, "What is here?")
        await tell(session, "And else?")
        await compact(session)
        events = await tell(session, "Next.")
        await session.close()
        first, last = server.requests[0].json, server.requests[-1].json
        assert (bare(last["system"]), last["tools"]) == (bare(first["system"]), first["tools"])
        assert blocks(last)[0] == blocks(first)[0], "the facts of the place and the project's instructions"
        assert [role for role, _ in blocks(last)] == ["user"] * len(blocks(last))
        assert server.billed[-1]["cache_read_input_tokens"] > 1000
        assert SUMMARY[0]["text"] in words_of(last)
        assert "An empty folder." not in words_of(last)
        (missed,) = of(events, CacheMissed)
        assert missed.cause == "compacted"


async def test_after_a_resume_too_what_is_read_anew_is_named_by_the_compaction(tmp_path: Path) -> None:
    with AnthropicServer([*TWO_TURNS, SUMMARY, (text("Go on."),)]) as server:
        session = await begin.start(facing(server, tmp_path), CLAUDE)
        await tell(session, "What is here?")
        await tell(session, "And else?")
        await compact(session)
        await session.close()
        again = await begin.resume(facing(server, tmp_path), session.path)
        events = await tell(again, "Next.")
        await again.close()
        (missed,) = of(events, CacheMissed)
        assert missed.cause == "compacted"


async def test_what_was_sent_before_a_compaction_is_no_beginning_of_what_comes_after(
    tmp_path: Path,
) -> None:
    thinks = {"thinking": "for long", "chunk": 2, "pause_s": 30}
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one"), thinks))
    await tell(session, "a")

    async def stopped() -> None:
        async for event in session.turn("b"):
            if isinstance(event, ThinkingDelta):
                asyncio.current_task().cancel()  # type: ignore[union-attr]

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(stopped())
    script(tmp_path, say("one"), say("sum"))
    await compact(session)
    await session.close()
    assert [message.text for message in session.state.messages[1:]] == ["b"]
    told = rehydrate(read(session.path).records)
    assert told.state == session.state
    assert told.state.previous_end is None


async def test_the_projects_instructions_outlive_two_compactions(tmp_path: Path) -> None:
    made = setup(tmp_path)
    (made.workspace.root / "AGENTS.md").write_text("Use tabs.\n")
    session = await begin.start(made, script(tmp_path, say("one"), say("two"), say("three")))
    await tell(session, "a")
    await compact(session)
    await tell(session, "b")
    await compact(session)
    (summary,) = session.state.messages
    assert summary.text.count("Use tabs.") == 1
    assert summary.text.count(HEAD) == 1
    await session.close()


async def test_what_the_person_wrote_last_stands_behind_the_summary_in_their_words(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one"), say("sum")))
    await tell(session, "Rename äöü, please.")
    await compact(session)
    last = session.state.messages[0].blocks[-1]
    assert last == Text(f"{QUOTE}\nRename äöü, please.")
    await session.close()


async def test_what_to_keep_reaches_the_model_and_its_answer_is_not_streamed_to_the_person(
    tmp_path: Path,
) -> None:
    with AnthropicServer([(text("Hello."),), SUMMARY]) as server:
        session = await begin.start(facing(server, tmp_path), CLAUDE)
        await tell(session, "Hi")
        events = await compact(session, "the name of the dog")
        await session.close()
        assert "the name of the dog" in words_of(server.requests[-1].json)
        assert not of(events, TextDelta)
        assert isinstance(events[0], Compacting)
        (told,) = of(events, Compacted)
        assert told.cost is not None
        assert told.anew_cost is not None
        assert 0 < told.anew < told.after


async def test_the_call_is_booked_as_a_compaction_and_counts(tmp_path: Path) -> None:
    spent = {"input_tokens": 7, "cache_read_tokens": 100, "output_tokens": 9}
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one"), say("sum", **spent)))
    await tell(session, "a")
    events = await compact(session)
    assert [call.purpose for call in session.calls] == ["main", "compaction"]
    assert session.usage.cache_read_tokens == 100
    (finished,) = of(events, CallFinished)
    assert finished.report.purpose == "compaction"
    await session.close()
    assert rehydrate(read(session.path).records).state.usage == session.usage


async def test_a_budget_counts_the_summary_and_stops_before_it(tmp_path: Path) -> None:
    made = setup(tmp_path, limits=Limits(max_turns=1))
    session = await begin.start(made, script(tmp_path, say("one"), say("sum")))
    await tell(session, "a")
    before = list(session.state.messages)
    with pytest.raises(BudgetReached):
        await compact(session)
    assert session.state.messages == before
    await session.close()


async def test_resume_and_fork_send_the_compacted_conversation(tmp_path: Path) -> None:
    model = script(tmp_path, say("one"), say("sum"))
    session = await begin.start(setup(tmp_path), model)
    await tell(session, "a")
    await compact(session)
    await tell(session, "b")
    await session.close()
    again = await begin.resume(setup(tmp_path), session.path)
    assert again.state == session.state
    assert again.repairs == ()
    forked = await begin.fork(setup(tmp_path), session.path)
    assert forked.state.messages == session.state.messages
    await forked.close()
    reread = rehydrate(read(forked.path).records)
    assert list(reread.state.messages) == session.state.messages
    assert reread.state.turn_count == 1, "a summary is nobody's turn"
    await again.close()


async def test_on_the_wire_resume_and_fork_send_the_same_bytes_after_a_compaction(tmp_path: Path) -> None:
    answers = [(text("Hello."),), SUMMARY, *[(text("Yes."),)] * 3]
    with AnthropicServer(answers) as server:
        session = await begin.start(facing(server, tmp_path), CLAUDE)
        await tell(session, "Hi")
        await compact(session)
        await tell(session, "Next.")
        await session.close()
        forked = await begin.fork(facing(server, tmp_path), session.path)
        await tell(forked, "More.")
        await forked.close()
        again = await begin.resume(facing(server, tmp_path), session.path)
        await tell(again, "More.")
        await again.close()
        three, fork, resumed = (request.json for request in server.requests[-3:])
        assert blocks(resumed) == blocks(fork)
        assert blocks(resumed)[: len(blocks(three))] == blocks(three)
        for bill in server.billed[-2:]:
            assert bill["input_tokens"] + bill["cache_creation_input_tokens"] < 60


async def test_a_rewind_to_before_brings_the_whole_conversation_back(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one"), say("sum")))
    await tell(session, "a")
    before = list(session.state.messages)
    number = session.checkpoints()[-1].number
    await compact(session)
    await tell(session, "b")
    await session.rewind(number)
    assert session.state.messages == before
    await session.close()
    again = await begin.resume(setup(tmp_path), session.path)
    assert again.state == session.state
    await again.close()


async def test_undo_after_a_compaction_takes_back_the_turn_behind_it(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one"), say("sum")))
    await tell(session, "a")
    await compact(session)
    compacted = list(session.state.messages)
    await tell(session, "b")
    await session.undo()
    assert session.state.messages == compacted
    await session.undo()
    assert session.state.messages == []
    await session.close()


async def test_the_context_is_as_full_as_the_summary_until_the_next_call_counts_it(tmp_path: Path) -> None:
    with AnthropicServer([*TWO_TURNS, SUMMARY, (text("Go on."),)]) as server:
        session = await begin.start(facing(server, tmp_path), CLAUDE)
        await tell(session, "What is here?" * 2000)
        await tell(session, "And else?")
        full = session.context_tokens
        events = await compact(session)
        (told,) = of(events, Compacted)
        assert session.context_tokens < full - 5000
        assert abs(session.context_tokens - told.after) < 1000
        await tell(session, "Next.")
        assert session.context_tokens == session.calls[-1].usage.total_tokens
        await session.close()


async def test_a_crash_before_the_summary_is_written_leaves_the_conversation_as_it_was(
    tmp_path: Path,
) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one"), say("sum")))
    await tell(session, "a")
    before = list(session.state.messages)
    await compact(session)
    await session.close()
    records, lines = read(session.path).records, session.path.read_bytes().splitlines(keepends=True)
    (call,) = [i for i, line in enumerate(records) if isinstance(line, CallLine) and line.purpose != "main"]
    (mark,) = [i for i, line in enumerate(records) if isinstance(line, CompactionLine)]
    assert isinstance(records[mark + 1], MessageLine)
    for cut in (call + 1, mark + 1):
        session.path.write_bytes(b"".join(lines[:cut]))
        again = await begin.resume(setup(tmp_path), session.path)
        assert again.state.messages == before
        await tell(again, "b")
        assert [message.text for message in again.state.messages][-2:-1] == ["b"]
        await again.close()


async def test_a_summary_stopped_on_its_way_changes_nothing_but_the_bill(tmp_path: Path) -> None:
    slow = {"text": "a long summary", "chunk": 2, "pause_s": 30}
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one"), slow))
    await tell(session, "a")
    before = list(session.state.messages)
    asked = asyncio.Event()

    async def work() -> None:
        async for event in session.compact():
            if isinstance(event, Compacting):
                asked.set()

    task = asyncio.create_task(work())
    await asked.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session.state.messages == before
    await session.close()
    told = rehydrate(read(session.path).records)
    assert list(told.state.messages) == before


async def test_a_summary_whose_call_fails_changes_nothing(tmp_path: Path) -> None:
    failing = {"error": {"status": 401, "message": "no"}}
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one"), failing))
    await tell(session, "a")
    before = list(session.state.messages)
    with pytest.raises(Exception, match="scripted"):
        await compact(session)
    assert session.state.messages == before
    await session.close()


async def test_a_model_that_calls_tools_is_asked_once_more_and_nothing_is_run(tmp_path: Path) -> None:
    wants = (
        text("Let me write."),
        tool_use("t9", "write", path="made.txt", content="x"),
    )
    with AnthropicServer([(text("Hello."),), wants, SUMMARY]) as server:
        made = facing(server, tmp_path)
        session = await begin.start(made, CLAUDE)
        await tell(session, "Hi")
        (told,) = of(await compact(session), Compacted)
        await session.close()
        assert not (made.workspace.root / "made.txt").exists()
        assert is_summary(session.state.messages[0])
        assert "Let me write." not in session.state.messages[0].text
        assert [call.purpose for call in session.calls] == ["main", "compaction", "compaction"]
        asked, again = (call.cost for call in session.calls[1:])
        assert asked is not None
        assert again is not None
        assert told.cost == pytest.approx(asked + again)


async def test_a_model_that_gives_no_summary_twice_leaves_everything_as_it_was(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one"), use(("ls", {}))))
    await tell(session, "a")
    before = list(session.state.messages)
    with pytest.raises(CompactionFailed, match="Nothing changed"):
        await compact(session)
    assert session.state.messages == before
    await session.close()


async def test_there_is_nothing_to_compact_in_an_empty_conversation(tmp_path: Path) -> None:
    session = await begin.start(setup(tmp_path), script(tmp_path, say("one")))
    with pytest.raises(NothingToCompact):
        await compact(session)
    await session.close()
    assert not session.path.exists()


class SmallServer(OpenAIServer):
    """A model with a context window of 8,000 tokens that refuses what doesn't fit, and tells its window."""

    def __init__(self, answers: Iterable[Any], *, window: int = 8_000, told: bool = True) -> None:
        super().__init__(answers)
        self.window = window
        self._told = told
        self.refused = 0

    def _reply(self, request: Recorded) -> Reply:
        if request.method == "GET":
            listed = {
                "id": "small",
                "object": "model",
                **({"max_model_len": self.window} if self._told else {}),
            }
            return json_reply({"object": "list", "data": [listed]})
        if sum(len(str(message)) for message in request.json["messages"]) // 4 > self.window - 2_000:
            self.refused += 1
            fault = {
                "message": "This model's maximum context length is small",
                "code": "context_length_exceeded",
            }
            return json_reply({"error": fault}, 400)
        return super()._reply(request)

    @property
    def chats(self) -> list[dict[str, Any]]:
        return [request.json for request in self.requests if request.method == "POST"]


def before(server: SmallServer, folder: Path, **more: Any) -> Setup:
    settings = {"small": ProviderSettings(base_url=server.base_url, api_key="k")}
    return setup(
        folder,
        providers=lambda name, encoder="": open_provider(
            name, settings, {}, folder / "home", encoder=encoder
        ),
        **more,
    )


SMALL = ModelRef("small", "small")


def reading(number: int) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    return ((f"r{number}", "read", {"path": f"{number}.txt"}),)


async def loop_of(
    folder: Path, server: SmallServer, words: int = 400, **more: Any
) -> tuple[Session, list[Event]]:
    made = before(server, folder, **more)
    for number in range(12):
        (made.workspace.root / f"{number}.txt").write_text(f"file {number}\n" * words)
    session = await begin.start(made, SMALL)
    return session, await tell(session, "Read them all, and say what is odd.")


def paired(messages: Iterable[Any]) -> bool:
    calls = [call.id for message in messages for call in message.tool_calls]
    results = [block.call_id for m in messages if m.role == "tool" for block in m.blocks]
    return calls == results


async def test_who_switched_it_off_is_told_that_the_conversation_no_longer_fits(tmp_path: Path) -> None:
    answers = [reading(0), reading(1), reading(2), reading(3), reading(4), "a summary", "Nothing is odd."]
    with SmallServer(answers) as server, pytest.raises(ContextOverflow, match="/compact"):
        await loop_of(tmp_path, server, auto_compact=False)
    assert server.refused == 1


async def test_a_running_loop_is_compacted_before_the_window_is_full_and_goes_on(tmp_path: Path) -> None:
    answers = [reading(0), reading(1), reading(2), reading(3), "Read 0 to 2.", reading(4), "Nothing is odd."]
    with SmallServer(answers) as server:
        session, events = await loop_of(tmp_path, server)
        await session.close()
    assert server.refused == 0
    (told,) = of(events, Compacted)
    assert told.after < told.before
    first, *rest = session.state.messages
    assert is_summary(first)
    assert "Read 0 to 2." in first.text
    assert "Read them all" in first.text, "the prompt of the turn that runs"
    assert paired(session.state.messages)
    assert rest[-1].text == "Nothing is odd."
    told_again = rehydrate(read(session.path).records)
    assert told_again.state == session.state


async def test_the_request_for_a_summary_in_a_loop_is_all_cached(tmp_path: Path) -> None:
    answers = [reading(0), reading(1), reading(2), reading(3), "Read 0 to 2.", reading(4), "Nothing is odd."]
    with SmallServer(answers) as server:
        session, _events = await loop_of(tmp_path, server)
        await session.close()
    place = next(i for i, call in enumerate(session.calls) if call.purpose == "compaction")
    before, asked = session.calls[place - 1], session.calls[place]
    assert asked.usage.cache_read_tokens == before.usage.prompt_tokens


async def test_where_the_window_is_unknown_a_refused_call_is_compacted_and_made_once_more(
    tmp_path: Path,
) -> None:
    answers = [reading(0), reading(1), reading(2), "Read 0 and 1.", "Nothing is odd."]
    with SmallServer(answers, told=False) as server:
        session, events = await loop_of(tmp_path, server, words=900)
        await session.close()
    assert server.refused == 1
    assert len(of(events, Compacted)) == 1
    assert session.state.messages[-1].text == "Nothing is odd."
    assert paired(session.state.messages)


async def test_a_conversation_that_never_fits_is_refused_and_not_asked_for_ever(tmp_path: Path) -> None:
    with SmallServer(["Hello."] * 20, told=False) as server:
        session = await begin.start(before(server, tmp_path), SMALL)
        await tell(session, "Hi")
        with pytest.raises(ContextOverflow):
            await tell(session, "long " * 10_000)
        await session.close()
        assert len(server.chats) <= 4


class Unwilling(SmallServer):
    """Refuses whatever isn't a request for a summary, from the third call on."""

    def _reply(self, request: Recorded) -> Reply:
        summing = "about to be replaced" in str(request.json["messages"][-1]) if request.body else False
        if len(self.chats) > 2 and not summing:
            return json_reply({"error": {"message": "Too long.", "code": "context_length_exceeded"}}, 400)
        return super()._reply(request)


async def test_a_call_that_is_refused_again_behind_the_summary_stays_refused(tmp_path: Path) -> None:
    made_in = tmp_path / "project"
    with Unwilling([reading(0), reading(1), *["A summary."] * 5], told=False) as server:
        session = await begin.start(before(server, tmp_path), SMALL)
        (made_in / "0.txt").write_text("zero\n" * 700)
        (made_in / "1.txt").write_text("one\n" * 850)
        with pytest.raises(ContextOverflow):
            await tell(session, "Read them.")
        await session.close()
    assert [call.purpose for call in session.calls].count("compaction") == 1


async def test_a_prompt_that_finds_no_room_waits_behind_the_summary_in_its_own_words(tmp_path: Path) -> None:
    with SmallServer(["One.", "Two.", "The summary.", "Three."]) as server:
        session = await begin.start(before(server, tmp_path), SMALL)
        await tell(session, "one " * 2000)
        await tell(session, "two " * 1500)
        await tell(session, "three " * 1000)
        await session.close()
    summary, prompt, answer = session.state.messages
    assert "The summary." in summary.text
    assert QUOTE not in summary.text, "the prompt itself comes next"
    assert prompt.text == "three " * 1000
    assert answer.text == "Three."


async def test_a_summary_that_does_not_come_is_told_once_and_the_turn_goes_on(tmp_path: Path) -> None:
    answers = ["One.", "Two.", "", "", reading(0), "Three.", "Four."]
    with SmallServer(answers) as server:
        session = await begin.start(before(server, tmp_path), SMALL)
        await tell(session, "one " * 2000)
        await tell(session, "two " * 1500)
        events = await tell(session, "three " * 1000)
        await session.close()
    assert len(of(events, NotCompacted)) == 1
    assert session.state.messages[-1].text == "Three."


async def test_a_person_who_wants_short_answers_gets_a_summary_too(tmp_path: Path) -> None:
    made = setup(tmp_path, parameters=Parameters(max_output_tokens=16))
    session = await begin.start(made, script(tmp_path, say("one"), say("sum")))
    await tell(session, "a")
    await compact(session)
    assert is_summary(session.state.messages[0])
    await session.close()


async def test_a_conversation_cut_short_for_its_summary_missed_nothing_behind_the_cut(tmp_path: Path) -> None:
    with SmallServer(["One.", "Two.", "The summary."], window=6_000) as server:
        session = await begin.start(before(server, tmp_path), SMALL)
        await tell(session, "one " * 2000)
        server.window = 8_000
        await tell(session, "two " * 1500)
        (told,) = of(await compact(session), Compacted)
        await session.close()
    assert told.shortened
    assert [call.miss for call in session.calls] == [None] * 3
