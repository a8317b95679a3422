"""The loop: ask the model, run the tools it wants, until it wants none."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from agent.events import Event, TurnFinished, TurnStarted
from agent.host import Host, MessageAdded
from agent.modelcall import ModelCall
from agent.rig import Rig
from agent.state import AgentState
from agent.toolrun import ToolRun, refused
from providers.errors import ContextOverflow
from providers.types import AssistantTurn, Message, StopReason, Usage


async def run(state: AgentState, prompt: Message, host: Host, rig: Rig) -> AsyncGenerator[Event]:
    """One turn: from the person's message to an answer without tool calls.

    `state` grows by the messages and the usage; each is recorded with the host before the loop goes on, the
    answer before any of its tools runs. Cancelling keeps what came: the text so far is a message, what was
    billed is booked, every open tool call is answered "interrupted". A tool runs only from an answer whose
    stop reason says so. Raises ProviderError when a model call fails for good, BudgetReached, and the host's
    OSError.
    """
    await _add(state, host, prompt)
    state.turn_count += 1
    yield TurnStarted(prompt.id)
    usage = Usage()
    while True:
        call = ModelCall(state, host, rig)
        try:
            async with aclosing(call.events()) as events:
                async for event in events:
                    yield event
        finally:
            usage += call.usage
        answer = call.answer
        if answer.stop_reason == StopReason.CONTEXT_EXCEEDED:
            await _refuse_all(state, host, answer)
            raise ContextOverflow(
                f"The conversation has filled the context window of {rig.prefix.model}. Nothing is lost: "
                "/new starts a fresh conversation, /fork continues from an earlier point."
            )
        if answer.stop_reason != StopReason.TOOL_USE or not answer.message.tool_calls:
            break
        async with aclosing(ToolRun(state, host, rig, answer.message.tool_calls).events()) as events:
            async for event in events:
                yield event
    await _refuse_all(state, host, answer)
    yield TurnFinished(usage, answer.stop_reason, answer.message.text)


async def _refuse_all(state: AgentState, host: Host, answer: AssistantTurn) -> None:
    """Answer tool calls that must not run, so that the next request is whole."""
    for call in answer.message.tool_calls:
        reason = f"Not run: the answer ended with {answer.stop_reason!r} before it was whole."
        await _add(state, host, refused(call, reason))


async def _add(state: AgentState, host: Host, message: Message) -> None:
    state.messages.append(message)
    await host.record(MessageAdded(message))
