"""What the running server promises its keeper: each key its own, nothing from outside, nothing beyond."""

from __future__ import annotations

import json
import re
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.asgi import PATIENCE, Answer
from tests.support.serving import UPSTREAM_KEY, AgentServer, Upstream, serving, words

pytestmark = pytest.mark.slow

NEVER = "20260101-000000-0000"
"""The id of a session that never was."""
PATHS = [
    *("/v1/models", "/v1/models/cachet", "/v1/chat/completions", "/v1/responses", "/v1/responses/resp_x"),
    *("/v1/responses/resp_x/cancel", "/v1/sessions", f"/v1/sessions/{NEVER}", "/v1/usage", "/metrics"),
    *(f"/v1/sessions/{NEVER}/checkpoints", f"/v1/sessions/{NEVER}/rewind", "/openapi.json"),
    *("/", "/v1", "/docs", "/no/such/path", "/health/x"),
]
ODD_IDS = [
    *("..", "../..", "..%2f..%2fconfig.toml", "%2e%2e", "%2e%2e%2f%2e%2e%2fconfig", "....", "a/b", "a%5cb"),
    *(
        "%00",
        f"{NEVER}%00",
        f"{NEVER}.jsonl",
        "~",
        "%2Fetc%2Fpasswd",
        "x" * 65,
        "%0d%0aX-Odd:%20x",
        "%E2%80%AE",
        "*",
    ),
    *("%5B", "sk-cachet%20", "'%20or%201=1--", "%25s"),
]


@dataclass(frozen=True, slots=True)
class Said:
    """A turn that was taken: its response and its session."""

    response: str
    session: str


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as here:
        yield here


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[AgentServer]:
    with serving(tmp_path_factory.mktemp("served"), upstream, "--max-body", "1") as here:
        yield here


@pytest.fixture(scope="module")
def ada(server: AgentServer) -> str:
    return server.key("ada", "--per-minute", "10000")


@pytest.fixture(scope="module")
def bob(server: AgentServer) -> str:
    return server.key("bob", "--per-minute", "10000")


@pytest.fixture(scope="module")
def owner(server: AgentServer) -> str:
    """The key that the first start made."""
    [secret] = re.findall(r"sk-cachet-\S{43}", server.out.read_text())
    return secret


@pytest.fixture(scope="module")
def adas(server: AgentServer, ada: str) -> Said:
    return said(server.ask("POST", "/v1/responses", {"input": "first of ada"}, key=ada))


def said(answer: Answer) -> Said:
    assert answer.status == 200, answer.body
    return Said(answer.json["id"], answer.json["session_id"])


def sessions(server: AgentServer, key: str) -> list[str]:
    return [each["id"] for each in server.ask("GET", "/v1/sessions?limit=100", key=key).json["data"]]


def without(answer: Answer, *ids: str) -> tuple[int, str]:
    """The answer as it is but for the ids that were asked for."""
    text = answer.body.decode()
    for id in ids:
        text = text.replace(id, "ID")
    return answer.status, text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/sessions/{session}", None),
        ("DELETE", "/v1/sessions/{session}", None),
        ("GET", "/v1/sessions/{session}/checkpoints", None),
        ("POST", "/v1/sessions/{session}/rewind", {"checkpoint": 1}),
        ("GET", "/v1/sessions?after={session}", None),
        ("GET", "/v1/responses/{response}", None),
        ("DELETE", "/v1/responses/{response}", None),
        ("POST", "/v1/responses/{response}/cancel", {}),
        ("POST", "/v1/responses", {"input": "x", "previous_response_id": "{response}"}),
        ("POST", "/v1/responses", {"input": "x", "conversation": "{session}"}),
        ("POST", "/v1/responses", {"input": "x", "conversation": {"id": "{session}"}}),
    ],
)
def test_another_keys_session_is_told_in_the_words_of_one_that_never_was(
    server: AgentServer, ada: str, bob: str, adas: Said, method: str, path: str, body: Any
) -> None:
    def ask(key: str, named: Said) -> Answer:
        filled = json.dumps(body).replace("{session}", named.session).replace("{response}", named.response)
        where = path.format(session=named.session, response=named.response)
        return server.ask(method, where, None if body is None else filled.encode(), key=key)

    never = Said("resp_0000000000000000000000", NEVER)
    foreign, absent = ask(bob, adas), ask(bob, never)
    assert foreign.status in (400, 404)
    assert without(foreign, adas.session, adas.response) == without(absent, never.session, never.response)
    assert server.ask("GET", f"/v1/sessions/{adas.session}", key=ada).status == 200
    assert server.ask("GET", f"/v1/responses/{adas.response}", key=ada).status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_a_header_that_names_another_keys_session_opens_nothing(
    server: AgentServer, upstream: Upstream, bob: str, adas: Said, path: str
) -> None:
    before = len(upstream.asked)
    body = {"input": "x", "messages": [{"role": "user", "content": "x"}]}
    foreign = server.ask("POST", path, body, key=bob, headers=f"X-Session-Id: {adas.session}")
    absent = server.ask("POST", path, body, key=bob, headers=f"X-Session-Id: {NEVER}")
    assert foreign.status == 404
    assert without(foreign, adas.session) == without(absent, NEVER)
    assert len(upstream.asked) == before


