"""`agent doctor cache`: three requests to endpoints of every kind, what they cost, what is said of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from cli.doctor_probe import MARGIN, TOKENS, Probe
from cli.doctor_verdict import Endpoint, Kind, judge
from providers.pricing import Quote, Rates
from providers.types import ModelRef, Usage
from sessions.records import CallLine
from tests.support import openai_server
from tests.support.anthropic_server import AnthropicServer, text
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply, sse
from tests.support.ollama_server import OllamaServer
from tests.support.openai_server import OpenAIServer
from tests.support.played import Cli, cli_in
from tests.support.program import AGENT, program_in
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return cli_in(tmp_path, monkeypatch, capsys)


class Gateway(OpenAIServer):
    """An OpenAI-like endpoint that has nothing but chat completions: no list of models, no `/props`."""

    def _reply(self, request: Recorded) -> Reply:
        if request.method == "GET":
            return json_reply({"error": {"message": "no such thing"}}, 404)
        return super()._reply(request)

    @property
    def asked(self) -> list[Any]:
        """The bodies of the completions that it was asked for."""
        return [request.json for request in self.requests if request.method == "POST"]


def anthropic_at(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-a-test")
    return "anthropic/claude-sonnet-5-5"


def mine_at(url: str, cli: Cli, more: str = "") -> str:
    cli.home.mkdir(mode=0o700, exist_ok=True)
    (cli.home / "config.toml").write_text(f'[providers.mine]\nbase_url = "{url}"\n{more}')
    return "mine/big"


def billed(*usage: dict[str, Any] | None) -> list[Reply]:
    """Answers of an OpenAI-like endpoint with these usages; None tells none."""
    return [
        sse(*openai_server.answer("ready", **one))
        if one
        else sse(*openai_server.answer("ready")[:-2], "data: [DONE]\n\n")
        for one in usage
    ]


def column(ran: Any, name: str) -> list[Any]:
    return [request[name] for request in ran.json["requests"]]


# --- endpoints of every kind --------------------------------------------------------------------------------


def test_anthropics_rules_show_a_write_a_full_read_and_a_read_with_a_small_write(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AnthropicServer(repeat((text("ready"),)), minimum=4096) as server:
        model = anthropic_at(server, monkeypatch)
        ran = cli("doctor", "cache", "-m", model, "--yes", "--json")
    prompt = column(ran, "prompt_tokens")
    assert (ran.code, ran.json["verdict"]) == (0, "caches and reports")
    assert column(ran, "cache_read_tokens") == [0, prompt[0], prompt[0]]
    assert column(ran, "cache_write_tokens") == [prompt[0], 0, prompt[2] - prompt[0]]
    assert "It reports what is read from the cache and what is written to it." in ran.json["says"]
    assert ran.json["billed_tokens"] == sum(prompt) + sum(column(ran, "output_tokens"))


def test_an_automatic_cache_reports_reads_in_its_own_steps(cli: Cli) -> None:
    with Gateway(repeat("ready"), minimum=1024, step=128) as server:
        ran = cli("doctor", "cache", "-m", mine_at(server.base_url, cli), "--yes", "--json")
    assert (ran.code, ran.json["verdict"]) == (0, "caches and reports")
    first, same, longer = column(ran, "cache_read_tokens")
    assert (first, same % 128, longer % 128) == (0, 0, 0)
    assert same > 0.9 * column(ran, "prompt_tokens")[1]
    assert "It reports what is read from the cache, and nothing of what is written to it." in ran.json["says"]


def test_ollamas_cache_keeps_all_but_the_last_token(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with OllamaServer(repeat("ready")) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        ran = cli("doctor", "cache", "-m", "ollama/qwen3:8b", "--json")
    assert ran.json["verdict"] == "caches and reports"
    assert column(ran, "cache_read_tokens")[1] == column(ran, "prompt_tokens")[1] - 1


@pytest.mark.engine
def test_the_embedded_engine_reads_all_but_one_token_of_the_same_request(cli: Cli) -> None:
    ran = cli("doctor", "cache", "-m", "local/smollm2", "--json")
    assert (ran.code, ran.json["verdict"]) == (0, "caches and reports"), ran.err
    new, same, longer = ran.json["requests"]
    assert same["prompt_tokens"] == new["prompt_tokens"]
    assert same["cache_read_tokens"] == same["prompt_tokens"] - 1
    assert longer["cache_read_tokens"] >= same["prompt_tokens"] - 1
    assert ran.json["cost_usd"] == 0
    probe = Probe.fresh(ModelRef.parse("local/smollm2"), "local/1", window=None)
    assert probe.tokens < longer["prompt_tokens"] < MARGIN * probe.tokens


def test_an_endpoint_that_says_nothing_of_caching_is_said_to_say_nothing(cli: Cli) -> None:
    silent = openai_server.usage(5000, 1, cached=None)
    with Gateway(billed(silent, silent, silent)) as server:
        ran = cli("doctor", "cache", "-m", mine_at(server.base_url, cli), "--yes")
    assert ran.code == 0
    assert rows(ran.out) == [["5,000", "n/a", "n/a", "n/a"]] * 3
    assert "It reports tokens, and nothing about caching: Cachet shows n/a, never 0%." in ran.out


def rows(out: str) -> list[list[str]]:
    """The table's cells: prompt, read, written, uncached."""
    return [line.split()[1:5] for line in out.splitlines() if line.startswith(("new", "same", "longer"))]


