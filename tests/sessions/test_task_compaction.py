"""A sub-agent whose conversation would fill the window: summed up in its lane, the main one untouched."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.events import CacheMissed, Compacted, Event, NotCompacted, ToolOutput, TurnFinished
from agent.summary import QUOTE, is_summary
from benchmarks.cache.oracle import Made
from benchmarks.cache.server import Answer, Say, Use
from providers.errors import BudgetReached
from providers.pricing import Rates
from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import Usage
from sessions import begin
from sessions.journal import read
from sessions.records import MAIN, CallLine, CompactionLine
from sessions.rehydrate import rehydrate
from sessions.session import Session
from sessions.setup import Limits
from sessions.stats import collect, summarise
from tests.sessions.test_tasks import billed, lanes
from tests.support.hosting import results
from tests.support.setups import setup
from tests.support.windows import (
    FILES,
    GO,
    LONG_JOB,
    READING,
    SUMMARY,
    Bench,
    ChatBench,
    ClaudeBench,
    Play,
    ResponsesBench,
    fill,
    job,
    on,
)

pytestmark = pytest.mark.slow


class Told:
    """A project with files to read, and what its session tells on a server's small model."""

    def __init__(self, folder: Path, server: Bench, **more: Any) -> None:
        settings = {"openai": ProviderSettings(wire=server.WIRE)} if server.WIRE else {}
        self.setup = setup(
            folder,
            providers=lambda name, encoder="": open_provider(
                name, settings, server.environ(), folder / "home", encoder=encoder
            ),
            **more,
        )
        self.events: list[Event] = []
        self._model = server.MODEL
        fill(self.setup.workspace.root, type(server))

    async def go(self, *, begun: Path | None = None) -> Session:
        """A turn in a new session, or in the one that was `begun` there."""
        if begun is None:
            session = await begin.start(self.setup, self._model)
        else:
            session = await begin.resume(self.setup, begun)
        try:
            async for event in session.turn("go"):
                self.events.append(event)
        finally:
            await session.close()
        return session

    @property
    def output(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, ToolOutput))


def opening_of(session: Session, made: Made) -> int:
    """Tokens of tools, system prompt and the block about the place."""
    return sum(made.segments.lengths[: len(session.prefix.tools) + 2])


# --- what is sent, and what it costs -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Story:
    """A turn whose task reads more than fits the window, and then a turn of the session resumed."""

    server: Bench
    told: Told
    session: Session
    billed: Usage
    """All that the server billed for the first turn."""
    resumed: Session

    @property
    def calls(self) -> list[tuple[CallLine, Made]]:
        """Those of the first turn, as they were booked and as the server saw them."""
        return list(zip(self.session.calls, self.server.billing.calls[:-1], strict=True))

    @property
    def compaction(self) -> int:
        """The place of the first call that asked for a summary."""
        return [call.purpose for call in self.session.calls].index("compaction")

    def readable(self, tokens: int) -> int:
        """What of a beginning of so many tokens this server's cache gives."""
        return tokens if isinstance(self.server, ClaudeBench) else tokens // 128 * 128


@pytest.fixture(scope="module", params=(ClaudeBench, ChatBench, ResponsesBench))
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("story")

    async def lived() -> Story:
        with on(folder, request.param, Play((*GO, Say("Still done.")), read=LONG_JOB)) as server:
            told = Told(folder, server)
            session = await told.go()
            bill = billed(server)
            resumed = await Told(folder, server).go(begun=session.path)
            return Story(server, told, session, bill, resumed)

    return asyncio.run(lived())


def test_a_task_is_compacted_before_the_window_is_full_and_goes_on(story: Story) -> None:
    assert story.server.billing.refused == 0
    (result,) = results(story.session.state.messages)
    assert (result.text, result.is_error) == ("Nothing is odd.", False)
    output = story.told.output
    assert "compacting: the context window is" in output
    assert "compacted: ~" in output
    assert f"read {FILES - 1}.txt" in output[output.index("compacted: ~") :]
    assert not [event for event in story.told.events if isinstance(event, Compacted)], "the main one was not"


def test_the_summary_is_asked_for_on_the_tasks_own_prefix_and_read_from_the_cache(story: Story) -> None:
    (before, sent), (asked, asking) = story.calls[story.compaction - 1 : story.compaction + 1]
    assert before.lane == asked.lane != MAIN
    assert asking.segments.hashes[: len(sent.segments.hashes)] == sent.segments.hashes
    assert asked.usage.cache_read_tokens == story.readable(sent.segments.tokens)
    assert asking.segments.tokens - sent.segments.tokens < 600
    assert asked.miss is None


