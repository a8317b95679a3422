"""The embedded model, driven for real: llama.cpp, SmolLM2's weights, and the cache counts they report."""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from providers.call import Call
from providers.errors import ContextOverflow, ModelNotFound, ServerFault
from providers.local import LocalProvider, connect, installed
from providers.settings import ProviderSettings
from providers.types import (
    AssistantTurn,
    Message,
    ModelRef,
    Parameters,
    Prefix,
    Request,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]
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
        self, key: str, system: str = "You are helpful.", tools: tuple[ToolSpec, ...] = (), longest: int = 40
    ) -> None:
        self.messages: list[Message] = []
        self._prefix = Prefix(
            model=ModelRef("local", "smollm2"),
            system=system,
            tools=tools,
            parameters=Parameters(max_output_tokens=longest),
            encoder="local/1",
            affinity_key=key,
        )

    def add(self, role: str, *blocks: Text | ToolCall | ToolResult) -> None:
        assert role in ("user", "assistant", "tool")
        self.messages.append(Message(f"msg_{len(self.messages)}", role, blocks))  # type: ignore[arg-type]

    def request(self, prompt: str | None = None) -> Request:
        if prompt is not None:
            self.add("user", Text(prompt))
        return Request(prefix=self._prefix, messages=tuple(self.messages))

    async def ask(self, provider: LocalProvider, prompt: str | None = None) -> AssistantTurn:
        turn = (await finished(provider.stream(self.request(prompt)))).turn
        assert turn is not None
        self.messages.append(turn.message)
        return turn


async def finished(call: Call, each: Callable[[], None] = lambda: None) -> Call:
    async with call:
        async for _ in call:
            each()
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


async def test_each_turn_reads_all_of_the_last_one_but_its_last_token(tmp_path: Path) -> None:
    conversation = Conversation("s")
    async with opened(tmp_path) as provider:
        first = await conversation.ask(provider, "Hello, who are you?")
        second = await conversation.ask(provider, "Write a Python function\n\nthat adds  two numbers.")
        third = await conversation.ask(provider, "Écris une phrase. 🎉")
        fourth = await conversation.ask(provider, "Name three primes.")
    assert first.usage.cache_read_tokens == 0
    assert first.usage.cache_reported
    assert second.usage.cache_read_tokens == all_but_the_last_token(first.usage)
    assert third.usage.cache_read_tokens == all_but_the_last_token(second.usage)
    assert fourth.usage.cache_read_tokens == all_but_the_last_token(third.usage)


async def test_a_restart_reads_as_much_as_if_the_engine_had_run_on(tmp_path: Path) -> None:
    conversation = Conversation("s")
    async with opened(tmp_path) as provider:
        await conversation.ask(provider, "Hello, who are you?")
        before = await conversation.ask(provider, "Name three primes.")
    async with opened(tmp_path) as provider:
        after = await conversation.ask(provider, "And one more?")
    assert after.usage.cache_read_tokens == all_but_the_last_token(before.usage)


async def test_sessions_that_take_turns_in_one_slot_lose_nothing(tmp_path: Path) -> None:
    one = Conversation("one")
    other = Conversation("other", system="Answer like a pirate would, and keep it short.")
    async with opened(tmp_path) as provider:
        before = await one.ask(provider, "Hello, who are you?")
        between = await other.ask(provider, "What is the sea?")
        after = await one.ask(provider, "Name three primes.")
        again = await other.ask(provider, "And the wind?")
    assert after.usage.cache_read_tokens == all_but_the_last_token(before.usage)
    assert again.usage.cache_read_tokens == all_but_the_last_token(between.usage)


async def test_a_new_session_with_a_known_prefix_starts_warm(tmp_path: Path) -> None:
    system = "You are helpful. " * 20
    async with opened(tmp_path) as provider:
        first = await Conversation("one", system).ask(provider, "Hello!")
    async with opened(tmp_path) as provider:
        second = await Conversation("two", system).ask(provider, "Name three primes.")
    assert second.usage.cache_read_tokens > 60
    assert second.usage.cache_read_tokens < first.usage.prompt_tokens


async def test_a_tool_step_reads_at_least_the_whole_prompt_before_it(tmp_path: Path) -> None:
    conversation = Conversation("s", tools=(LIST_FILES,))
    for number, (path, files) in enumerate(SHOWN.items()):
        conversation.add("user", Text(f"List the files in {path}"))
        conversation.add("assistant", ToolCall(f"c{number}", "list_files", f'{{"path": "{path}"}}'))
        conversation.add("tool", ToolResult(f"c{number}", "list_files", files))
        conversation.add("assistant", Text(f"The files are {files}."))
    async with opened(tmp_path) as provider:
        called = await conversation.ask(provider, "List the files in /srv")
        [call] = called.message.tool_calls
        conversation.add("tool", ToolResult(call.id, call.name, "www, ftp"))
        answered = await conversation.ask(provider)
    assert called.stop_reason == "tool_use"
    assert (call.name, call.arguments()) == ("list_files", {"path": "/srv"})
    assert answered.usage.cache_read_tokens >= called.usage.prompt_tokens - 1
    assert "www" in answered.message.text


