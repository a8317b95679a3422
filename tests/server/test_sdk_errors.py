"""What goes wrong, as OpenAI's own SDK raises it: before the run, in it, and in the middle of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.clients import Door, door
from tests.support.loopback import LoopbackServer, Recorded, Reply, sse
from tests.support.openai_server import OpenAIServer, answer, chunk, refusal, usage
from tests.support.script import say, script

ASKED: list[Any] = [{"role": "user", "content": "How are you?"}]
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
FAR: Any = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
TORN: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,!!"}}
SPENT = {"input_tokens": 30, "output_tokens": 2}
STATUSES = [
    ("429.json", 429, openai.RateLimitError, "upstream_rate_limited"),
    ("500.json", 502, openai.InternalServerError, "upstream_failed"),
    ("401.json", 502, openai.InternalServerError, "upstream_key_refused"),
    ("404.json", 404, openai.NotFoundError, "model_not_found"),
    ("422.json", 400, openai.BadRequestError, "upstream_rejected"),
    ("full.json", 400, openai.BadRequestError, "context_length_exceeded"),
]


def failing(status: int, kind: str = "") -> dict[str, Any]:
    return {"error": {"status": status, "message": "no", "kind": kind}}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A model that answers, one for each way an upstream may fail, and one that breaks off."""
    folder = tmp_path_factory.mktemp("served")
    models = [script(folder, say("Well."), name="well.json")]
    for status in (429, 500, 401, 404, 422):
        models.append(script(folder, failing(status), name=f"{status}.json"))
    models.append(script(folder, failing(400, "context_length_exceeded"), name="full.json"))
    models.append(script(folder, {**say("We", **SPENT), **failing(401)}, name="torn.json"))
    with door(folder, *models) as here:
        yield here


@pytest.fixture(scope="module")
def client(shop: Door) -> Iterator[openai.OpenAI]:
    with shop.sdk() as one:
        yield one


def named(client: openai.OpenAI, script: str) -> str:
    """The name of the model with this script."""
    return next(model.id for model in client.models.list() if model.id.endswith(f"/{script}"))


@pytest.mark.parametrize("secret", ["sk-cachet-wrong", "x"])
def test_a_wrong_key_is_no_authentication(shop: Door, secret: str) -> None:
    with shop.sdk(secret) as stranger, pytest.raises(openai.AuthenticationError) as raised:
        stranger.responses.create(model="cachet", input="Hello")
    assert raised.value.code == "invalid_api_key"


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_not_found(client: openai.OpenAI, *, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as chat:
        client.chat.completions.create(model="gpt-99", messages=ASKED, stream=stream)
    with pytest.raises(openai.NotFoundError) as response:
        client.responses.create(model="gpt-99", input="Hello", stream=stream)
    for raised in (chat.value, response.value):
        assert (raised.code, raised.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"stop": ["\n"]}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"messages": [{"role": "user", "content": [FAR]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [TORN]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [*ASKED, {"role": "assistant", "content": "Fine."}]}, "messages"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_a_chat_that_is_not_supported_is_a_bad_request_which_names_the_field(
    client: openai.OpenAI, wrong: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**({"model": "cachet", "messages": ASKED} | wrong))
    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"previous_response_id": "resp_1", "conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_a_response_that_is_not_supported_is_a_bad_request_which_names_the_field(
    client: openai.OpenAI, wrong: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(**({"model": "cachet", "input": "Hello"} | wrong))
    assert raised.value.param == param


@pytest.mark.parametrize("where", [{"previous_response_id": "resp_1"}, {"conversation": "conv_1"}])
def test_a_conversation_that_never_was_is_not_found(client: openai.OpenAI, where: dict[str, Any]) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="cachet", input="Hello", **where)


@pytest.mark.parametrize(("script", "status", "kind", "code"), STATUSES)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_fails_before_the_first_word_is_an_http_status_of_a_chat(
    client: openai.OpenAI,
    script: str,
    status: int,
    kind: type[openai.APIStatusError],
    code: str,
    *,
    stream: bool,
) -> None:
    with pytest.raises(kind) as raised:
        client.chat.completions.create(model=named(client, script), messages=ASKED, stream=stream)
    assert (raised.value.status_code, raised.value.code) == (status, code)


@pytest.mark.parametrize(("script", "status", "kind", "code"), STATUSES)
def test_a_response_that_failed_is_told_by_status_or_as_the_stream_s_last_event(
    client: openai.OpenAI, script: str, status: int, kind: type[openai.APIStatusError], code: str
) -> None:
    model = named(client, script)
    with pytest.raises(kind) as raised:
        client.responses.create(model=model, input="Hello")
    assert (raised.value.status_code, raised.value.code) == (status, code)
    *_, last = client.responses.create(model=model, input="Hello", stream=True)
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == code
    assert client.responses.retrieve(last.response.id).status == "failed"


def test_a_chat_that_breaks_off_raises_where_it_broke_with_what_was_spent(client: openai.OpenAI) -> None:
    model = named(client, "torn.json")
    heard = client.chat.completions.create(model=model, messages=ASKED, stream=True)
    assert [next(heard).choices[0].delta.content for _ in range(2)] == ["", "We"]
    with pytest.raises(openai.APIError) as raised:
        list(heard)
    assert raised.value.code == "upstream_key_refused"


def test_a_response_that_breaks_off_tells_what_was_said_and_spent(client: openai.OpenAI) -> None:
    *_, last = client.responses.create(model=named(client, "torn.json"), input="Hello", stream=True)
    assert last.type == "response.failed"
    assert last.response.output_text == "We"
    assert last.response.usage is not None
    assert (last.response.usage.input_tokens, last.response.usage.output_tokens) == (30, 2)


def upstream(*answers: str | Reply) -> OpenAIServer:
    return OpenAIServer(answers)


def reach(server: LoopbackServer) -> dict[str, str]:
    return {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "sk-upstream-0123456789"}


def test_what_was_tried_in_vain_is_not_tried_again_by_the_sdk(tmp_path: Path) -> None:
    server = upstream(refusal(401, "bad key"))
    served = door(tmp_path, "openai/gpt-5.6", environ=reach(server))
    with server, served as here, here.sdk(max_retries=3) as client:
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="cachet", messages=ASKED)
        assert len(server.prompts) == 1


