"""Sessions that follow each other share an affinity key, those that run side by side have one each."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.workspace import Workspace
from providers.registry import open_provider
from providers.settings import ProviderSettings
from providers.types import ModelRef
from sessions import begin
from sessions.affinity import FOLDER, MOST, Affinity
from sessions.catalog import journal_path
from sessions.journal import JournalError
from sessions.session import Session
from sessions.setup import Setup
from tests.support.openai_server import OpenAIServer
from tests.support.responses_server import ResponsesServer, said
from tests.support.setups import setup

ROOT = Path(__file__).resolve().parents[2]
CHAT = "openai-chat/1"
KEY = "0123456789abcdef" * 2
HOLDER = """
import sys
from pathlib import Path
from sessions.affinity import Affinity
from tests.support.setups import setup
held = Affinity.new(setup(Path(sys.argv[1])), sys.argv[2], "theirs")
print(held.key, flush=True)
sys.stdin.read()
"""


def new(made: Setup, encoder: str = CHAT) -> Affinity:
    return Affinity.new(made, encoder, "the-session")


def key_of_a_newcomer(made: Setup) -> str:
    """The key that a session gets which begins now and is over at once."""
    newcomer = new(made)
    newcomer.release()
    return newcomer.key


# --- the pool -----------------------------------------------------------------------------------------------


def test_the_next_session_gets_the_key_that_the_last_one_left(tmp_path: Path) -> None:
    first = new(setup(tmp_path))
    first.release()
    assert key_of_a_newcomer(setup(tmp_path)) == first.key


def test_sessions_at_once_have_keys_of_their_own(tmp_path: Path) -> None:
    held = [new(setup(tmp_path)) for _ in range(3)]
    assert len({affinity.key for affinity in held}) == 3


@pytest.mark.parametrize("last", [0, 1])
def test_of_several_that_are_free_the_one_used_last_is_lent(last: int, tmp_path: Path) -> None:
    held = [new(setup(tmp_path)) for _ in range(2)]
    held[1 - last].release()
    held[last].release()
    assert key_of_a_newcomer(setup(tmp_path)) == held[last].key


def test_to_release_it_twice_takes_it_from_nobody(tmp_path: Path) -> None:
    first = new(setup(tmp_path))
    first.release()
    second = new(setup(tmp_path))
    first.release()
    assert key_of_a_newcomer(setup(tmp_path)) != second.key


def test_a_process_that_dies_leaves_its_key(tmp_path: Path) -> None:
    made = setup(tmp_path)
    words = [sys.executable, "-c", HOLDER, str(tmp_path), CHAT]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = other.stdout.readline().strip()
        mine = new(made)
        assert mine.key != theirs
        other.send_signal(signal.SIGKILL)
    assert key_of_a_newcomer(made) == theirs


def test_a_session_that_goes_on_keeps_its_key_from_newcomers(tmp_path: Path) -> None:
    made = setup(tmp_path)
    key = key_of_a_newcomer(made)
    resumed = Affinity.again(made, key)
    assert key_of_a_newcomer(made) != key
    resumed.release()
    assert Affinity.again(made, key).key == key


def test_a_key_that_two_sessions_go_on_with_is_free_once_both_are_over(tmp_path: Path) -> None:
    made = setup(tmp_path)
    first = new(made)
    second = Affinity.again(made, first.key)
    first.release()
    assert key_of_a_newcomer(made) != first.key
    second.release()
    assert key_of_a_newcomer(made) == first.key


def test_a_key_whose_file_is_gone_is_kept_all_the_same(tmp_path: Path) -> None:
    assert Affinity.again(setup(tmp_path), KEY).key == KEY
    assert not (tmp_path / "home").exists()


def test_what_is_no_key_names_no_file(tmp_path: Path) -> None:
    made = setup(tmp_path)
    key_of_a_newcomer(made)
    outside = tmp_path / "outside"
    outside.touch()
    before = outside.stat().st_mtime_ns
    assert Affinity.again(made, "../../outside").key == "../../outside"
    assert outside.stat().st_mtime_ns == before


def test_a_key_is_an_empty_file_of_its_persons_own_and_says_nothing_of_them(tmp_path: Path) -> None:
    made = setup(tmp_path)
    held = new(made)
    folder = made.home / FOLDER
    [file] = folder.iterdir()
    assert file.read_bytes() == b""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert file.name == held.key
    assert new(setup(tmp_path, home=tmp_path / "other")).key != held.key


def test_sessions_beyond_the_most_use_their_own_id(tmp_path: Path) -> None:
    made = setup(tmp_path)
    held = [new(made) for _ in range(MOST)]
    assert len({affinity.key for affinity in held}) == MOST
    assert new(made).key == "the-session"
    held[3].release()
    assert new(made).key == held[3].key


# --- who has no part in it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["anthropic/1", "bedrock/1", "ollama/1", "local/1", "litellm-sdk/1"])
def test_on_other_wires_a_session_has_its_own_id(encoder: str, tmp_path: Path) -> None:
    made = setup(tmp_path)
    assert new(made, encoder).key == "the-session"
    assert not made.home.exists()


def test_a_servers_session_has_its_own_id(tmp_path: Path) -> None:
    made = setup(tmp_path, client="key_1")
    assert new(made).key == "the-session"
    assert not made.home.exists()


@pytest.mark.parametrize("blocked", ["home", f"home/{FOLDER}"])
def test_where_the_folder_cannot_be_made_a_session_has_its_own_id(blocked: str, tmp_path: Path) -> None:
    place = tmp_path / blocked
    place.parent.mkdir(exist_ok=True)
    place.touch()
    made = setup(tmp_path)
    assert new(made).key == "the-session"
    assert Affinity.again(made, KEY).key == KEY


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_where_the_folder_cannot_be_written_a_session_has_its_own_id(tmp_path: Path) -> None:
    folder = tmp_path / "home" / FOLDER
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    assert new(setup(tmp_path)).key == "the-session"


def a_link(place: Path) -> None:
    target = place.parent / "target"
    target.touch()
    place.symlink_to(target)


@pytest.mark.parametrize("put", [a_link, os.mkfifo, Path.mkdir])
def test_what_is_no_file_in_a_keys_place_is_passed_over(put: Callable[[Path], None], tmp_path: Path) -> None:
    made = setup(tmp_path)
    folder = made.home / FOLDER
    folder.mkdir(parents=True)
    put(folder / KEY)
    newcomer = key_of_a_newcomer(made)
    assert len(newcomer) == len(KEY)
    assert newcomer != KEY
    assert Affinity.again(made, KEY).key == KEY


# --- sessions -----------------------------------------------------------------------------------------------

GPT = ModelRef("openai", "gpt-5.1")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that speaks one of OpenAI's wires and bills by key, and how a session reaches it."""

    server: OpenAIServer | ResponsesServer
    wire: str

    def setup(self, folder: Path, project: str = "project") -> Setup:
        own = ProviderSettings(base_url=self.server.base_url, api_key="sk-0123456789abcdef", wire=self.wire)
        root = folder / project
        root.mkdir(exist_ok=True)
        return setup(
            folder,
            workspace=Workspace.at(root),
            providers=lambda name, encoder="": open_provider(
                name, {"openai": own}, {}, folder / "home", encoder=encoder
            ),
        )

    @property
    def keys(self) -> list[str]:
        """The keys that came, request by request."""
        return [sent.json["prompt_cache_key"] for sent in self.server.prompts]

    @property
    def cached(self) -> list[int]:
        """The tokens that each request read from the cache."""
        details = "prompt_tokens_details" if self.wire == "openai-chat" else "input_tokens_details"
        return [billed[details]["cached_tokens"] for billed in self.server.billed]

    @property
    def sizes(self) -> list[int]:
        """The tokens of each prompt."""
        name = "prompt_tokens" if self.wire == "openai-chat" else "input_tokens"
        return [billed[name] for billed in self.server.billed]