async def test_arguments_that_are_no_object_do_not_lock_up_the_conversation(tmp_path: Path) -> None:
    conversation = Conversation("s", tools=(LIST_FILES,))
    conversation.add("user", Text("List the files in /etc"))
    conversation.add("assistant", ToolCall("c", "list_files", '{"path": "/et'))
    conversation.add("tool", ToolResult("c", "list_files", "The arguments are not JSON.", is_error=True))
    async with opened(tmp_path) as provider:
        turn = await conversation.ask(provider)
    assert turn.usage.output_tokens > 0


async def test_an_answer_that_says_nothing_keeps_the_conversation_whole(tmp_path: Path) -> None:
    conversation = Conversation("s")
    conversation.add("user", Text("Hello"))
    conversation.add("assistant")
    async with opened(tmp_path) as provider:
        turn = await conversation.ask(provider, "Are you there?")
    assert turn.message.text


async def test_a_conversation_beyond_the_window_overflows_and_the_next_one_goes_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as provider:
        with pytest.raises(ContextOverflow):
            await Conversation("long").ask(provider, "word " * 9000)
        turn = await Conversation("short").ask(provider, "Hello")
    assert turn.message.text


async def test_leaving_in_the_middle_of_an_answer_leaves_the_engine_usable(tmp_path: Path) -> None:
    conversation = Conversation("s", longest=400)
    async with opened(tmp_path) as provider:
        async with provider.stream(conversation.request("Write a long story about a cat.")) as call:
            async for _ in call:
                break
        assert call.turn is not None
        assert call.turn.stop_reason == "interrupted"
        assert call.estimated
        conversation.messages.append(call.turn.message)
        turn = await conversation.ask(provider, "Name three primes.")
    assert turn.usage.cache_read_tokens > 20


async def test_an_engine_that_is_killed_is_told_and_started_again(tmp_path: Path) -> None:
    conversation = Conversation("s", longest=400)
    async with opened(tmp_path) as provider:
        call = provider.stream(conversation.request("Write a long story about a cat."))
        with pytest.raises(ServerFault, match="starts again"):
            await finished(call, each=lambda: os.kill(engine_pid(provider), signal.SIGKILL))
        turn = await Conversation("next").ask(provider, "Hello")
    assert turn.message.text


async def test_a_damaged_slot_file_costs_only_time(tmp_path: Path) -> None:
    conversation = Conversation("s")
    async with opened(tmp_path) as provider:
        await conversation.ask(provider, "Hello")
    [saved] = (tmp_path / "models" / "slots").iterdir()
    saved.write_bytes(b"not a slot")
    async with opened(tmp_path) as provider:
        turn = await conversation.ask(provider, "Name three primes.")
    assert turn.usage.cache_read_tokens == 0
    assert turn.message.text


async def test_what_the_engine_leaves_on_disk_is_for_the_person_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as provider:
        await Conversation("a/../key with spaces").ask(provider, "Hello")
        key = provider.engine.key if provider.engine else ""
    written = [path for path in (tmp_path / "home" / "models").rglob("*") if path.is_file()]
    assert {path.suffix for path in written} == {".slot", ".log"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in written)
    assert all(key.encode() not in path.read_bytes() for path in written)


async def test_the_engine_refuses_whoever_does_not_hold_its_key(tmp_path: Path) -> None:
    import httpx2

    async with opened(tmp_path) as provider:
        await provider.prepare()
        assert provider.engine is not None
        async with httpx2.AsyncClient(trust_env=False) as stranger:
            answer = await stranger.post(
                f"{provider.engine.address}/v1/chat/completions", json={"messages": []}
            )
    assert provider.engine is None
    assert answer.status_code == 401


async def test_the_engine_sees_neither_keys_nor_the_projects_modules(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("json", "secrets", "xllamacpp", "providers"):
        (project / f"{name}.py").write_text("raise SystemExit('the project was imported')")
    async with opened(tmp_path / "home", PYTHONPATH=str(project), OPENAI_API_KEY="sk-test") as provider:
        await provider.prepare()
        environ = Path(f"/proc/{engine_pid(provider)}/environ")
        seen = environ.read_bytes() if environ.exists() else b""
        turn = await Conversation("s").ask(provider, "Hello")
    assert b"sk-test" not in seen
    assert turn.model == "smollm2"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="watching a stranger's process takes a pidfd")
def test_the_engine_does_not_outlive_its_parent(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from providers.local import connect\n"
        "from providers.settings import ProviderSettings\n"
        "provider = connect('local', ProviderSettings(), os.environ, Path(sys.argv[1]))\n"
        "asyncio.run(provider.prepare())\n"
        "print(provider.engine.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with parent:
        assert parent.stdout is not None
        engine = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            ended, _, _ = select.select([engine], [], [], 60)
        finally:
            os.close(engine)
    assert ended


async def test_preparing_twice_starts_one_engine(tmp_path: Path) -> None:
    async with opened(tmp_path) as provider:
        await provider.prepare()
        first = engine_pid(provider)
        await provider.prepare()
        assert engine_pid(provider) == first


async def test_another_models_name_is_refused_without_starting_anything(tmp_path: Path) -> None:
    provider = connect("local", ProviderSettings(), os.environ, tmp_path)
    prefix = Prefix(
        model=ModelRef("local", "llama"), system="", tools=(), encoder="local/1", affinity_key="s"
    )
    with pytest.raises(ModelNotFound, match="local/smollm2"):
        await finished(provider.stream(Request(prefix=prefix, messages=())))
    assert provider.engine is None


def test_where_engine_and_weights_are_installed_the_model_counts_as_installed(tmp_path: Path) -> None:
    assert installed(tmp_path)