def test_lists_hold_a_keys_own_sessions_only(
    server: AgentServer, ada: str, bob: str, owner: str, adas: Said
) -> None:
    bobs = said(server.ask("POST", "/v1/responses", {"input": "first of bob"}, key=bob))
    assert adas.session in sessions(server, ada)
    assert bobs.session in sessions(server, bob)
    assert not {adas.session} & {*sessions(server, bob), *sessions(server, owner)}
    assert not {bobs.session} & {*sessions(server, ada), *sessions(server, owner)}


def test_the_history_of_another_key_begins_a_session_of_ones_own(
    server: AgentServer, ada: str, bob: str
) -> None:
    def ask(key: str, *messages: dict[str, str]) -> Answer:
        return server.ask("POST", "/v1/chat/completions", {"messages": [*messages]}, key=key)

    question = {"role": "user", "content": "a question that both ask"}
    adas, bobs = (ask(key, question) for key in (ada, bob))
    told = {"role": "assistant", "content": adas.json["choices"][0]["message"]["content"]}
    went_on = [
        ask(key, question, told, {"role": "user", "content": "and then?"}).headers["x-session-id"]
        for key in (ada, bob, server.key("carol"))
    ]
    assert went_on[:2] == [adas.headers["x-session-id"], bobs.headers["x-session-id"]]
    assert len(set(went_on)) == 3


def test_usage_and_metrics_tell_each_key_its_own(server: AgentServer, adas: Said) -> None:
    fresh = server.key("fresh")
    assert server.ask("GET", "/v1/usage", key=fresh).json["total"]["input_tokens"] == 0
    metrics = server.ask("GET", "/metrics", key=fresh)
    assert metrics.status == 200
    assert b"ada" not in metrics.body


def test_an_idempotency_key_of_one_client_is_none_of_anothers(
    server: AgentServer, ada: str, bob: str
) -> None:
    answers = [
        server.ask("POST", "/v1/responses", {"input": "once"}, key=key, headers="Idempotency-Key: same")
        for key in (ada, ada, bob)
    ]
    ids = [said(answer).response for answer in answers]
    assert ids[0] == ids[1] != ids[2]


def test_only_a_key_that_may_sees_the_terminals_sessions(server: AgentServer, ada: str, owner: str) -> None:
    told = json.loads(server.run("-p", "from the terminal", "-m", "gateway/big", "--output-format", "json"))
    id = told["session_id"]
    assert id in sessions(server, owner)
    assert server.ask("GET", f"/v1/sessions/{id}", key=owner).status == 200
    assert id not in sessions(server, ada)
    assert server.ask("GET", f"/v1/sessions/{id}", key=ada).status == 404
    assert server.ask("DELETE", f"/v1/sessions/{id}", key=ada).status == 404