def test_writes_that_an_endpoint_does_not_tell_of_are_no_zero(cli: Cli) -> None:
    tells = openai_server.usage(5000, 1, cached=4992)
    details = {"cached_tokens": 4992, "cache_write_tokens": 0}
    with Gateway(billed(tells, tells, {**tells, "prompt_tokens_details": details})) as server:
        out = cli("doctor", "cache", "-m", mine_at(server.base_url, cli), "--yes").out
    assert [row[2] for row in rows(out)] == ["n/a", "n/a", "0"]


def test_json_may_be_asked_for_before_the_word_too(cli: Cli) -> None:
    with Gateway(repeat("ready")) as server:
        ran = cli("doctor", "--json", "cache", "-m", mine_at(server.base_url, cli), "--yes")
    assert ran.json["verdict"] == "caches and reports"


def test_an_endpoint_that_never_hits_is_named_with_likely_reasons_and_exit_code_1(cli: Cli) -> None:
    never = openai_server.usage(5000, 1, cached=0)
    with Gateway(billed(never, never, never)) as server:
        ran = cli("doctor", "cache", "-m", mine_at(server.base_url, cli), "--yes", "--json")
    assert (ran.code, ran.json["verdict"]) == (1, "reports, never hits")
    said = " ".join(ran.json["says"])
    assert "read nothing from it when the same request came again" in said
    assert '[providers.mine], try quirks = ["prompt_cache_key"]' in said


def test_an_endpoint_that_gets_an_affinity_key_is_not_told_to_want_one(cli: Cli) -> None:
    never = openai_server.usage(5000, 1, cached=0)
    with Gateway(billed(never, never, never)) as server:
        model = mine_at(server.base_url, cli, 'quirks = ["prompt_cache_key"]')
        said = " ".join(cli("doctor", "cache", "-m", model, "--yes", "--json").json["says"])
        assert len({body["prompt_cache_key"] for body in server.asked}) == 1
    assert "quirks" not in said


