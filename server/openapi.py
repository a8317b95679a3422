"""The OpenAPI document: every route with what it takes and answers, from the types that the code uses."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from providers.types import JSON
from server.endpoints import ENDPOINTS, Endpoint, Shape, Stream
from server.fieldwords import Described

PATH = "/openapi.json"
VERSION = "1"
"""Of the API, as its paths have it: not of the program."""
ABOUT = (
    "A coding agent behind OpenAI's API: it runs its own tools in the server's folder, and tells what the "
    "provider's prompt cache did. In every usage object the cache counts are parts of the input, as OpenAI "
    "counts. Every request wants a key but `/health`; this document, too."
)
ERRORS = {
    400: "The request is wrong, or wants what isn't supported.",
    401: "The key is missing or wrong.",
    403: "Not allowed: the Host or Origin header, or the server's permission mode.",
    404: "There is no such thing for this key.",
    408: "The request took too long to come in.",
    409: "Something else is at work on it.",
    413: "The body is too large.",
    422: "The Idempotency-Key came with another request before.",
    429: "Too many requests, too many wrong keys, or the key's budget is spent.",
    499: "The run was cancelled.",
    500: "The server failed.",
    502: "The model's provider failed.",
    503: "The server can't do it now.",
    504: "The model's provider fell silent.",
    507: "The server's disk is full.",
}
HEADERS = {
    "x-request-id": {"description": "Names this request.", "schema": {"type": "string"}},
    "retry-after": {
        "description": "Seconds until asking again may help; absent where it won't.",
        "schema": {"type": "integer", "minimum": 1},
    },
}


class Document:
    """The document of a server's routes, its own among them. It is made when first asked for."""

    def __init__(self, others: Sequence[BaseRoute]) -> None:
        self.route = Route(PATH, self.show, methods=["GET"])
        self._routes = (*others, self.route)
        self._made: dict[str, JSON] | None = None

    async def show(self, request: Request) -> Response:
        """This document. It wants a key like everything else."""
        if self._made is None:
            self._made = await asyncio.to_thread(document, self._routes)
        return JSONResponse(self._made)


def document(routes: Iterable[BaseRoute]) -> dict[str, JSON]:
    """The OpenAPI document of these routes. Raises KeyError for a route that `ENDPOINTS` doesn't tell of."""
    shapes = Shapes.of(ENDPOINTS.values())
    paths: dict[str, dict[str, JSON]] = {}
    for route in routes:
        assert isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            endpoint = ENDPOINTS[method, route.path_format]
            told = inspect.getdoc(route.endpoint) or ""
            paths.setdefault(route.path_format, {})[method.lower()] = _operation(endpoint, told, shapes)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Cachet", "version": VERSION, "description": ABOUT},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": shapes.components,
            "headers": HEADERS,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of this server: agent serve keys add",
                }
            },
        },
    }


@dataclass(frozen=True, slots=True)
class Shapes:
    """The schemas of types. Those with a name stand among the components, and are pointed at."""

    components: dict[str, JSON]
    _schemas: dict[str, dict[str, JSON]]

    @classmethod
    def of(cls, endpoints: Iterable[Endpoint]) -> Shapes:
        modes: dict[JsonSchemaMode, dict[str, Shape]] = {"serialization": {}, "validation": {}}
        for endpoint in endpoints:
            modes["serialization"] |= {repr(shape): shape for shape in endpoint.answers}
            modes["validation"] |= {repr(shape): shape for shape in endpoint.bodies}
        adapters = [(mode, mode, _adapter(shapes.values())) for mode, shapes in modes.items()]
        schemas, definitions = TypeAdapter.json_schemas(
            adapters, ref_template="#/components/schemas/{model}", schema_generator=Described
        )
        found: dict[str, dict[str, JSON]] = {}
        for mode, shapes in modes.items():
            found |= zip(shapes, schemas[mode, mode]["prefixItems"], strict=True)
        return cls(_untitled(definitions["$defs"]), _untitled(found))

    def __getitem__(self, shape: Shape) -> dict[str, JSON]:
        return self._schemas[repr(shape)]


def _adapter(shapes: Iterable[Shape]) -> TypeAdapter[Any]:
    """One for all of them, so that each class is read once."""
    together: Any = tuple.__class_getitem__(tuple(shapes))
    return TypeAdapter(together)


def _operation(endpoint: Endpoint, told: str, shapes: Shapes) -> dict[str, JSON]:
    operation: dict[str, JSON] = {
        "operationId": endpoint.id,
        "tags": [endpoint.tag],
        "summary": told.partition(".")[0] + ".",
        "description": told,
        "responses": {"200": _success(endpoint, shapes), **_failures(endpoint, shapes)},
    }
    if endpoint.parameters:
        operation["parameters"] = [parameter.described() for parameter in endpoint.parameters]
    if endpoint.body is not None:
        content: dict[str, JSON] = {"schema": shapes[endpoint.body], "example": endpoint.example}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    if endpoint.open:
        operation["security"] = []
    return operation


def _success(endpoint: Endpoint, shapes: Shapes) -> dict[str, JSON]:
    content: dict[str, JSON] = {endpoint.media: {"schema": shapes[endpoint.answer]}}
    if endpoint.stream is not None:
        content["text/event-stream"] = {"schema": _event(endpoint.stream, shapes)}
    return {"description": "Done.", "headers": _headers("x-request-id"), "content": content}


def _event(stream: Stream, shapes: Shapes) -> dict[str, JSON]:
    """One event of a stream: OpenAPI before 3.2 has no words for the whole of it."""
    data: dict[str, JSON] = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": shapes[stream.event],
    }
    if stream.last:
        data = {"anyOf": [{"const": stream.last, "description": "The stream's end."}, data]}
    return {
        "type": "object",
        "description": "One of the stream's events, which come one after the other.",
        "properties": {"event": {"type": "string"}, "data": data},
        "required": ["data"],
    }


def _failures(endpoint: Endpoint, shapes: Shapes) -> dict[str, JSON]:
    content = {"application/json": {"schema": shapes[endpoint.error]}}
    headers = _headers("x-request-id", "retry-after")
    return {
        str(status): {"description": ERRORS[status], "headers": headers, "content": content}
        for status in endpoint.statuses
    }


def _headers(*names: str) -> dict[str, JSON]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _untitled(schema: Any) -> Any:
    """The schema without the titles that Pydantic makes of field names: they say nothing."""
    match schema:
        case dict():
            return {
                name: _untitled(value)
                for name, value in schema.items()
                if name != "title" or not isinstance(value, str)
            }
        case list():
            return [_untitled(value) for value in schema]
        case _:
            return schema