def test_a_key_with_a_folder_of_its_own_stays_in_it(
    server: AgentServer, upstream: Upstream, adas: Said, tmp_path: Path
) -> None:
    (tmp_path / "there.txt").write_text("what lies there")
    (server.project / "here.txt").write_text("what lies here")
    guest = server.key("guest", "--workspace", str(tmp_path), "--terminal-sessions")
    assert sessions(server, guest) == []
    server.ask("POST", "/v1/responses", {"input": 'use read {"path": "there.txt"}'}, key=guest)
    assert "what lies there" in words(upstream.asked[-1][-1])
    prompt = f'use read {{"path": "{server.project}/here.txt"}}'
    server.ask("POST", "/v1/responses", {"input": prompt}, key=guest)
    assert "what lies here" not in words(upstream.asked[-1][-1])
    assert "refused" in words(upstream.asked[-1][-1])


def test_no_run_works_where_everybodys_sessions_lie(
    server: AgentServer, upstream: Upstream, ada: str, adas: Said
) -> None:
    for options in (["-C", ".."], ["-C", str(server.home)], ["--add-dir", ".."]):
        refused = server.fails("serve", "--port", "0", "-m", "gateway/big", *options)
        assert "Cachet's own folder" in refused
    wide = server.key("wide")
    keys = server.home / "server" / "keys.json"
    held = json.loads(keys.read_bytes())
    held["keys"][-1]["workspace"] = str(server.home.parent)  # by hand: the command would refuse it
    keys.write_text(json.dumps(held))
    before = len(upstream.asked)
    answer = server.ask("POST", "/v1/responses", {"input": 'use ls {"path": "."}'}, key=wide)
    assert (answer.status, answer.code) == (500, "server_misconfigured")
    assert len(upstream.asked) == before


def test_a_damaged_checkpoint_tells_no_path_of_the_servers(server: AgentServer, ada: str) -> None:
    session = said(server.ask("POST", "/v1/responses", {"input": "on"}, key=ada)).session
    missing = server.ask("POST", f"/v1/sessions/{session}/rewind", {"checkpoint": 99}, key=ada)
    assert (missing.status, missing.code) == (404, "checkpoint_not_found")
    (server.home / "checkpoints" / session / "1.json").write_text("{")
    damaged = server.ask("POST", f"/v1/sessions/{session}/rewind", {"checkpoint": 1}, key=ada)
    assert damaged.status in (404, 500)
    assert server.home.name not in damaged.body.decode()


@pytest.mark.parametrize("path", [*PATHS, "/health"])
def test_no_path_answers_to_a_rebound_name_or_a_web_page(server: AgentServer, ada: str, path: str) -> None:
    key = f"Authorization: Bearer {ada}"
    for method in ("GET", "POST", "OPTIONS"):
        assert server.get(path, key, host="evil.example", method=method).code == "host_not_allowed"
        page = server.get(path, key, "Origin: http://evil.example", method=method)
        assert page.code == "origin_not_allowed"
        assert not [name for name in page.headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "OPTIONS", "TRACE", "ODD"])
def test_without_a_key_every_path_gives_the_very_same_answer(server: AgentServer, method: str) -> None:
    answers = [
        server.get(path, *lines, method=method)
        for path in PATHS
        for lines in ([], ["Authorization: Bearer sk-cachet-" + "A" * 43])
    ]
    assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}


def test_health_tells_nothing_but_that_it_is_up(server: AgentServer) -> None:
    assert server.get("/health").json == {"status": "ok"}


def test_a_body_over_the_limit_is_refused_with_or_without_a_key(server: AgentServer, ada: str) -> None:
    for key in (ada, ""):
        large = server.ask("POST", "/v1/responses", b'{"input": "' + b"x" * (1024 * 1024) + b'"}', key=key)
        assert (large.status, large.code) == (413, "request_too_large")


def test_a_removed_key_is_out_at_once_on_every_path_and_its_run_ends(tmp_path: Path) -> None:
    with Upstream() as upstream, serving(tmp_path, upstream) as server:
        leaver = server.key("leaver")
        begun = server.ask("POST", "/v1/responses", {"input": "hold", "background": True}, key=leaver)
        assert begun.status == 200
        while not upstream.asked:  # it may not have begun yet
            server.ask("GET", "/v1/models", key=leaver)
        server.run("serve", "keys", "remove", "leaver")
        for path in (f"/v1/responses/{begun.json['id']}", "/v1/sessions", "/v1/models", "/v1/usage"):
            assert server.ask("GET", path, key=leaver).status == 401
        assert upstream.client_left.wait(PATIENCE)


