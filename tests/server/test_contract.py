"""The running server keeps to its OpenAPI document, whatever it is sent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.clients import Door, door
from tests.support.serving import CONFIG, MODEL, UPSTREAM_KEY, Upstream

pytestmark = pytest.mark.slow

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
EXAMPLES = 5
"""Of each operation, beside those at the limits of its parameters and fields."""
UNCHECKED = "positive_data_acceptance"
"""What the document allows may be refused all the same: another model's name, a prompt that says nothing."""
CONFORMANCE = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass(frozen=True, slots=True)
class Reader:
    """Asks the server and holds each answer against the document."""

    server: Door
    schema: BaseSchema
    asked: set[str] = field(default_factory=set)
    """The operations that answered with a success."""

    def __call__(self, operation: str, status: int = 200, **parts: Any) -> Any:
        """The answer to an operation (`GET /health`): its JSON, or the text where it is none."""
        method, path = operation.split()
        case = self.schema[path][method].Case(**parts)
        answer = case.call(self.server.url, headers=self.server.headers)
        case.validate_response(answer, checks=CONFORMANCE)
        assert answer.status_code == status, answer.text
        if status == 200:
            self.asked.add(operation)
        kind = answer.headers["content-type"][0]
        return answer.json() if kind == "application/json" else answer.text


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("contract")
    with Upstream() as upstream:
        config = CONFIG.format(url=upstream.url)
        with door(folder, MODEL, config=config, environ={"GATEWAY_KEY": UPSTREAM_KEY}) as opened:
            yield opened


@pytest.fixture(scope="module")
def contract(server: Door, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document as the server tells it, but that no answer may have a field that isn't described."""
    document = server.http("GET", "/openapi.json").json()
    schemas = document["components"]["schemas"]
    for name in set(schemas) - _asked(document["paths"], schemas):
        schemas[name]["additionalProperties"] = False
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module")
def schema(contract: Path) -> BaseSchema:
    return schemathesis.openapi.from_path(contract)


@pytest.fixture
def ask(server: Door, schema: BaseSchema) -> Reader:
    return Reader(server, schema)


def test_every_operations_success_is_what_the_document_says(ask: Reader, contract: Path) -> None:
    for operation in ("health", "openapi.json", "v1/models", "v1/usage", "metrics"):
        ask(f"GET /{operation}")
    ask("GET /v1/models/{id}", path_parameters={"id": MODEL})
    ask("POST /v1/chat/completions", body={"messages": [{"role": "user", "content": "hi"}]})
    made = ask("POST /v1/responses", body={"input": 'use ls {"path": "."}'})
    response, session = {"id": made["id"]}, {"id": made["session_id"]}
    ask("GET /v1/responses/{id}", path_parameters=response)
    ask("POST /v1/responses/{id}/cancel", path_parameters=response)
    ask("DELETE /v1/responses/{id}", path_parameters=response)
    assert ask("GET /v1/sessions", query={"limit": 1})["has_more"]
    assert len(ask("GET /v1/sessions/{id}", path_parameters=session)["messages"]) == 4
    assert ask("GET /v1/sessions/{id}/checkpoints", path_parameters=session)["data"]
    ask("POST /v1/sessions/{id}/rewind", path_parameters=session, body={"checkpoint": 0, "dry_run": True})
    ask("DELETE /v1/sessions/{id}", path_parameters=session)
    told = json.loads(contract.read_text())["paths"]
    assert ask.asked == {f"{method.upper()} {path}" for path, methods in told.items() for method in methods}


@pytest.mark.parametrize("prompt", ["hi", 'use ls {"path": "."}', "refuse"])
def test_every_event_of_a_stream_is_what_the_document_says(ask: Reader, prompt: str) -> None:
    told = ask("POST /v1/responses", body={"input": prompt, "stream": True})
    assert ("cachet.tool.finished" in told) == prompt.startswith("use")
    assert ("response.failed" in told) == (prompt == "refuse")


@pytest.mark.parametrize("prompt", ["hi", 'use ls {"path": "."}'])
def test_every_chunk_of_a_chat_is_what_the_document_says(ask: Reader, prompt: str) -> None:
    body = {"messages": [{"role": "user", "content": prompt}], "stream": True}
    told = ask("POST /v1/chat/completions", body={**body, "stream_options": {"include_usage": True}})
    assert told.endswith("data: [DONE]\n\n")
    assert ("cachet.tool.finished" in told) == prompt.startswith("use")


def test_a_stream_that_is_told_again_is_what_the_document_says(ask: Reader) -> None:
    made = ask("POST /v1/responses", body={"input": "hi"})
    again = {"stream": "true", "starting_after": 0}
    told = ask("GET /v1/responses/{id}", path_parameters={"id": made["id"]}, query=again)
    assert "event: response.created" not in told
    assert "event: response.completed" in told


def test_runs_that_fail_or_are_cancelled_answer_as_the_document_says(ask: Reader) -> None:
    failed = ask("POST /v1/responses", 502, body={"input": "refuse"})
    assert failed["response"]["status"] == "failed"
    ask("POST /v1/chat/completions", 502, body={"messages": [{"role": "user", "content": "refuse"}]})
    made = ask("POST /v1/responses", body={"input": "hold", "background": True})
    assert made["usage"] is None
    ended = ask("POST /v1/responses/{id}/cancel", path_parameters={"id": made["id"]})
    assert ended["status"] == "cancelled"


def test_no_request_gets_an_answer_that_the_document_does_not_tell_of(
    contract: Path, server: Door, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [
            *(SCHEMATHESIS, "run", contract, "--url", server.url, "--phases", "coverage,fuzzing"),
            *("--header", f"Authorization: Bearer {server.secret}"),
            *("--exclude-checks", UNCHECKED, "--max-examples", str(EXAMPLES), "--seed", "1"),
            *("--generation-deterministic", "--continue-on-failure", "--no-color"),
        ],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _asked(paths: Any, schemas: Any) -> set[str]:
    """The components that bodies of requests are made of: there a field more is taken, and ignored."""
    found: set[str] = set()
    new = {
        name
        for path in paths.values()
        for operation in path.values()
        for name in _named(operation.get("requestBody"))
    }
    while new:
        found |= new
        new = {name for each in new for name in _named(schemas[each])} - found
    return found


def _named(value: Any) -> set[str]:
    """The components that this points at."""
    return set(re.findall(r"#/components/schemas/([^\"]+)", json.dumps(value)))
