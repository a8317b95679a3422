"""The loop: ask the model, run the tools it wants, until it wants none."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from agent.compaction import Space
from agent.crew import Crew
from agent.events import Event, TurnFinished, TurnStarted
from agent.host import Host
from agent.modelcall import ModelCall
from agent.recording import INTERRUPTED, Recorder
from agent.rig import Rig
from agent.state import AgentState
from agent.toolrun import ToolRun
from providers.errors import CachetError, ContextOverflow
from providers.types import AssistantTurn, Message, StopReason, Usage


async def run(state: AgentState, prompt: Message, host: Host, rig: Rig) -> AsyncGenerator[Event]:
    """One turn: from the person's message to an answer without tool calls.

    `state` grows by the messages and the usage; each is recorded with the host before the loop goes on, the
    answer before any of its tools runs. Cancelling it, or leaving it, keeps what came: the text so far is a
    message, what was billed is booked, every open tool call is answered "interrupted". A tool runs only from
    an answer whose stop reason says so. Raises ProviderError when a model call fails for good, BudgetReached,
    and the host's OSError.
    """
    recorder = Recorder(state, host)
    try:
        await recorder.begin(prompt)
        async with aclosing(_steps(state, prompt, host, rig, recorder)) as events:
            async for event in events:
                yield event
    except BaseException as error:
        try:
            await recorder.answer_open(INTERRUPTED)
        except (OSError, CachetError) as unwritten:  # the next turn's beginning answers them
            error.add_note(str(unwritten))
        raise


async def _steps(
    state: AgentState, prompt: Message, host: Host, rig: Rig, recorder: Recorder
) -> AsyncGenerator[Event]:
    yield TurnStarted(prompt.id)
    usage = Usage()
    space = Space(state, host, rig, recorder)
    crew = None if rig.purpose == "task" else Crew(run, state, host, rig)
    while True:
        async with aclosing(space.before_call()) as events:
            async for event in events:
                yield event
        call, overflow = ModelCall(state, host, rig, recorder), None
        try:
            async with aclosing(call.events()) as events:
                async for event in events:
                    yield event
        except ContextOverflow as error:
            overflow = error
        usage += call.usage
        answer = call.answer
        if answer.stop_reason == StopReason.CONTEXT_EXCEEDED:
            await recorder.answer_open(_cut_off(answer))
            overflow = _filled(rig)
        if overflow is not None:
            async with aclosing(space.after(overflow)) as events:
                async for event in events:
                    yield event
            continue
        space.answered()
        if answer.stop_reason != StopReason.TOOL_USE or not answer.message.tool_calls:
            break
        async with aclosing(ToolRun(host, rig, recorder, answer.message.tool_calls, crew).events()) as events:
            async for event in events:
                yield event
    await recorder.answer_open(_cut_off(answer))
    usage += space.usage
    yield TurnFinished(usage + crew.usage if crew else usage, answer.stop_reason, answer.message.text)


def _filled(rig: Rig) -> ContextOverflow:
    return ContextOverflow(
        f"The conversation has filled the context window of {rig.prefix.model}. Nothing is lost: "
        "/compact sums it up, /new starts a fresh one, /fork continues from an earlier point."
    )


def _cut_off(answer: AssistantTurn) -> str:
    """Why the tool calls of an answer that didn't ask to have them run were not."""
    return f"Not run: the answer ended with {answer.stop_reason!r} before it was whole."