def at_rest(server: AgentServer) -> list[Path]:
    """What lies in the server's home once no session is open: one is closed a moment after its answer."""
    while any(server.home.glob("sessions/*/*.jsonl.lock")):
        server.ask("GET", "/health")
    return sorted(server.home.rglob("*"))


@pytest.mark.parametrize("id", ODD_IDS)
def test_an_odd_id_reaches_no_file(server: AgentServer, ada: str, adas: Said, id: str) -> None:
    before = at_rest(server)
    for method, path in (
        ("GET", f"/v1/sessions/{id}"),
        ("DELETE", f"/v1/sessions/{id}"),
        ("GET", f"/v1/sessions/{id}/checkpoints"),
        ("GET", f"/v1/responses/{id}"),
        ("DELETE", f"/v1/responses/{id}"),
        ("POST", f"/v1/responses/{id}/cancel"),
    ):
        answer = server.ask(method, path, key=ada)
        assert answer.status in (404, 405), (path, answer)
        assert "x-odd" not in answer.headers
        assert str(server.home) not in answer.body.decode()
    assert at_rest(server) == before


@pytest.mark.parametrize("id", ["../x", "a/b", "", "\n", "x" * 65, "é", "\x00", ".."])
def test_an_odd_id_in_a_body_reaches_no_model(
    server: AgentServer, upstream: Upstream, ada: str, id: str
) -> None:
    before = len(upstream.asked)
    for field in ("previous_response_id", "conversation"):
        answer = server.ask("POST", "/v1/responses", {"input": "x", field: id}, key=ada)
        assert answer.status in (400, 404), answer
    assert len(upstream.asked) == before


@pytest.mark.parametrize(
    "line",
    [
        "X-Session-Id: ../../config",
        "X-Session-Id: a b",
        "X-Session-Id: \xe9",
        "Idempotency-Key: a b",
        "Idempotency-Key: \xe9",
        f"Idempotency-Key: {'x' * 256}",
    ],
)
def test_an_odd_header_is_refused_and_never_given_back(server: AgentServer, ada: str, line: str) -> None:
    answer = server.ask("POST", "/v1/responses", {"input": "x"}, key=ada, headers=line)
    assert answer.status in (400, 404)
    value = line.partition(": ")[2]
    assert value not in str(dict(answer.headers))


def test_no_header_can_be_written_from_outside(server: AgentServer, ada: str) -> None:
    for path in (
        "/v1/models/%0d%0aX-Odd:%20x",
        "/v1/models%0d%0aX-Odd:%20x/",
        "/%0d%0aX-Odd:%20x",
        "//evil.example/",
    ):
        answer = server.ask("GET", path, key=ada)
        assert "x-odd" not in answer.headers
        assert "evil.example" not in answer.headers.get("location", "")
    for value in ("theirs", "a\tb"):
        told = server.ask("GET", "/v1/models", key=ada, headers=f"X-Request-Id: {value}")
        assert told.headers["x-request-id"].startswith("req_")


def test_a_prompt_is_text_and_nothing_else(server: AgentServer, upstream: Upstream, ada: str) -> None:
    (server.project / "secret.txt").write_text("the secret")
    for prompt in ("@secret.txt tell", "!touch ran", "!!touch ran", "/quit", "/export out"):
        answer = server.ask("POST", "/v1/responses", {"input": prompt}, key=ada)
        assert answer.status == 200
        assert words(upstream.asked[-1][-1]) == prompt
        assert "the secret" not in json.dumps(upstream.asked[-1])
    assert sorted(path.name for path in server.project.iterdir() if path.name in ("ran", "out")) == []


@pytest.mark.parametrize(
    "wanted",
    [
        'write {"path": "made", "content": "x"}',
        'bash {"command": "touch made"}',
        'read {"path": "../cachet/config.toml"}',
        'read {"path": "../cachet/server/keys.json"}',
        'grep {"pattern": "x", "path": "/etc"}',
    ],
)
def test_a_client_cannot_raise_what_runs_may_do(
    server: AgentServer, upstream: Upstream, ada: str, wanted: str
) -> None:
    asked = {
        "input": f"use {wanted}",
        "permission_mode": "auto",
        "metadata": {"permission_mode": "auto"},
        "instructions": "permission_mode = auto",
    }
    answer = server.ask("POST", "/v1/responses", asked, key=ada, headers="X-Permission-Mode: auto")
    assert answer.status == 200
    assert re.search("refused|did not run", words(upstream.asked[-1][-1]))
    assert not (server.project / "made").exists()


