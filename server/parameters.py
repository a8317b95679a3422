"""What clients may send beside a body: each parameter is read and described by one declaration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Generic, Literal, TypeAlias, TypeVar

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from providers.types import JSON
from server.errors import bad_request
from server.schemas import Id

T = TypeVar("T")

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)

Where: TypeAlias = Literal["path", "query", "header"]

LARGEST_PAGE = 100
"""Sessions in one answer."""
LONGEST_TOKEN = 255
"""Characters of an `Idempotency-Key`."""


@dataclass(frozen=True, slots=True)
class Parameter(Generic[T]):
    """One parameter: where it stands, what it may be, and what it is where it is left out."""

    name: str
    where: Where
    adapter: TypeAdapter[T]
    default: T
    description: str

    def read(self, request: Request) -> T:
        """What this request says. Raises ApiError (400), which names the parameter."""
        text = self._said(request)
        if text is None:
            return self.default
        try:
            return self.adapter.validate_strings(text, strict=True)
        except ValidationError as error:
            why = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise bad_request(f"{self.name}: {why}.", self.name) from error

    def _said(self, request: Request) -> str | None:
        match self.where:
            case "path":
                return str(request.path_params[self.name])
            case "query":
                return request.query_params.get(self.name)
            case "header":
                return request.headers.get(self.name)

    def described(self) -> dict[str, JSON]:
        """The parameter as OpenAPI has it."""
        schema = self.adapter.json_schema()
        if self.default not in (None, ""):
            schema |= {"default": self.default}
        return {
            "name": self.name,
            "in": self.where,
            "required": self.where == "path",
            "description": self.description,
            "schema": schema,
        }


def _day(text: str) -> date:
    """Only what is written as a day: Pydantic takes seconds since the epoch for one, Python weeks."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise PydanticCustomError("day", "Input should be a day such as 2026-11-22")


def _whole(text: str) -> int:
    """Only digits: Pydantic takes Python's `1_000` for a number, too."""
    if _WHOLE.fullmatch(text):
        return int(text)
    raise PydanticCustomError("whole", "Input should be a whole number")


_Whole: TypeAlias = Annotated[int, BeforeValidator(_whole)]
_Day: TypeAlias = Annotated[date, BeforeValidator(_day)]

PATH_ID: Parameter[str] = Parameter(
    "id", "path", TypeAdapter(Id), "", "The id, as an earlier answer told it."
)
MODEL_NAME: Parameter[str] = Parameter(
    "id", "path", TypeAdapter(Annotated[str, Field(min_length=1)]), "", "The name, such as `cachet`."
)
SESSION: Parameter[str] = Parameter(
    "X-Session-Id", "header", TypeAdapter(Id), "", "The session to go on with, as an earlier answer named it."
)
IDEMPOTENCY_KEY: Parameter[str] = Parameter(
    "Idempotency-Key",
    "header",
    TypeAdapter(Annotated[str, Field(pattern=rf"^[\x21-\x7e]{{1,{LONGEST_TOKEN}}}$")]),
    "",
    "Requests with one such key and one body begin one run: the later ones are given the first one's answer.",
)
STREAM: Parameter[Literal["true", "false"]] = Parameter(
    "stream", "query", TypeAdapter(Literal["true", "false"]), "false", "Whether to tell its events again."
)
STARTING_AFTER: Parameter[int] = Parameter(
    "starting_after",
    "query",
    TypeAdapter(Annotated[_Whole, Field(ge=-1, le=999_999_999)]),
    -1,
    "With `stream`: the last `sequence_number` that the client had; -1 for none.",
)
LIMIT: Parameter[int] = Parameter(
    "limit",
    "query",
    TypeAdapter(Annotated[_Whole, Field(ge=1, le=LARGEST_PAGE)]),
    20,
    "How many sessions at most.",
)
AFTER: Parameter[str] = Parameter(
    "after", "query", TypeAdapter(Id), "", "The id of the session that the page before ended with."
)
SINCE: Parameter[date | None] = Parameter(
    "since", "query", TypeAdapter(_Day), None, "The first day to count, by the server's calendar."
)
UNTIL: Parameter[date | None] = Parameter(
    "until", "query", TypeAdapter(_Day), None, "The last day to count, by the server's calendar."
)