def test_behind_the_summary_tools_system_prompt_and_the_place_are_read_from_the_cache(story: Story) -> None:
    then, made = story.calls[story.compaction + 1]
    assert made.bill.read == story.readable(opening_of(story.session, made))
    assert then.lane == story.calls[1][0].lane
    assert then.miss is not None
    assert then.miss.cause == "compacted"


def test_what_the_server_billed_is_what_every_total_says(story: Story) -> None:
    finished = [event for event in story.told.events if isinstance(event, TurnFinished)][-1]
    assert finished.usage == story.billed == sum((call.usage for call in story.session.calls), Usage())
    told = rehydrate(read(story.session.path).records)
    assert told.state.usage == story.resumed.usage == billed(story.server)


def test_every_call_for_a_summary_is_in_the_ledger_with_its_purpose_and_lane(story: Story) -> None:
    (lane,) = lanes(story.session.path)
    assert {call.lane for call in story.session.calls if call.purpose != "main"} == {lane}
    summed = {row.key: row.calls for row in summarise(collect(story.told.setup.home), "purpose").rows}
    assert summed["main"] == 3
    assert summed["compaction"] >= 1
    assert summed["task"] + summed["compaction"] == len(story.session.calls) - 2


def test_a_resumed_session_sends_the_main_conversation_byte_for_byte(story: Story) -> None:
    last, resumed = story.server.billing.calls[-2:]
    assert resumed.segments.hashes[: len(last.segments.hashes)] == last.segments.hashes
    assert resumed.bill.read == story.readable(last.segments.tokens)
    assert story.resumed.calls[-1].miss is None
    before = story.session.state.messages
    assert story.resumed.state.messages[: len(before)] == before
    assert story.resumed.repairs == ()


@pytest.mark.parametrize("bench", [ClaudeBench, ChatBench])
async def test_only_the_compacted_lane_reads_anew(tmp_path: Path, bench: type[Bench]) -> None:
    go = (Use((job("read"), job("look"))), Use((job("again"),)), Say("Done."))
    play = Play(go, read=LONG_JOB, look=(*READING[:2], Say("Fine.")), again=(READING[0], Say("Fine.")))
    with on(tmp_path, bench, play) as server:
        told = Told(tmp_path, server)
        session = await told.go()
    compacted = {call.lane for call in session.calls if call.purpose == "compaction"}
    assert len(compacted) == 1
    missed = [call for call in session.calls if call.miss]
    assert {call.miss.cause for call in missed if call.miss} == {"compacted"}
    assert {call.lane for call in missed} == compacted
    events = [event for event in told.events if isinstance(event, CacheMissed)]
    assert len(events) == len(missed) == sum(call.purpose == "compaction" for call in session.calls)


# --- the journal -------------------------------------------------------------------------------------------


async def test_the_journal_keeps_what_was_dropped_in_the_tasks_lane(tmp_path: Path) -> None:
    with on(tmp_path, ChatBench, Play(GO, read=LONG_JOB)) as server:
        session = await Told(tmp_path, server).go()
    records = read(session.path).records
    ((lane, messages),) = lanes(session.path).items()
    marks = [record for record in records if isinstance(record, CompactionLine)]
    ids = [message.id for message in messages]
    assert marks
    assert all(mark.lane == lane and {mark.first, mark.last, mark.summary} <= {*ids} for mark in marks)
    first = marks[0]
    assert ids.index(first.first) == 1, "the block about the place stays"
    summary = messages[ids.index(first.summary)]
    assert is_summary(summary)
    assert [block.text for block in summary.blocks][-1] == f"{QUOTE}\njob read"
    dropped = [call.arguments()["path"] for message in messages for call in message.tool_calls]
    assert dropped == [f"{number}.txt" for number in range(FILES)]


