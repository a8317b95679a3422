"""A client's own limit on an answer, and its key's budget: each ends an answer in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.counting import MODEL, counted
from tests.support.loopback import sse
from tests.support.openai_server import chunk, usage

PRICES = f'[prices."{MODEL}"]\ninput = 1000\noutput = 1000\n'
"""A tenth of a cent a token."""
MESSAGES: list[Any] = [{"role": "user", "content": "Tell."}]


def cut(**billed: Any) -> Sequence[str]:
    """An answer that ended at its limit."""
    return (chunk({"content": "Once"}), chunk({}, "length"), chunk(usage=billed), "data: [DONE]\n\n")


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_chat_s_limit_is_the_model_s(tmp_path: Path, name: str) -> None:
    with counted(tmp_path, [sse(*cut(**usage(50, 7)))]) as shop, shop.door.sdk() as client:
        told: Any = {name: 7}
        whole = client.chat.completions.create(model="cachet", messages=MESSAGES, **told)
    assert whole.choices[0].finish_reason == "length"
    assert shop.upstream.prompts[0].json["max_completion_tokens"] == 7


def test_a_limit_is_one_request_s_and_breaks_no_cache(tmp_path: Path) -> None:
    with counted(tmp_path) as shop, shop.door.sdk() as client:
        first = client.responses.create(model="cachet", input="One?", max_output_tokens=900)
        second = client.responses.create(model="cachet", input="Two?", previous_response_id=first.id)
    limits = [request.json["max_completion_tokens"] for request in shop.upstream.prompts]
    assert limits[0] == 900 < limits[1]
    assert (first.max_output_tokens, second.max_output_tokens) == (900, None)
    assert second.usage is not None
    assert second.usage.input_tokens_details.cached_tokens > 0


def test_a_limit_is_the_conversation_s_and_no_sub_agent_s(tmp_path: Path) -> None:
    task = (("c1", "task", {"description": "count", "prompt": "Count."}),)
    with counted(tmp_path, [task, "Two.", "It is two."]) as shop, shop.door.sdk() as client:
        client.responses.create(model="cachet", input="How many?", max_output_tokens=900)
    limits = [request.json["max_completion_tokens"] for request in shop.upstream.prompts]
    assert limits[0] == limits[2] == 900 < limits[1]


def test_an_answer_that_meets_the_client_s_limit_meets_no_budget(tmp_path: Path) -> None:
    with counted(tmp_path, [sse(*cut(**usage(50, 7)))], config=PRICES) as shop:
        key = shop.door.key("ada", budget_usd=100.0, concurrent=1)
        with shop.door.sdk(key) as client:
            told = client.responses.create(model="cachet", input="Tell.", max_output_tokens=7)
    assert told.status == "incomplete"
    assert shop.upstream.prompts[0].json["max_completion_tokens"] == 7


def test_an_answer_that_the_budget_cuts_off_is_a_spent_budget(tmp_path: Path) -> None:
    with counted(tmp_path, [sse(*cut(**usage(50, 7)))], config=PRICES) as shop:
        key = shop.door.key("ada", budget_usd=6.0, concurrent=1)
        with shop.door.sdk(key) as client, pytest.raises(openai.RateLimitError) as raised:
            client.responses.create(model="cachet", input="Tell.", max_output_tokens=9000)
    assert raised.value.code == "insufficient_quota"
    body = raised.value.response.json()
    assert body["response"]["usage"]["output_tokens"] == 7
    assert 256 < shop.upstream.prompts[0].json["max_completion_tokens"] < 9000
