"""How many requests a key may send, and how many wrong keys may come from where, on a clock that stands."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from server.errors import ApiError
from server.guard import Identified
from server.keys import ClientKey, KeyRing
from server.turnstile import ADDRESSES, REQUESTS, WRONG_KEYS, Turnstile, requests_a_minute
from tests.support.asgi import PATIENCE, Served, read_answer, served

HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"


class Gate:
    """A turnstile with a clock to turn."""

    def __init__(self) -> None:
        self.clock = 1000.0
        self.turnstile = Turnstile(lambda: self.clock)

    def wrong(self, address: str = HERE, times: int = WRONG_KEYS) -> None:
        for _ in range(times):
            self.turnstile.turn_away(address)

    def refusal(self, key: ClientKey | None, address: str = HERE) -> ApiError:
        admit = self.turnstile.turn_away if key is None else partial(self.turnstile.admit, key)
        with pytest.raises(ApiError) as caught:
            admit(address)
        assert caught.value.status == 429
        return caught.value


@pytest.fixture
def gate() -> Gate:
    return Gate()


def key(*, per_minute: int = 60, id: str = "key_1") -> ClientKey:
    return ClientKey(id=id, name="k", created=0.0, digest="0" * 64, per_minute=per_minute)


def test_a_key_may_send_so_many_requests_of_whatever_kind_and_then_evenly(gate: Gate) -> None:
    one = key()
    for _ in range(REQUESTS):
        gate.turnstile.admit(one, HERE)
    refusal = gate.refusal(one)
    assert (refusal.code, refusal.retry_after) == ("rate_limit_exceeded", 1)
    gate.clock += 1
    for _ in range(REQUESTS // 60):
        gate.turnstile.admit(one, HERE)
    gate.refusal(one, ELSEWHERE)


def test_whoever_asks_once_a_second_for_each_of_some_runs_is_never_refused(gate: Gate) -> None:
    few = key(per_minute=1)
    for _ in range(1000):
        for _run in range(10):
            gate.turnstile.admit(few, HERE)
        gate.clock += 1


def test_a_key_that_may_begin_much_may_ask_much() -> None:
    assert requests_a_minute(key(per_minute=1)) == REQUESTS
    assert requests_a_minute(key(per_minute=600)) == 6000


def test_each_keys_requests_are_counted_by_themselves(gate: Gate) -> None:
    for _ in range(REQUESTS):
        gate.turnstile.admit(key(), HERE)
    gate.refusal(key())
    gate.turnstile.admit(key(id="key_2"), HERE)


def test_after_too_many_wrong_keys_not_even_a_right_one_is_let_in_from_there(gate: Gate) -> None:
    gate.wrong()
    for tried in (None, key()):
        refusal = gate.refusal(tried)
        assert (refusal.code, refusal.retry_after) == ("too_many_wrong_keys", 1)
    gate.turnstile.admit(key(), ELSEWHERE)
    gate.clock += 1
    gate.turnstile.admit(key(), HERE)


def test_a_key_that_was_let_in_before_is_not_locked_out_by_its_neighbours(gate: Gate) -> None:
    gate.turnstile.admit(key(), HERE)
    gate.wrong()
    gate.turnstile.admit(key(), HERE)
    gate.refusal(key(id="key_2"))


def test_an_old_key_that_is_sent_once_a_second_locks_nobody_out(gate: Gate) -> None:
    for _ in range(2 * WRONG_KEYS):
        gate.wrong(times=1)
        gate.clock += 1
    gate.turnstile.admit(key(), HERE)


def test_the_addresses_of_one_ipv6_network_count_as_one(gate: Gate) -> None:
    for number in range(WRONG_KEYS):
        gate.turnstile.turn_away(f"2001:db8::{number:x}")
    gate.refusal(None, "2001:db8::ffff:1")
    gate.turnstile.turn_away("2001:db8:0:1::1")


def test_only_so_many_addresses_are_remembered_and_those_that_are_quiet_go_first(gate: Gate) -> None:
    gate.wrong("10.0.0.0")
    for number in range(ADDRESSES - 1):
        gate.turnstile.admit(key(per_minute=10 * ADDRESSES), f"10.1.{number // 256}.{number % 256}")
    gate.wrong(HERE, times=1)
    gate.refusal(None, "10.0.0.0")
    for number in range(ADDRESSES):
        gate.wrong(f"10.2.{number // 256}.{number % 256}", times=1)
    gate.wrong("10.0.0.0", times=1)  # all were noisy, and this was the oldest


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing.open(tmp_path)


@pytest.fixture
def server(ring: KeyRing) -> Iterator[Served]:
    """What wants a key, and a clock that stands."""

    async def served_(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"path": scope["path"]})(scope, receive, send)

    with served(Identified(served_, ring, Turnstile(lambda: 0.0))) as here:
        yield here


def get(path: str, secret: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()


def asked(server: Served, *requests: bytes) -> list[tuple[int, str | None]]:
    """The status of each answer, and the seconds to wait that it tells, all on one connection."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        answers = []
        for request in requests:
            connection.sendall(request)
            answer = read_answer(connection)
            answers.append((answer.status, answer.headers.get("retry-after")))
        return answers


@pytest.mark.slow
def test_reading_is_limited_too_whatever_is_read_and_tells_how_long_to_wait(
    server: Served, ring: KeyRing
) -> None:
    _, secret = ring.add("laptop", per_minute=1)
    paths = ("/v1/models", "/v1/responses/resp_x", "/metrics")
    *let_in, refused = asked(server, *(get(paths[each % 3], secret) for each in range(REQUESTS + 1)))
    assert set(let_in) == {(200, None)}
    assert refused == (429, "1")
    assert server.ask("POST", "/v1/responses", {}, key=secret).code == "rate_limit_exceeded"
    assert server.get("/health").status == 200


@pytest.mark.slow
def test_trying_keys_comes_to_an_end_and_locks_out_nobody_who_was_in(server: Served, ring: KeyRing) -> None:
    (_, known), (_, new) = ring.add("known"), ring.add("new")
    assert server.ask("GET", "/v1/models", key=known).status == 200
    *wrong, refused = asked(server, *(get("/v1/models", f"guess-{each}") for each in range(WRONG_KEYS + 1)))
    assert set(wrong) == {(401, None)}
    assert refused == (429, "1")
    barred = server.ask("GET", "/v1/models", key=new)
    assert (barred.status, barred.code) == (429, "too_many_wrong_keys")
    assert barred.body == server.ask("GET", "/v1/models", key="guess").body
    assert server.ask("GET", "/v1/models", key=known).status == 200
    assert server.ask("GET", "/v1/models").status == 401


@pytest.mark.slow
def test_an_address_that_a_client_makes_up_counts_for_nothing(server: Served, ring: KeyRing) -> None:
    _, new = ring.add("new")
    lied = "X-Forwarded-For: 192.0.2.{}"
    tried = [server.ask("GET", "/x", key="guess", headers=lied.format(each)) for each in range(WRONG_KEYS)]
    assert {answer.status for answer in tried} == {401}
    assert server.ask("GET", "/x", key=new, headers=lied.format(200)).status == 429