async def test_a_journal_cut_anywhere_in_a_tasks_compaction_has_the_main_conversation_whole(
    tmp_path: Path,
) -> None:
    with on(tmp_path, ChatBench, Play(GO, read=LONG_JOB)) as server:
        session = await Told(tmp_path, server).go()
    records = read(session.path).records
    (mark, *_) = [place for place, line in enumerate(records) if isinstance(line, CompactionLine)]
    for cut in range(mark - 1, mark + 3):
        told = rehydrate(records[:cut])
        assert [message.role for message in told.state.messages] == ["user", "assistant"]
        assert [call.name for call in told.dangling] == ["task"]
        assert told.repairs == ()


async def test_tasks_side_by_side_are_each_summed_up_in_their_own_lane(tmp_path: Path) -> None:
    names = ("one", "two", "three")
    go = (Use(tuple(map(job, names))), Say("Done."))
    play = Play(go, one=LONG_JOB, two=LONG_JOB, three=LONG_JOB)
    with on(tmp_path, ChatBench, play) as server:
        session = await Told(tmp_path, server).go()
    assert [result.text for result in results(session.state.messages)] == ["Nothing is odd."] * 3
    assert server.billing.refused == 0
    by_lane = lanes(session.path)
    marks = [record for record in read(session.path).records if isinstance(record, CompactionLine)]
    assert {mark.lane for mark in marks} == {*by_lane}
    for mark in marks:
        ids = [message.id for message in by_lane[mark.lane]]
        assert {mark.first, mark.last, mark.summary} <= {*ids}
    jobs = {messages[1].text for messages in by_lane.values()}
    assert jobs == {f"job {name}" for name in names}
    for messages in by_lane.values():
        for summary in filter(is_summary, messages):
            assert summary.blocks[-1].text == f"{QUOTE}\n{messages[1].text}"  # type: ignore[union-attr]


# --- where it doesn't come ---------------------------------------------------------------------------------


async def test_who_switched_it_off_has_a_task_that_says_it_filled_the_window(tmp_path: Path) -> None:
    with on(tmp_path, ChatBench, Play(GO, read=LONG_JOB)) as server:
        session = await Told(tmp_path, server, auto_compact=False).go()
    (result,) = results(session.state.messages)
    assert result.is_error
    assert "Divide the job into smaller tasks" in result.text
    assert server.billing.refused == 1
    assert {call.purpose for call in session.calls} == {"main", "task"}
    assert session.state.messages[-1].text == "Done."


@pytest.mark.parametrize("bench", [ClaudeBench, ChatBench])
async def test_a_call_that_the_provider_refuses_as_too_long_is_made_again_behind_a_summary(
    tmp_path: Path, bench: type[Bench]
) -> None:
    """The model's window is smaller than anybody said."""
    with on(tmp_path, bench, Play(GO, read=LONG_JOB)) as server:
        server.billing.window = bench.WINDOW * 7 // 12
        told = Told(tmp_path, server)
        session = await told.go()
    assert server.billing.refused > 0
    assert "compacting: the conversation no longer fits the context window" in told.output
    assert results(session.state.messages)[0].text == "Nothing is odd."


async def test_a_step_that_alone_fills_the_window_is_shortened_but_for_the_place_and_the_job(
    tmp_path: Path,
) -> None:
    everything = Use(tuple(("read", {"path": f"{number}.txt"}) for number in range(FILES)))
    with on(tmp_path, ChatBench, Play(GO, read=(everything, Say("Nothing is odd.")))) as server:
        told = Told(tmp_path, server)
        session = await told.go()
        sent = [request.json["messages"] for request in server.requests if request.method == "POST"]
    assert server.billing.refused == 0
    assert results(session.state.messages)[0].text == "Nothing is odd."
    place = [call.purpose for call in session.calls].index("compaction")
    first, asking = sent[place - 1], sent[place]
    assert asking[: len(first)] == first, "system prompt, place and job"
    assert any("[shortened]" in str(message["content"]) for message in asking)


async def test_a_turn_that_is_stopped_in_a_tasks_summary_leaves_a_session_that_goes_on(
    tmp_path: Path,
) -> None:
    play = Play((*GO, Say("Never mind.")), read=LONG_JOB)
    asked, stopped = threading.Event(), threading.Event()

    def waiting(body: dict[str, Any]) -> Answer:
        answer = play(body)
        if answer == Say(SUMMARY):
            asked.set()
            stopped.wait()
        return answer

    with on(tmp_path, ChatBench, waiting) as server:
        told = Told(tmp_path, server)
        turn = asyncio.create_task(told.go())
        await asyncio.to_thread(asked.wait)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        stopped.set()
        (path,) = told.setup.home.glob("sessions/*/*.jsonl")
        again = await told.go(begun=path)
    (lane,) = lanes(path)
    ends = [(call.lane, call.outcome) for call in again.calls if call.purpose == "compaction"]
    assert ends == [(lane, "cancelled")]
    assert not [line for line in read(path).records if isinstance(line, CompactionLine)]
    assert "Interrupted" in results(again.state.messages)[0].text
    assert again.state.messages[-1].text == "Done."


