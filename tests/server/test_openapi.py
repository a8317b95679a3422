"""The OpenAPI document: valid, whole, and told by the running server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from providers.types import ModelRef
from server.endpoints import ENDPOINTS
from server.start import Settings, assemble
from tests.support.clients import Door, door
from tests.support.script import say, script
from tests.support.setups import setup


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("openapi")
    with door(folder, script(folder, say("fine"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def document(server: Door) -> Any:
    answered = server.http("GET", "/openapi.json")
    assert answered.status_code == 200
    return answered.json()


def operations(document: Any) -> dict[tuple[str, str], Any]:
    return {
        (method.upper(), path): told
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    }


def references(value: Any) -> Iterator[str]:
    """Every `$ref` and every target of a discriminator."""
    match value:
        case {"$ref": str(target), **rest}:
            yield target
            yield from references(rest)
        case {"discriminator": {"mapping": mapping}, **rest}:
            yield from mapping.values()
            yield from references(rest)
        case dict():
            for each in value.values():
                yield from references(each)
        case list():
            for each in value:
                yield from references(each)


def test_the_document_is_valid(document: Any) -> None:
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


def test_every_reference_leads_to_a_component_and_every_component_is_used(document: Any) -> None:
    found = set(references(document))
    kinds = ("schemas", "headers")
    there = {f"#/components/{kind}/{name}" for kind in kinds for name in document["components"][kind]}
    assert found == there


def test_every_route_is_in_the_document_and_every_operation_is_a_route(document: Any, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, workspace=tmp_path, compose=lambda _: setup(tmp_path), models=(ModelRef("x", "y"),)
    )
    app: Any = asyncio.run(assemble(settings)).app
    served = {
        (method, route.path_format)
        for route in app.app.app.routes
        for method in route.methods - {"HEAD"}  # each GET answers it, too
    }
    assert set(operations(document)) == served
    assert set(ENDPOINTS) == served


def test_every_operation_says_what_it_does_under_a_name_of_its_own(document: Any) -> None:
    told = operations(document).values()
    assert all(len(each["summary"]) > 5 for each in told)
    assert len({each["operationId"] for each in told}) == len(told)


def test_every_parameter_of_a_path_is_described(document: Any) -> None:
    for (_, path), told in operations(document).items():
        named = {each["name"] for each in told.get("parameters", ()) if each["in"] == "path"}
        assert named == ({"id"} if "{id}" in path else set()), path


def test_every_count_of_a_usage_object_is_told_in_words(document: Any) -> None:
    schemas = document["components"]["schemas"]
    for name in ("ChatUsage", "ResponseUsage", "Totals"):
        fields = schemas[name]["properties"]
        assert [field for field, told in fields.items() if not _said(told, schemas)] == [], name
        assert "parts of the input" in schemas[name]["description"]


def test_only_health_wants_no_key(document: Any) -> None:
    assert document["security"] == [{"key": []}]
    open_to_all = [place for place, told in operations(document).items() if told.get("security") == []]
    assert open_to_all == [("GET", "/health")]


def test_what_befalls_any_request_is_told_of_each(document: Any) -> None:
    for (_, path), told in operations(document).items():
        assert {"403", "408", "413"} <= set(told["responses"])
        assert {"401", "429"} <= set(told["responses"]) or path == "/health"


def test_the_document_itself_wants_a_key(server: Door) -> None:
    assert httpx2.get(f"{server.url}/openapi.json").status_code == 401


def _said(told: Any, schemas: Any) -> bool:
    """Whether a field, or the object it holds, is described."""
    held = schemas.get(told.get("$ref", "").rpartition("/")[2], {})
    return "description" in told or "description" in held
