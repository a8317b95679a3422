"""The provider for OpenAI's Responses API, and for every endpoint that speaks it.

Nothing is stored with the endpoint: every request holds the whole conversation, reasoning included.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from providers.call_ids import taken_ids
from providers.endpoint import endpoint_of
from providers.openai_client import RESPONSES as PATH
from providers.openai_endpoint import OpenAIProvider, Wire
from providers.openai_responses_events import WIRE, ResponseAccumulator
from providers.openai_responses_messages import ENCODER
from providers.openai_responses_request import refused_field, request_body
from providers.settings import ProviderSettings

RESPONSES = Wire(
    name=WIRE,
    encoder=ENCODER,
    path=PATH,
    body=request_body,
    refused=refused_field,
    answer=lambda request, origin, provider: ResponseAccumulator(
        origin, provider=provider, taken=taken_ids(request), limit=request.output_limit
    ),
    closes=True,
    thinks=True,
)


def connect(name: str, settings: ProviderSettings, environ: Mapping[str, str], home: Path) -> OpenAIProvider:
    """The provider for one endpoint. Raises ConfigurationError, and MissingKey where a vendor wants one."""
    return OpenAIProvider(RESPONSES, endpoint_of(name, settings, environ))
