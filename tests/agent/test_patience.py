"""A slow endpoint gets its time from the next attempt on, and keeps it; one that only hung does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.loop import run
from agent.state import AgentState
from providers.call import Call
from providers.errors import ServerFault, Stalled
from providers.provider import ModelInfo
from providers.types import (
    AssistantTurn,
    JSONObject,
    Message,
    Request,
    StopReason,
    StreamEvent,
    Text,
    TextDelta,
    Usage,
)
from tests.support.hosting import ListHost, prompt, rig
from tests.support.script import say, script

STALL = Stalled("silent", seconds=20.0, begun=False)
FAULT = ServerFault("failed", status=503)


@dataclass(slots=True)
class Attempt:
    """A call that fails, or answers "done", after so many seconds on the clock of this test."""

    failure: Stalled | ServerFault | None
    duration: float
    time_to_first_token: float | None = field(init=False)
    id: str = "call_1"
    started: float = 0.0
    usage: Usage = Usage()  # noqa: RUF009  a frozen value
    raw_usage: JSONObject = field(default_factory=dict)
    estimated: bool = False

    def __post_init__(self) -> None:
        self.time_to_first_token = None if self.failure else self.duration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        if self.failure:
            raise self.failure
        yield TextDelta("done")

    @property
    def turn(self) -> AssistantTurn | None:
        if self.failure:
            return None
        return AssistantTurn(
            message=Message("a", "assistant", (Text("done"),)),
            usage=Usage(),
            stop_reason=StopReason.END_TURN,
            model="m",
            call_id=self.id,
            raw_usage={},
        )


@dataclass(slots=True)
class Endpoint:
    """Makes these attempts in order, and notes the patience that each request had."""

    attempts: list[Attempt]
    patience: list[float] = field(default_factory=list)
    name: str = "slow"
    encoder: str = "slow/1"

    def stream(self, request: Request) -> Call:
        self.patience.append(request.patience)
        return self.attempts.pop(0)

    async def prepare(self) -> None: ...

    async def context_window(self, model: str) -> int | None:
        return None

    async def models(self) -> tuple[ModelInfo, ...]:
        return ()

    async def aclose(self) -> None: ...


async def patience_of(folder: Path, *turns: Iterable[Attempt]) -> list[float]:
    """The patience of every attempt of a conversation with these turns."""
    endpoint = Endpoint([attempt for attempts in turns for attempt in attempts])
    scene = replace(rig(folder, script(folder, say("unused"))), provider=endpoint)
    state = AgentState()
    for number, _ in enumerate(turns):
        async for _ in run(state, prompt("go", f"m{number}"), ListHost(), scene):
            pass
    assert endpoint.attempts == []
    return endpoint.patience


async def test_each_stall_doubles_what_the_next_attempt_is_given(tmp_path: Path) -> None:
    attempts = [Attempt(STALL, 20), Attempt(STALL, 40), Attempt(STALL, 80), Attempt(None, 1)]
    assert await patience_of(tmp_path, attempts) == [1, 2, 4, 8]


async def test_an_endpoint_that_proved_slow_keeps_its_time(tmp_path: Path) -> None:
    slow = [Attempt(STALL, 20), Attempt(STALL, 40), Attempt(None, 70)]
    assert await patience_of(tmp_path, slow, [Attempt(None, 65)]) == [1, 2, 4, 4]
    assert await patience_of(tmp_path, slow, [Attempt(None, 3)], [Attempt(STALL, 80), Attempt(None, 90)]) == [
        *(1, 2, 4),
        4,
        *(4, 8),
    ]


async def test_an_endpoint_that_only_hung_gets_the_usual_time_again(tmp_path: Path) -> None:
    hung = [Attempt(STALL, 20), Attempt(None, 2)]
    assert await patience_of(tmp_path, hung, [Attempt(None, 1)]) == [1, 2, 1]


async def test_other_failures_lengthen_nothing(tmp_path: Path) -> None:
    assert await patience_of(tmp_path, [Attempt(FAULT, 1), Attempt(FAULT, 1), Attempt(None, 50)]) == [1, 1, 1]