@pytest.fixture(params=["openai-chat", "openai-responses"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    words = [f"Answer {number}." for number in range(1, 7)]
    if request.param == "openai-chat":
        with OpenAIServer(words, minimum=1024, step=128) as server:
            yield Endpoint(server, request.param)
    else:
        with ResponsesServer([(said(word),) for word in words]) as server:
            yield Endpoint(server, request.param)


async def tell(session: Session, text: str) -> None:
    async for _ in session.turn(text):
        pass


async def test_a_second_session_in_another_folder_reads_tools_and_system(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    for project in ("one", "two"):
        session = await begin.start(endpoint.setup(tmp_path, project), GPT)
        await tell(session, f"Look at {project}.")
        await session.close()
    first, second = endpoint.keys
    assert first == second == session.prefix.affinity_key
    assert session.id not in first
    assert endpoint.cached[0] == 0
    assert endpoint.cached[1] >= 1024


async def test_two_sessions_at_once_lose_nothing_of_their_own(endpoint: Endpoint, tmp_path: Path) -> None:
    one = await begin.start(endpoint.setup(tmp_path, "one"), GPT)
    two = await begin.start(endpoint.setup(tmp_path, "two"), GPT)
    for prompt in ("First.", "Second.", "Third."):
        await tell(one, prompt)
        await tell(two, prompt)
    await one.close()
    await two.close()
    assert len({*endpoint.keys[::2]}) == len({*endpoint.keys[1::2]}) == 1
    assert endpoint.keys[0] != endpoint.keys[1]
    step = 128 if endpoint.wire == "openai-chat" else 1
    could = [size // step * step for size in endpoint.sizes[:-2]]
    assert endpoint.cached == [0, 0, *could]


async def test_resume_sends_the_old_key_and_keeps_it(endpoint: Endpoint, tmp_path: Path) -> None:
    made = endpoint.setup(tmp_path)
    session = await begin.start(made, GPT)
    await tell(session, "First.")
    await session.close()
    resumed = await begin.resume(made, session.path)
    assert key_of_a_newcomer(made) != endpoint.keys[0]
    await tell(resumed, "Second.")
    await resumed.close()
    assert endpoint.keys[1] == endpoint.keys[0]


async def test_resume_goes_on_with_its_key_where_another_session_has_it(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    made = endpoint.setup(tmp_path)
    session = await begin.start(made, GPT)
    await tell(session, "First.")
    await session.close()
    newcomer = await begin.start(made, GPT)
    resumed = await begin.resume(made, session.path)
    await tell(resumed, "Second.")
    assert newcomer.prefix.affinity_key == endpoint.keys[0] == endpoint.keys[1]
    await newcomer.close()
    assert key_of_a_newcomer(made) != endpoint.keys[0]
    await resumed.close()


async def test_a_fork_sends_the_old_key_and_keeps_it_once_the_original_is_over(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    made = endpoint.setup(tmp_path)
    session = await begin.start(made, GPT)
    await tell(session, "First.")
    copy = await begin.fork(made, session.path)
    await session.close()
    assert key_of_a_newcomer(made) != endpoint.keys[0]
    await tell(copy, "Second.")
    await copy.close()
    assert endpoint.keys[1] == endpoint.keys[0]
    assert key_of_a_newcomer(made) == endpoint.keys[0]


async def test_a_new_conversation_in_a_sessions_place_has_its_key(tmp_path: Path, endpoint: Endpoint) -> None:
    session = await begin.start(endpoint.setup(tmp_path), GPT)
    await tell(session, "First.")
    fresh = await begin.anew(session)
    await tell(fresh, "Something else.")
    assert fresh.id != session.id
    assert endpoint.keys[1] == endpoint.keys[0]
    await fresh.close()


async def test_a_session_that_began_with_its_id_as_key_keeps_it(endpoint: Endpoint, tmp_path: Path) -> None:
    made = endpoint.setup(tmp_path)
    served = await begin.start(replace(made, client="key_1"), GPT)
    await tell(served, "First.")
    await served.close()
    resumed = await begin.resume(made, served.path)
    await tell(resumed, "Second.")
    await resumed.close()
    assert endpoint.keys == [served.id, served.id]
    assert not (made.home / FOLDER).exists()


async def test_a_home_that_has_no_room_for_keys_stops_nothing(endpoint: Endpoint, tmp_path: Path) -> None:
    made = endpoint.setup(tmp_path)
    made.home.mkdir()
    (made.home / FOLDER).touch()
    session = await begin.start(made, GPT)
    await tell(session, "First.")
    await session.close()
    assert endpoint.keys == [session.id]


async def test_a_fork_that_fails_leaves_the_key(endpoint: Endpoint, tmp_path: Path) -> None:
    session = await begin.start(endpoint.setup(tmp_path), GPT)
    await tell(session, "First.")
    await session.close()
    elsewhere = endpoint.setup(tmp_path, "elsewhere")
    journal_path(elsewhere.home, elsewhere.workspace.root, "s").parent.touch()
    with pytest.raises(JournalError):
        await begin.fork(elsewhere, session.path)
    assert key_of_a_newcomer(elsewhere) == endpoint.keys[0]


def torn(journal: Path) -> None:
    """Leave the journal as a process leaves it that dies while a tool is at work."""
    lines = journal.read_bytes().splitlines(keepends=True)
    asked = next(place for place, line in enumerate(lines) if b'"tool_call"' in line)
    journal.write_bytes(b"".join(lines[: asked + 1]))


async def test_a_resume_that_fails_leaves_the_key(tmp_path: Path) -> None:
    with OpenAIServer([(("call_1", "ls", {}),), "done"]) as server:
        endpoint = Endpoint(server, "openai-chat")
        made = endpoint.setup(tmp_path)
        session = await begin.start(made, GPT)
        await tell(session, "First.")
        await session.close()
    torn(session.path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (session.path.stat().st_size, hard))
    try:
        with pytest.raises(JournalError):
            await begin.resume(made, session.path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert key_of_a_newcomer(made) == endpoint.keys[0]


@pytest.mark.parametrize("opened", [begin.resume, begin.fork])
async def test_wherever_opening_is_cancelled_the_key_is_left(
    opened: Callable[[Setup, Path], Awaitable[Session]], endpoint: Endpoint, tmp_path: Path
) -> None:
    made = endpoint.setup(tmp_path)
    session = await begin.start(made, GPT)
    await tell(session, "First.")
    await session.close()
    for steps in range(30):
        opening = asyncio.ensure_future(opened(made, session.path))
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await (await opening).close()
        assert key_of_a_newcomer(made) == endpoint.keys[0]
