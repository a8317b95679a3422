"""The events of a response's stream, as OpenAI names and orders them: their shapes."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict

from server.answers import OutputItem, OutputText, Response, SummaryText
from server.extensions import Extension


class Numbered(TypedDict):
    sequence_number: int
    """The event's place in its stream, from 0."""


class ResponseTold(Numbered):
    """The whole response: as it begins, and as it ended."""

    type: Literal[
        "response.created",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    ]
    """A response that was cancelled ends with `response.incomplete`; its `status` tells."""
    response: Response


class ItemTold(Numbered):
    """A message or a thought begins, or is whole."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: int
    """Its place in `output`, counted with those of attempts that failed."""
    item: OutputItem


class InItem(Numbered):
    item_id: str
    output_index: int


class PartTold(InItem):
    """A message's text begins, or is whole."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    content_index: Literal[0]
    part: OutputText


class TextDelta(InItem):
    """A message's text grew."""

    type: Literal["response.output_text.delta"]
    content_index: Literal[0]
    delta: str
    logprobs: list[None]


class TextDone(InItem):
    """A message's text is whole."""

    type: Literal["response.output_text.done"]
    content_index: Literal[0]
    text: str
    logprobs: list[None]


class SummaryPartTold(InItem):
    """A thought begins, or is whole."""

    type: Literal["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"]
    summary_index: Literal[0]
    part: SummaryText


class SummaryDelta(InItem):
    """A thought grew."""

    type: Literal["response.reasoning_summary_text.delta"]
    summary_index: Literal[0]
    delta: str


class SummaryDone(InItem):
    """A thought is whole."""

    type: Literal["response.reasoning_summary_text.done"]
    summary_index: Literal[0]
    text: str


ResponseEvent: TypeAlias = Annotated[
    ResponseTold | ItemTold | PartTold | TextDelta | TextDone | SummaryPartTold | SummaryDelta | SummaryDone,
    Field(discriminator="type"),
]
"""An event of OpenAI's."""

AnyEvent: TypeAlias = ResponseEvent | Extension
