"""Usage is the same however a run ends and is asked for: as the provider billed, as the journal holds it."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Semaphore
from typing import Any
from uuid import uuid4

import pytest

from providers.retry import Retry
from providers.types import canonical
from tests.support.asgi import PATIENCE
from tests.support.clients import Door, door
from tests.support.loopback import LoopbackServer, Recorded, Reply, sse
from tests.support.openai_server import OpenAIServer, answer, chunk, usage
from tests.support.script import say, script, use
from tests.support.wires import ANTHROPIC, BUCKETS, WIRES, Wire

BILL = usage(1000, 20, 600)
MODEL = "openai/gpt-5.6"
ENDS = {
    "completed": ('"finish_reason":"stop"', '"status":"completed"'),
    "incomplete": ('"finish_reason":"length"', '"reason":"max_output_tokens"'),
    "refused": ('"finish_reason":"content_filter"', '"reason":"content_filter"'),
    "failed": ('"code":"upstream_failed"', '"status":"failed"'),
    "cancelled": ('"type":"cancelled"', '"status":"cancelled"'),
}
"""By which words a chat completion and a response tell how they ended."""
ONCE = Retry(attempts=1)


class Upstream(LoopbackServer):
    """Ends each answer as its prompt says, and bills all that it bills alike."""

    def __init__(self) -> None:
        super().__init__(self._reply)
        self.begun = Semaphore(0)
        """Released with each answer that hangs."""

    @property
    def environ(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": f"{self.url}/v1", "OPENAI_API_KEY": "sk-upstream-0123456789"}

    def _reply(self, request: Recorded) -> Reply:
        match request.json["messages"][-1]["content"].rpartition("\n\n")[2]:
            case "incomplete":
                return sse(*_cut("length"))
            case "refused":
                return sse(*_cut("content_filter"))
            case "failed":
                return sse(chunk({"content": "Wor"}), cut=True)
            case "cancelled":
                return Reply(200, {"content-type": "text/event-stream"}, self._hanging(), hold=True)
            case _:
                return sse(*answer("Words.", **BILL))

    def _hanging(self) -> Iterator[bytes]:
        yield chunk({"content": "Wor"}).encode()
        self.begun.release()


def _cut(finish: str) -> Sequence[str]:
    return (chunk({"content": "Wor"}), chunk({}, finish), chunk(usage=BILL), "data: [DONE]\n\n")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as here:
        yield here


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Door]:
    with door(tmp_path_factory.mktemp("served"), MODEL, environ=upstream.environ, retry=ONCE) as here:
        yield here


class Asking:
    """One request to an endpoint, which ends as `prompt` says."""

    def __init__(self, shop: Door, endpoint: str, prompt: str, *, stream: bool) -> None:
        self._shop = shop
        self._before = set(shop.sessions())
        self.path = f"/v1/{'chat/completions' if endpoint == 'chat' else 'responses'}"
        said = (
            {"messages": [{"role": "user", "content": prompt}]} if endpoint == "chat" else {"input": prompt}
        )
        asked = {"stream_options": {"include_usage": True}} if endpoint == "chat" and stream else {}
        self.answer = ""
        """All that was told, as text."""
        # In the one order and form that every JSON library here writes alike: later it is sent byte for byte.
        self.body = json.loads(canonical({"model": "cachet", "stream": stream, **said, **asked}))

    @property
    def session(self) -> str:
        [session] = set(self._shop.sessions()) - self._before
        return session

    def told(self) -> dict[str, Any]:
        """The usage at the end of the answer."""
        with self._shop.stream(self.path, self.body) as response:
            self.answer = response.read().decode()
        return _usage(response.headers["content-type"], self.answer)

    def left(self, upstream: Upstream) -> dict[str, Any]:
        """The usage of a run whose client left in the middle, as the same request is told later."""
        headers = {**self._shop.headers, "content-type": "application/json", "idempotency-key": uuid4().hex}
        with closing(http.client.HTTPConnection(self._shop.url.removeprefix("http://"))) as connection:
            connection.request("POST", self.path, canonical(self.body), headers)
            assert upstream.begun.acquire(timeout=PATIENCE)
        self._shop.when_free(self.session)
        with self._shop.stream(self.path, self.body, idempotency_key=headers["idempotency-key"]) as response:
            self.answer = response.read().decode()
        return _usage(response.headers["content-type"], self.answer)


def _usage(kind: str, text: str) -> dict[str, Any]:
    if kind == "application/json":
        return json.loads(text)["usage"]
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    last = json.loads(data[-1])
    return last.get("response", last)["usage"]


def expected(calls: Sequence[Mapping[str, Any]], endpoint: str) -> dict[str, Any]:
    """The usage object for calls of a journal."""
    whole = _object(calls, endpoint) | {"model_calls": len(calls)}
    if any(call["estimated"] for call in calls):
        whole["estimated"] = True
    return whole | {"last_call": _object(calls[-1:], endpoint) | {"model": calls[-1]["model"]}}


def _object(calls: Sequence[Mapping[str, Any]], endpoint: str) -> dict[str, Any]:
    sums: Counter[str] = Counter()
    for call in calls:
        sums.update(call["usage"])
    read, written, output = (
        sums[each] for each in ("cache_read_tokens", "cache_write_tokens", "output_tokens")
    )
    prompt, reported = sums["input_tokens"] + read + written, sums["reported_prompt_tokens"]
    costs = [call["cost"] for call in calls]
    details = {"cached_tokens": read, "cache_write_tokens": written}
    reasoning = {"reasoning_tokens": sums["reasoning_tokens"]}
    names = (
        ("prompt_tokens", "completion_tokens") if endpoint == "chat" else ("input_tokens", "output_tokens")
    )
    return {
        names[0]: prompt,
        names[1]: output,
        f"{names[0]}_details": details,
        f"{names[1]}_details": reasoning,
        "input_tokens": prompt,
        "output_tokens": output,
        "total_tokens": prompt + output,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "cache_hit_rate": read / reported if reported else None,
        "cost_usd": None if None in costs else pytest.approx(sum(costs)),
    }


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("endpoint", ["chat", "responses"])
@pytest.mark.parametrize("end", ["completed", "incomplete", "refused", "failed", "cancelled"])
def test_the_usage_told_is_that_of_the_journal_s_calls_however_the_run_ended(
    shop: Door, upstream: Upstream, end: str, endpoint: str, *, stream: bool
) -> None:
    asking = Asking(shop, endpoint, end, stream=stream)
    told = asking.left(upstream) if end == "cancelled" else asking.told()
    calls = shop.lines(asking.session, "call")
    assert told == expected(calls, endpoint)
    assert ENDS[end][endpoint == "responses"] in asking.answer
    if end in ("failed", "cancelled"):
        assert told["estimated"] is True
        assert told["input_tokens"] > 0
    else:
        assert (told["input_tokens"], told["output_tokens"], told["cache_read_tokens"]) == (1000, 20, 600)
        assert "estimated" not in told


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_chat_s_usage_has_openai_s_names_and_the_flat_ones(shop: Door, *, stream: bool) -> None:
    told = Asking(shop, "chat", "completed", stream=stream).told()
    last = told.pop("last_call")
    assert last.pop("model") == MODEL
    dollars = told.pop("cost_usd")
    assert last.pop("cost_usd") == dollars > 0
    assert told.pop("model_calls") == 1
    assert told == last
    assert told == {
        "prompt_tokens": 1000,
        "completion_tokens": 20,
        "total_tokens": 1020,
        "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
        "input_tokens": 1000,
        "output_tokens": 20,
        "cache_read_tokens": 600,
        "cache_write_tokens": 0,
        "cache_hit_rate": 0.6,
    }


def test_all_accounts_agree(shop: Door, upstream: Upstream) -> None:
    """The key's totals, Prometheus' counters and the sessions' own are the sums of the journals' calls."""
    Asking(shop, "chat", "completed", stream=True).told()
    Asking(shop, "responses", "cancelled", stream=False).left(upstream)
    calls = [call for session in shop.sessions() for call in shop.lines(session, "call")]
    sums = expected(calls, "responses")
    total = shop.http("GET", "/v1/usage").json()["total"]
    assert total.pop("cost_usd") == total.pop("cost_at_least_usd") == sums["cost_usd"]
    assert total.pop("reasoning_tokens") == 0
    assert total == {name: value for name, value in sums.items() if name in total}
    [own] = [
        session["usage"]
        for session in shop.http("GET", "/v1/sessions?limit=100").json()["data"]
        if session["id"] == shop.sessions()[0]
    ]
    assert own["total_tokens"] == expected(shop.lines(shop.sessions()[0], "call"), "chat")["total_tokens"]
    counted = Counter(
        {
            kind: int(float(line.rpartition(" ")[2]))
            for line in shop.http("GET", "/metrics").text.splitlines()
            for kind in ("input", "output", "cache_read", "cache_write")
            if line.startswith("cachet_tokens_total{") and f'kind="{kind}"' in line
        }
    )
    assert counted["input"] + counted["cache_read"] + counted["cache_write"] == sums["input_tokens"]
    assert counted["output"] == sums["output_tokens"]
    assert counted["cache_read"] == sums["cache_read_tokens"] > 0


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_over_every_wire_the_usage_is_what_the_provider_billed(tmp_path: Path, wire: Wire) -> None:
    server = wire.serve([wire.use("ls", {}), wire.say("Nothing here."), wire.say("Still nothing.")])
    served = door(tmp_path, wire.model, environ=_reach(wire, server), config=wire.config)
    with server, served as here, here.sdk() as client:
        first = client.responses.create(model="cachet", input="What is here?")
        *_, last = client.responses.create(
            model="cachet", input="And now?", previous_response_id=first.id, stream=True
        )
        assert last.type == "response.completed"
        billed = wire.billed(server)
        assert first.usage is not None
        assert last.response.usage is not None
        assert _buckets(first.usage.to_dict()) == sum(billed[:2], Counter())
        assert _buckets(last.response.usage.to_dict()) == billed[2]
        assert billed[2]["cache_read_tokens"] > 0


def _reach(wire: Wire, server: LoopbackServer) -> dict[str, str]:
    return wire.environ(server.url)


def _buckets(told: Mapping[str, Any]) -> Counter[str]:
    """The disjoint buckets behind a usage object."""
    counts = Counter({name: told[name] for name in BUCKETS})
    counts["input_tokens"] -= told["cache_read_tokens"] + told["cache_write_tokens"]
    return +counts


def test_cache_writes_and_reads_are_parts_of_the_input(tmp_path: Path) -> None:
    server = ANTHROPIC.serve([ANTHROPIC.say("One."), ANTHROPIC.say("Two.")])
    served = door(tmp_path, ANTHROPIC.model, environ=_reach(ANTHROPIC, server))
    with server, served as here, here.sdk() as client:
        first = client.responses.create(model="cachet", input="One?").usage
        assert first is not None
        told = first.to_dict()
        [bill] = ANTHROPIC.billed(server)
        assert told["cache_write_tokens"] == bill["cache_write_tokens"] > 0
        assert told["input_tokens"] == bill["input_tokens"] + bill["cache_write_tokens"]
        assert told["cache_hit_rate"] == 0.0


@contextmanager
def scripted(folder: Path, *steps: dict[str, Any], **tasks: Sequence[dict[str, Any]]) -> Iterator[Door]:
    with door(folder, script(folder, *steps, tasks=tasks)) as here:
        yield here


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_several_calls_in_a_turn_are_summed_and_the_last_stands_beside_them(
    tmp_path: Path, endpoint: str, *, stream: bool
) -> None:
    steps = [
        use(("ls", {}), input_tokens=100, output_tokens=7, cache_write_tokens=50),
        say("Done.", input_tokens=10, output_tokens=3, cache_read_tokens=150),
    ]
    with scripted(tmp_path, *steps) as here:
        told = Asking(here, endpoint, "Look.", stream=stream).told()
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_hit_rate")
    assert [told[name] for name in names] == [310, 10, 150, 50, pytest.approx(150 / 310)]
    assert [told["last_call"][name] for name in names] == [160, 3, 150, 0, pytest.approx(150 / 160)]
    assert told["model_calls"] == 2


def test_a_sub_agent_s_calls_are_part_of_the_turn_s(tmp_path: Path) -> None:
    steps = [
        use(("task", {"description": "count", "prompt": "Count."}), input_tokens=100, output_tokens=1),
        say("Two.", input_tokens=100, output_tokens=1),
    ]
    with scripted(tmp_path, *steps, **{"Count.": [say("2", input_tokens=40, output_tokens=1)]}) as here:
        asking = Asking(here, "responses", "How many?", stream=False)
        told = asking.told()
        assert told == expected(here.lines(asking.session, "call"), "responses")
    assert (told["model_calls"], told["input_tokens"]) == (3, 240)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_provider_that_says_nothing_of_its_cache_has_no_hit_rate(tmp_path: Path, *, stream: bool) -> None:
    with scripted(tmp_path, say("Hm.", input_tokens=10, output_tokens=2)) as here:
        told = Asking(here, "chat", "Hello", stream=stream).told()
    assert told["cache_hit_rate"] is None
    assert told["prompt_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_price_that_is_not_known_is_no_price(tmp_path: Path, *, stream: bool) -> None:
    with OpenAIServer([sse(*answer("Hm.", **BILL))]) as server:
        environ = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-upstream-0123456789"}
        with door(tmp_path, "openai/no-such-model-0", environ=environ) as here:
            told = Asking(here, "responses", "Hello", stream=stream).told()
            total = here.http("GET", "/v1/usage").json()["total"]
    assert told["cost_usd"] is told["last_call"]["cost_usd"] is None
    assert (total["cost_usd"], total["cost_at_least_usd"]) == (None, 0.0)


def test_a_person_s_own_price_counts(tmp_path: Path) -> None:
    config = f'[prices."{MODEL}"]\ninput = 10\noutput = 100\ncache_read = 1\n'
    with OpenAIServer([sse(*answer("Hm.", **BILL))]) as server:
        environ = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-upstream-0123456789"}
        with door(tmp_path, MODEL, environ=environ, config=config) as here:
            told = Asking(here, "chat", "Hello", stream=False).told()
    assert told["cost_usd"] == pytest.approx((400 * 10 + 600 * 1 + 20 * 100) / 1e6)


def test_a_request_that_was_refused_before_its_run_was_billed_nothing(shop: Door) -> None:
    before = shop.http("GET", "/v1/usage").json()["total"]
    refused = shop.http("POST", "/v1/responses", {"model": "no-such-model", "input": "Hello"})
    assert "usage" not in refused.json()
    assert shop.http("GET", "/v1/usage").json()["total"] == before
