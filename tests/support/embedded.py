"""The embedded model in tests: conversations that grow by its answers, and a provider that ends by itself."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from providers.call import Call
from providers.local import LocalProvider, connect
from providers.local_encoder import ENCODER
from providers.settings import ProviderSettings
from providers.types import (
    AssistantTurn,
    Block,
    Message,
    ModelRef,
    Parameters,
    Prefix,
    Request,
    Role,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)

LIST_FILES = ToolSpec(
    "list_files",
    "List files in a directory",
    '{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}',
)
SHOWN = {"/etc": "hosts, passwd", "/usr": "bin, lib", "/home": "anna, ben"}
"""Tool steps that teach a model this small, by example, to answer with a call."""


class Conversation:
    """One session's messages, which grow by what the model answers."""

    def __init__(
        self,
        key: str,
        system: str = "You are helpful.",
        tools: tuple[ToolSpec, ...] = (),
        longest: int = 24,
        encoder: str = ENCODER,
    ) -> None:
        self.messages: list[Message] = []
        self._prefix = Prefix(
            model=ModelRef("local", "smollm2"),
            system=system,
            tools=tools,
            parameters=Parameters(max_output_tokens=longest),
            encoder=encoder,
            affinity_key=key,
        )

    def add(self, role: Role, *blocks: Block) -> None:
        self.messages.append(Message(f"msg_{len(self.messages)}", role, blocks))

    def request(self, prompt: str | None = None) -> Request:
        if prompt is not None:
            self.add("user", Text(prompt))
        return Request(prefix=self._prefix, messages=tuple(self.messages))

    async def ask(self, provider: LocalProvider, prompt: str | None = None) -> AssistantTurn:
        turn = (await finished(provider.stream(self.request(prompt)))).turn
        assert turn is not None
        self.messages.append(turn.message)
        return turn


def taught_to_call(key: str) -> Conversation:
    """A conversation in which the model has seen calls of `list_files`."""
    conversation = Conversation(key, tools=(LIST_FILES,), longest=48)
    for number, (path, files) in enumerate(SHOWN.items()):
        conversation.add("user", Text(f"List the files in {path}"))
        conversation.add("assistant", ToolCall(f"c{number}", "list_files", f'{{"path": "{path}"}}'))
        conversation.add("tool", ToolResult(f"c{number}", "list_files", files))
        conversation.add("assistant", Text(f"The files are {files}."))
    return conversation


async def finished(call: Call, begun: Callable[[], None] = lambda: None) -> Call:
    """The call at its end. `begun` runs when the engine has taken it and starts to read the prompt."""
    async with call:
        begun()
        async for _ in call:
            pass
    return call


def all_but_the_last_token(usage: Usage) -> int:
    """What the engine's cache holds after a call: the token sampled last was never computed."""
    return usage.prompt_tokens + usage.output_tokens - 1


@asynccontextmanager
async def opened(home: Path, **environ: str) -> AsyncIterator[LocalProvider]:
    provider = connect("local", ProviderSettings(), {**os.environ, **environ}, home)
    try:
        yield provider
    finally:
        await provider.aclose()


def engine_pid(provider: LocalProvider) -> int:
    assert provider.engine is not None
    return provider.engine.pid
