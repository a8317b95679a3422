"""A host that keeps what the loop records in a list, and a rig on the scripted model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.host import CallMade, Fact, Lane, MessageAdded, Verdict
from agent.rig import Rig
from agent.room import Room
from agent.tools.contract import Intent
from agent.tools.toolbox import Toolbox
from agent.workspace import Workspace
from providers.registry import open_provider
from providers.retry import Retry
from providers.types import Message, ModelRef, Prefix, Request, Text, ToolCall, ToolResult


@dataclass(slots=True)
class ListHost:
    """Permits what isn't in `refuse`, and notes the order in which things happened."""

    refuse: frozenset[str] = frozenset()
    facts: list[Fact] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    lanes: dict[str, ListHost] = field(default_factory=dict)
    """The hosts of sub-agents, by the title of their job."""
    cost: float | None = None

    async def record(self, fact: Fact) -> None:
        self.facts.append(fact)
        match fact:
            case MessageAdded(message):
                self.order.append(message.role)
            case CallMade():
                self.order.append("call")

    @asynccontextmanager
    async def calling(self, request: Request) -> AsyncIterator[Request]:
        yield request

    async def room(self, request: Request) -> Room:
        return Room(None, 0)

    async def permit(self, call: ToolCall, intent: Intent) -> Verdict:
        return Verdict(False, "not here") if call.name in self.refuse else Verdict(True)

    async def before_tool(self, call: ToolCall, intent: Intent) -> None:
        self.order.append(f"before {call.name}")

    def redact(self, text: str) -> str:
        return text.replace("hunter2", "[secret]")

    def lane(self, lane: Lane) -> ListHost:
        self.lanes[lane.title] = ListHost(self.refuse)
        return self.lanes[lane.title]

    @property
    def calls(self) -> list[CallMade]:
        return [fact for fact in self.facts if isinstance(fact, CallMade)]


def rig(folder: Path, model: ModelRef) -> Rig:
    """A rig for `folder` whose model is `model`; retries don't wait."""
    toolbox = Toolbox.standard()
    provider = open_provider(model.provider, {}, {}, folder)
    return Rig(
        provider=provider,
        prefix=Prefix(
            model=model, system="test", tools=toolbox.specs, encoder=provider.encoder, affinity_key="test"
        ),
        toolbox=toolbox,
        workspace=Workspace.at(folder),
        environment={"PATH": "/usr/bin:/bin"},
        scratch=folder / "scratch",
        retry=Retry(first=0.0, longest=0.0),
    )


def prompt(text: str, message_id: str = "m1") -> Message:
    return Message(message_id, "user", (Text(text),))


def results(messages: list[Message]) -> list[ToolResult]:
    return [block for message in messages for block in message.blocks if isinstance(block, ToolResult)]
