"""What stands in a query, a header or a body is what the document says, or it is refused by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clients import Door, door
from tests.support.script import say, script


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("parameters")
    with door(folder, script(folder, say("fine"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def response(server: Door) -> str:
    """The id of a response that is over."""
    made = server.http("POST", "/v1/responses", {"input": "hi"})
    assert made.status_code == 200
    return str(made.json()["id"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/sessions?limit=0", "limit"),
        ("/v1/sessions?limit=101", "limit"),
        ("/v1/sessions?limit=1.5", "limit"),
        ("/v1/sessions?limit=", "limit"),
        ("/v1/sessions?limit=1_0", "limit"),
        ("/v1/sessions?after=../x", "after"),
        ("/v1/usage?since=0", "since"),
        ("/v1/usage?since=20261122", "since"),
        ("/v1/usage?until=2026-W47-7", "until"),
        ("/v1/usage?until=2026-13-01", "until"),
        ("/v1/usage?since=2026-11-22&until=2026-11-21", "since"),
    ],
)
def test_a_parameter_out_of_its_limits_is_refused_by_name(server: Door, path: str, name: str) -> None:
    answered = server.http("GET", path)
    assert answered.status_code == 400
    assert answered.json()["error"]["param"] == name


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"input": 7}, "input"),
        ({"input": [{"role": "user", "content": 7}]}, "input.0.content"),
        ({"input": "hi", "stream": "perhaps"}, "stream"),
        ({}, "input"),
    ],
)
def test_a_field_of_a_body_is_named_as_the_client_wrote_it(
    server: Door, body: dict[str, object], name: str
) -> None:
    answered = server.http("POST", "/v1/responses", body)
    assert answered.status_code == 400
    assert answered.json()["error"]["param"] == name


@pytest.mark.parametrize(
    "path", ["/v1/sessions?limit=100", "/v1/usage?since=2026-11-22&until=2026-11-22", "/v1/usage?more=1"]
)
def test_a_parameter_within_its_limits_is_taken_and_an_unknown_one_ignored(server: Door, path: str) -> None:
    assert server.http("GET", path).status_code == 200


@pytest.mark.parametrize(
    ("query", "name"),
    [("stream=yes", "stream"), ("stream=", "stream"), ("starting_after=-2", "starting_after")],
)
def test_a_stream_is_asked_for_in_one_way_only(server: Door, response: str, query: str, name: str) -> None:
    answered = server.http("GET", f"/v1/responses/{response}?{query}")
    assert answered.status_code == 400
    assert answered.json()["error"]["param"] == name


def test_an_empty_session_header_names_no_session(server: Door) -> None:
    answered = server.http("POST", "/v1/responses", {"input": "hi"}, x_session_id="")
    assert answered.json()["error"]["code"] == "session_not_found"


@pytest.mark.parametrize("token", ["", "a b", "x" * 256])
def test_an_idempotency_key_has_visible_characters_only(server: Door, token: str) -> None:
    answered = server.http("POST", "/v1/responses", {"input": "hi"}, idempotency_key=token)
    assert answered.status_code == 400
    assert answered.json()["error"]["param"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"stream": "true"}, "stream"),
        ({"background": 1}, "background"),
        ({"max_output_tokens": "5"}, "max_output_tokens"),
        ({"metadata": {"a": 1}}, "metadata.a"),
    ],
)
def test_nothing_in_a_body_is_read_as_what_it_is_not(
    server: Door, more: dict[str, object], name: str
) -> None:
    answered = server.http("POST", "/v1/responses", {"input": "hi", **more})
    assert answered.status_code == 400
    assert answered.json()["error"]["param"] == name


def test_a_method_that_a_path_does_not_have_is_answered_with_all_that_it_has(
    server: Door, response: str
) -> None:
    answered = server.http("PUT", f"/v1/responses/{response}")
    assert answered.status_code == 405
    assert answered.headers["allow"] == "DELETE, GET, HEAD"
