"""The embedded model, driven for real: how it starts, ends, breaks and stays private."""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from providers.errors import ContextOverflow, ModelNotFound, ServerFault
from providers.local import connect, installed
from providers.local_encoder import ENCODER
from providers.settings import ProviderSettings
from providers.types import ModelRef, Prefix, Request, Text, ToolCall, ToolResult
from tests.support.embedded import LIST_FILES, Conversation, engine_pid, finished, opened

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]


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


async def test_leaving_in_the_middle_of_an_answer_counts_what_came_and_leaves_the_engine_usable(
    tmp_path: Path,
) -> None:
    conversation = Conversation("s", longest=400)
    async with opened(tmp_path) as provider:
        async with provider.stream(conversation.request("Write a long story about a cat.")) as call:
            async for _ in call:
                break
        assert call.turn is not None
        assert call.turn.stop_reason == "interrupted"
        assert not call.estimated
        assert call.usage.prompt_tokens > 20
        assert call.usage.output_tokens > 0
        conversation.messages.append(call.turn.message)
        turn = await conversation.ask(provider, "Name three primes.")
    assert turn.usage.cache_read_tokens >= call.usage.prompt_tokens - 1


async def test_an_engine_that_is_killed_is_told_and_started_again(tmp_path: Path) -> None:
    long = Conversation("s").request("word " * 3000)
    async with opened(tmp_path) as provider:
        with pytest.raises(ServerFault, match="starts again"):
            await finished(provider.stream(long), begun=lambda: os.kill(engine_pid(provider), signal.SIGKILL))
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
    prefix = Prefix(model=ModelRef("local", "llama"), system="", tools=(), encoder=ENCODER, affinity_key="s")
    with pytest.raises(ModelNotFound, match="local/smollm2"):
        await finished(provider.stream(Request(prefix=prefix, messages=())))
    assert provider.engine is None


def test_where_engine_and_weights_are_installed_the_model_counts_as_installed(tmp_path: Path) -> None:
    assert installed(tmp_path)
