"""The provider for OpenAI's chat completions, and for every endpoint that speaks them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from providers.call_ids import taken_ids
from providers.endpoint import endpoint_of
from providers.openai_chunks import WIRE, ChatAccumulator
from providers.openai_endpoint import OpenAIProvider, Wire
from providers.openai_messages import ENCODER
from providers.openai_request import optional_field, request_body
from providers.openai_usage import openai_cached_read_tokens
from providers.settings import ProviderSettings

__all__ = ["CHAT", "ChatAccumulator", "connect", "openai_cached_read_tokens"]

CHAT = Wire(
    name=WIRE,
    encoder=ENCODER,
    path="chat/completions",
    body=request_body,
    refused=optional_field,
    answer=lambda request, origin, provider: ChatAccumulator(
        origin, provider=provider, taken=taken_ids(request)
    ),
    closes=False,
    tells_early=True,
)


def connect(name: str, settings: ProviderSettings, environ: Mapping[str, str], home: Path) -> OpenAIProvider:
    """The provider for one endpoint. Raises ConfigurationError, and MissingKey where a vendor wants one."""
    return OpenAIProvider(CHAT, endpoint_of(name, settings, environ))