def test_what_the_upstream_asks_to_wait_for_is_handed_on(tmp_path: Path) -> None:
    server = upstream(refusal(429, "slow down", **{"retry-after": "600"}))
    served = door(tmp_path, "openai/gpt-5.6", environ=reach(server))
    with server, served as here, here.sdk(max_retries=3) as client:
        with pytest.raises(openai.RateLimitError) as raised:
            client.responses.create(model="cachet", input="Hello")
        assert raised.value.response.headers["retry-after"] == "600"
        assert len(server.prompts) == 1


def test_a_failed_try_that_was_made_again_is_void_in_the_answer_and_paid(tmp_path: Path) -> None:
    broken = sse(chunk({"role": "assistant", "content": "Wrong"}), cut=True)
    with LoopbackServer(lambda request: next(replies)) as server:
        replies = iter([broken, sse(*answer("Right.", **usage(50, 3)))])
        with door(tmp_path, "openai/gpt-5.6", environ=reach(server)) as here, here.sdk() as client:
            events = list(client.responses.create(model="cachet", input="Hello", stream=True))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "Right."
    [retrying] = [event for event in events if event.type == "cachet.retrying"]
    assert retrying.to_dict()["void"] is True
    assert last.response.usage is not None
    assert last.response.usage.to_dict()["model_calls"] == 2
    assert last.response.usage.to_dict()["estimated"] is True
    assert last.response.usage.input_tokens > 50


BUDGET = '[prices."openai/gpt-5.6"]\ninput = 1000\noutput = 1000\n'
"""A tenth of a cent a token."""


@pytest.mark.parametrize("dollars", [2.0, 2.05], ids=["spent", "too-little-left"])
def test_a_budget_is_a_rate_limit_that_no_retry_mends(tmp_path: Path, dollars: float) -> None:
    server = OpenAIServer(repeat(sse(*answer("Fine.", **usage(1900, 100)))))
    served = door(tmp_path, "openai/gpt-5.6", environ=reach(server), config=BUDGET)
    with server, served as here, here.sdk(here.key("ada", budget_usd=dollars, concurrent=1)) as client:
        client.responses.create(model="cachet", input="Hello")
        with pytest.raises(openai.RateLimitError) as raised:
            client.responses.create(model="cachet", input="Hello")
        assert raised.value.code == "insufficient_quota"
        assert raised.value.response.headers["x-should-retry"] == "false"
        assert len(server.prompts) == 1


def test_a_key_that_asks_too_often_is_told_when_to_ask_again(shop: Door) -> None:
    with shop.sdk(shop.key("hasty", per_minute=1)) as client:
        client.responses.create(model="cachet", input="Hello")
        with pytest.raises(openai.RateLimitError) as raised:
            client.responses.create(model="cachet", input="Hello")
    assert raised.value.code == "rate_limit_exceeded"
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 60


def test_a_key_may_have_so_many_runs_at_once_and_no_more(tmp_path: Path) -> None:
    def held(request: Recorded) -> Reply:
        return sse(*answer("Once upon a time.")[:2], hold=True)

    with (
        LoopbackServer(held) as server,
        door(tmp_path, "openai/gpt-5.6", environ=reach(server)) as here,
        here.sdk(here.key("one", concurrent=1)) as client,
    ):
        first = client.responses.create(model="cachet", input="Hello", stream=True)
        next(event for event in first if event.type == "response.output_text.delta")
        with pytest.raises(openai.RateLimitError) as raised:
            client.responses.create(model="cachet", input="Hello")
        first.close()
    assert raised.value.code == "concurrency_limit_exceeded"
    assert raised.value.response.headers["retry-after"] == "1"


def test_a_failure_that_is_told_again_is_not_to_be_asked_for_again(shop: Door, client: openai.OpenAI) -> None:
    body = {"model": named(client, "429.json"), "input": "Hello"}
    first, again = (shop.http("POST", "/v1/responses", body, Idempotency_Key="once") for _ in range(2))
    assert again.json() == first.json()
    assert (first.status_code, again.status_code) == (429, 429)
    assert first.headers["retry-after"] == "1"
    assert again.headers["x-should-retry"] == "false"