def test_a_prompt_below_the_minimum_is_a_likely_reason(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with AnthropicServer(repeat((text("ready"),)), minimum=100_000) as server:
        ran = cli("doctor", "cache", "-m", anthropic_at(server, monkeypatch), "--yes", "--json")
    assert (ran.code, ran.json["verdict"]) == (1, "reports, never hits")
    assert "A gateway on the way may drop cache_control" in ran.json["says"][-1]


def test_an_endpoint_without_any_usage_is_estimated_and_said_so(cli: Cli) -> None:
    with Gateway(billed(None, None, None)) as server:
        ran = cli("doctor", "cache", "-m", mine_at(server.base_url, cli), "--yes")
    assert "It reports no usage at all: the counts above are estimates" in ran.out
    assert "new      ~" in ran.out


# --- what is sent -------------------------------------------------------------------------------------------


def test_the_second_request_is_the_first_and_the_third_continues_it(cli: Cli) -> None:
    with Gateway(repeat("ready")) as server:
        cli("doctor", "cache", "-m", mine_at(server.base_url, cli), "--yes")
        new, same, longer = server.asked
    assert new == same
    assert longer["tools"] == same["tools"]
    assert longer["messages"][: len(same["messages"])] == same["messages"]
    assert [message["role"] for message in longer["messages"][len(same["messages"]) :]] == [
        "assistant",
        "user",
    ]


def test_two_runs_share_not_even_the_beginning_of_a_prompt(cli: Cli) -> None:
    with Gateway(repeat("ready")) as server:
        model = mine_at(server.base_url, cli)
        cli("doctor", "cache", "-m", model, "--yes")
        cli("doctor", "cache", "-m", model, "--yes")
        one, other = (server.asked[place] for place in (0, 3))
    assert one["messages"][0]["content"][:12] != other["messages"][0]["content"][:12]
    assert one["tools"][0]["function"]["description"] != other["tools"][0]["function"]["description"]


def test_a_probe_has_the_tokens_it_says_and_fits_a_small_window() -> None:
    model = ModelRef("mine", "big")
    large, small = (Probe.fresh(model, "openai-chat/1", window=window) for window in (None, 4096))
    assert large.tokens == pytest.approx(TOKENS, rel=0.01)
    assert small.tokens < 0.75 * 4096


def test_the_price_told_before_is_no_less_than_what_three_cold_requests_cost() -> None:
    probe = Probe.fresh(ModelRef("mine", "big"), "anthropic/1", window=None)
    most = probe.most(Quote(Rates(input=2.0, output=10.0, cache_write=2.5), ""))
    assert most is not None
    assert 3 * probe.tokens * 2.5 / 1e6 < most < 3 * probe.tokens * 2.5 * (MARGIN + 0.25) / 1e6
    assert probe.most(None) is None
    assert probe.most(Quote(Rates(0, 0), "free")) == 0


# --- money --------------------------------------------------------------------------------------------------


def test_without_a_terminal_nothing_is_sent_unless_it_was_agreed_to(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AnthropicServer(()) as server:
        ran = cli("doctor", "cache", "-m", anthropic_at(server, monkeypatch))
        assert server.requests == []
    assert ran.code == 2
    assert "about 5,000 tokens each to anthropic/claude-sonnet-5-5, at most about $0.0" in ran.err
    assert "add --yes" in ran.err
    assert not (cli.home / "sessions").exists()


def test_a_price_that_is_not_known_is_said_to_be_unknown(cli: Cli) -> None:
    with Gateway(repeat("ready")) as server:
        model = mine_at(server.base_url, cli)
        asked = cli("doctor", "cache", "-m", model)
        ran = cli("doctor", "cache", "-m", model, "--yes")
    assert "at a price that isn't known" in asked.err
    assert ran.out.count("unknown") == 4


def test_each_call_is_a_line_of_a_journal_of_its_own_and_in_the_statistics(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AnthropicServer(repeat((text("ready"),)), minimum=1024) as server:
        ran = cli("doctor", "cache", "-m", anthropic_at(server, monkeypatch), "--yes", "--json")
    (journal,) = (cli.home / "sessions").glob("*/*.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["session", "note", "call", "call", "call"]
    assert {line["purpose"] for line in lines[2:]} == {"doctor"}
    assert journal.stem == ran.json["session"]
    (row,) = cli("stats", "--by", "purpose", "--json").json["rows"]
    assert (row["key"], row["calls"], row["cost_usd"]) == ("doctor", 3, pytest.approx(ran.json["cost_usd"]))


def test_what_was_booked_is_no_session_to_go_on_with(cli: Cli) -> None:
    with Gateway(repeat("ready")) as server:
        cli("doctor", "cache", "-m", mine_at(server.base_url, cli), "--yes")
    assert cli("sessions", "list", "--json").json == []
    assert "There is no session yet" in cli("resume", "--last", "-p", "go on").err


def test_a_call_that_fails_ends_it_and_is_booked_with_those_before(cli: Cli) -> None:
    answers: list[str | Reply] = ["ready", json_reply({"error": {"message": "down"}}, 500)]
    with Gateway(answers) as server:
        ran = cli("doctor", "cache", "-m", mine_at(server.base_url, cli), "--yes")
    assert ran.code == 4
    assert "mine failed (500: down)" in ran.err
    (journal,) = (cli.home / "sessions").glob("*/*.jsonl")
    calls = [line for line in map(json.loads, journal.read_text().splitlines()) if line["kind"] == "call"]
    assert [call["outcome"] for call in calls] == ["ok", "ServerFault"]


@pytest.mark.terminal
@pytest.mark.parametrize(("answer", "sent"), [("n", 0), ("y", 3)])
def test_a_person_is_asked_with_the_price_in_front_of_them(tmp_path: Path, answer: str, sent: int) -> None:
    with AnthropicServer(repeat((text("ready"),)), minimum=1024) as server:
        person = program_in(tmp_path, ANTHROPIC_BASE_URL=server.url, ANTHROPIC_API_KEY="key-of-a-test")
        environ = {name: value for name, value in person.environ.items() if name != "COLUMNS"}
        words = ["doctor", "cache"]
        with Terminal(AGENT, words, environ=environ, cwd=person.project, columns=60) as terminal:
            terminal.wait_for("at most about $0.0", "Send them? [y/N]")
            terminal.type(f"{answer}\r")
            assert terminal.wait_exit() == 0
            assert ("Nothing was sent." in terminal.text) is (sent == 0)
            assert ("It caches and says so" in terminal.text) is (sent == 3)
        assert len(server.requests) == sent


@pytest.mark.parametrize("columns", [60, 120])
def test_it_fits_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with AnthropicServer(repeat((text("ready"),)), minimum=1024) as server:
        out = cli("doctor", "cache", "-m", anthropic_at(server, monkeypatch), "--yes").out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= columns


# --- the verdict --------------------------------------------------------------------------------------------

CALL = CallLine(
    id="call_1",
    parent=None,
    at="",
    purpose="doctor",
    lane="main",
    model="mine/big",
    usage=Usage(),
    raw_usage={"prompt_tokens": 5000},
    estimated=False,
    cost=None,
    price=None,
    started=0.0,
    duration=1.0,
    time_to_first_token=1.0,
    stop_reason="end_turn",
    outcome="ok",
)
HERE = Endpoint("mine", "openai-chat", affinity=True)


def reading(*reads: int, prompt: int = 5000, written: int = 0) -> Sequence[CallLine]:
    """Calls of an endpoint that reports so many tokens read from its cache."""
    return [
        replace(
            CALL,
            usage=Usage(
                input_tokens=prompt - read - written,
                cache_read_tokens=read,
                cache_write_tokens=written,
                reported_prompt_tokens=prompt,
            ),
        )
        for read in reads
    ]


def silent(*waits: float | None) -> Sequence[CallLine]:
    usage = Usage(input_tokens=5000)
    return [replace(CALL, usage=usage, time_to_first_token=wait) for wait in waits]


@pytest.mark.parametrize(
    ("calls", "kind"),
    [
        (reading(0, 4992, 4992), Kind.HITS),
        (reading(4992, 4992, 4992), Kind.HITS),
        (reading(0, 0, 4992), Kind.HITS),
        (reading(0, 128, 128), Kind.MISSES),
        (reading(0, 0, 0), Kind.MISSES),
        (silent(3.0, 0.5, 0.4), Kind.FASTER),
        (silent(3.0, 0.5, 2.9), Kind.SILENT),
        (silent(0.2, 0.01, 0.01), Kind.SILENT),
        (silent(3.0, None, 0.1), Kind.SILENT),
        (silent(None, None, None), Kind.SILENT),
    ],
)
def test_the_verdict_follows_from_what_was_read_or_how_long_it_took(
    calls: Sequence[CallLine], kind: Kind
) -> None:
    assert judge(calls, HERE).kind is kind


def test_a_cache_that_is_late_is_said_to_be_late() -> None:
    assert judge(reading(0, 0, 4992), HERE).says[0].startswith("It caches, but not at once")


def test_writes_that_nobody_reads_are_told_with_their_number() -> None:
    says = judge(reading(0, 0, 0, written=4000), HERE).says
    assert any(sentence.startswith("It wrote 12,000 tokens and read none of them") for sentence in says)


def test_a_short_prompt_is_told_as_a_reason() -> None:
    says = judge(reading(0, 0, 0, prompt=2800), HERE).says
    assert any("it has 2,800 tokens, and some models cache only from 4,096 on" in says for says in says)


@pytest.mark.parametrize(
    ("raw", "tells"),
    [
        ({"cache_creation_input_tokens": 0}, True),
        ({"prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}}, True),
        ({"cacheWriteInputTokens": 12}, True),
        ({"prompt_tokens_details": {"created_cache_tokens": 3}}, True),
        ({"prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": None}}, False),
        ({"prompt_eval_cached_count": 3}, False),
    ],
)
def test_whether_writes_are_reported_is_read_from_the_raw_usage(raw: dict[str, Any], tells: bool) -> None:
    calls = [replace(call, raw_usage=raw) for call in reading(0, 4000, 4000)]
    assert (
        "what is written to it." in judge(calls, HERE).says[1] and "nothing" not in judge(calls, HERE).says[1]
    ) is tells