async def test_a_summary_that_does_not_come_is_told_once_and_the_task_goes_on(tmp_path: Path) -> None:
    play = Play(GO, summary=Use((("ls", {}),)), read=(*READING[:7], Say("Enough.")))
    with on(tmp_path, ChatBench, play) as server:
        told = Told(tmp_path, server)
        session = await told.go()
    assert told.output.count("not compacted: ") == 1
    assert "Nothing changed.\n" in told.output, "/compact would sum up another conversation"
    assert not [event for event in told.events if isinstance(event, NotCompacted)]
    assert results(session.state.messages)[0].text == "Enough."
    assert [call.purpose for call in session.calls].count("compaction") == 2
    assert not [line for line in read(session.path).records if isinstance(line, CompactionLine)]


async def test_behind_a_summary_that_did_not_come_nothing_is_missed(tmp_path: Path) -> None:
    play = Play(GO, summary=Use((("ls", {}),)), read=(*READING[:7], Say("Enough.")))
    with on(tmp_path, ChatBench, play) as server:
        session = await Told(tmp_path, server).go()
    assert "compaction" in {call.purpose for call in session.calls}
    assert {call.miss for call in session.calls} == {None}


# --- limits ------------------------------------------------------------------------------------------------


async def test_a_summary_counts_among_the_calls_of_a_limit(tmp_path: Path) -> None:
    with on(tmp_path, ChatBench, Play(GO, read=LONG_JOB)) as server:
        unlimited = await Told(tmp_path, server).go()
    place = [call.purpose for call in unlimited.calls].index("compaction")
    folder = tmp_path / "limited"
    folder.mkdir()
    for most, purposes in ((place, {"main", "task"}), (place + 1, {"main", "task", "compaction"})):
        with on(folder, ChatBench, Play(GO, read=LONG_JOB)) as server:
            told = Told(folder, server, limits=Limits(max_turns=most))
            with pytest.raises(BudgetReached, match=f"--max-turns is {most}"):
                await told.go()
        assert len(server.billing.calls) == most
        called = [row.purpose for row in collect(told.setup.home)]
        assert {*called[-most:]} == purposes


async def test_under_a_limit_each_call_waits_until_the_one_before_is_booked_summaries_too(
    tmp_path: Path,
) -> None:
    play = Play((Use((job("one"), job("two"))), Say("Done.")), one=LONG_JOB, two=LONG_JOB)
    booked: list[int] = []

    def noting(body: dict[str, Any]) -> Answer:
        booked.append(len(collect(tmp_path / "home")))
        return play(body)

    with on(tmp_path, ChatBench, noting) as server:
        session = await Told(tmp_path, server, limits=Limits(max_turns=100)).go()
    assert [result.text for result in results(session.state.messages)] == ["Nothing is odd."] * 2
    assert len({call.lane for call in session.calls if call.purpose == "compaction"}) == 2
    assert booked == [*range(len(session.calls))]


async def test_a_limit_in_dollars_stops_a_task_before_its_summary(tmp_path: Path) -> None:
    rates = {str(ChatBench.MODEL): Rates(input=100.0, output=100.0)}
    with on(tmp_path, ChatBench, Play(GO, read=LONG_JOB)) as server:
        free = await Told(tmp_path, server, rates=rates).go()
    costs = [call.cost or 0.0 for call in free.calls]
    place = [call.purpose for call in free.calls].index("compaction")
    most = sum(costs[:place]) + costs[place] / 2
    folder = tmp_path / "limited"
    folder.mkdir()
    with on(folder, ChatBench, Play(GO, read=LONG_JOB)) as server:
        told = Told(folder, server, rates=rates, limits=Limits(max_cost=most))
        with pytest.raises(BudgetReached, match="--max-cost"):
            await told.go()
    assert len(server.billing.calls) == place
    assert sum(row.cost or 0.0 for row in collect(told.setup.home)) <= most