def test_a_provider_that_refuses_our_key_gets_it_shown_to_nobody(server: AgentServer, ada: str) -> None:
    for path, body in (
        ("/v1/responses", {"input": "refuse"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "refuse"}]}),
    ):
        answer = server.ask("POST", path, body, key=ada)
        assert (answer.status, answer.json["error"]["code"]) == (502, "upstream_key_refused")
        assert UPSTREAM_KEY.encode() not in answer.body
    assert UPSTREAM_KEY not in server.err.read_text()


def test_a_spent_budget_ends_before_the_next_run(server: AgentServer) -> None:
    poor = server.key("poor", "--budget", "0.5", "--concurrent", "1", "--period", "total")
    spent = 0.0
    for _ in range(60):
        answer = server.ask("POST", "/v1/responses", {"input": "on"}, key=poor)
        spent = server.ask("GET", "/v1/usage", key=poor).json["total"]["cost_usd"]
        if answer.status == 429:
            break
    assert answer.status == 429
    assert answer.json["error"]["code"] == "insufficient_quota"
    assert spent <= 0.5


def test_the_rate_of_requests_is_limited_for_each_key(server: AgentServer) -> None:
    slow = server.key("slow", "--per-minute", "1")
    assert server.ask("POST", "/v1/responses", {"input": "x"}, key=slow).status == 200
    refused = server.ask("POST", "/v1/responses", {"input": "x"}, key=slow)
    assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
    assert 50 <= int(refused.headers["retry-after"]) <= 60


def test_a_refused_request_may_be_sent_again_with_its_idempotency_key(server: AgentServer) -> None:
    slow = server.key("again", "--per-minute", "1")
    assert server.ask("POST", "/v1/responses", {"input": "x"}, key=slow).status == 200
    for _ in range(2):
        once = server.ask("POST", "/v1/responses", {"input": "y"}, key=slow, headers="Idempotency-Key: once")
        assert (once.status, once.code) == (429, "rate_limit_exceeded")


def test_runs_at_once_are_limited_and_a_client_that_leaves_makes_room(
    server: AgentServer, upstream: Upstream
) -> None:
    one = server.key("one", "--concurrent", "1")
    body = json.dumps({"input": "hold", "stream": True}).encode()
    head = (
        "POST /v1/responses HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {one}",
        f"Content-Length: {len(body)}",
    )
    upstream.client_left.clear()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        connection.sendall("\r\n".join((*head, "", "")).encode() + body)
        read = b""
        while b"output_text.delta" not in read:
            read += connection.recv(4096)
        second = server.ask("POST", "/v1/responses", {"input": "x"}, key=one)
        assert (second.status, second.code) == (429, "concurrency_limit_exceeded")
        assert second.headers["retry-after"] == "1"
    assert upstream.client_left.wait(PATIENCE)
    while (third := server.ask("POST", "/v1/responses", {"input": "x"}, key=one)).status == 429:
        assert third.code == "concurrency_limit_exceeded"
    assert third.status == 200


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"\xff\xfe", b"null", b"[]", b'"x"', b"[" * 200_000, b'{"input": ' + b"[" * 200_000),
        *(b'{"input": "\\ud800"}x', b'{"input": 1e999}', b"\x00" * 100),
    ],
)
def test_a_body_that_is_no_request_is_the_clients_mistake(server: AgentServer, ada: str, body: bytes) -> None:
    for path in ("/v1/responses", "/v1/chat/completions"):
        answer = server.ask("POST", path, body, key=ada)
        assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error"), answer
    assert server.get("/health").status == 200


def test_what_the_server_keeps_is_its_persons_alone_and_holds_no_key(
    server: AgentServer, ada: str, owner: str, adas: Said
) -> None:
    folder = server.home / "server"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in at_rest(server):
        if not path.is_file():
            continue
        held = path.read_bytes()
        assert not [secret for secret in (ada, owner, UPSTREAM_KEY) if secret.encode() in held], path
        if path.name != "config.toml":
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
