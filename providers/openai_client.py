"""The `openai` SDK's client for an endpoint, and what its errors mean to a person."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from providers.departure import traced
from providers.endpoint import Endpoint, is_loopback
from providers.errors import ModelNotFound, ProviderError, ServerFault
from providers.faults import http_fault, redirected, retry_after_seconds, unreachable
from providers.openai_faults import WireError

if TYPE_CHECKING:
    import openai

PLACEHOLDER_KEY = "none"
"""For an endpoint without keys: the SDK wants one."""

RESPONSES = "responses"
"""Where the Responses API is, below an endpoint's address."""

CONNECT_SECONDS = 10.0


def make_client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """Imports the SDK, which takes most of a second. The client neither retries nor gives up by itself."""
    import openai

    client = openai.AsyncOpenAI(
        api_key=endpoint.key or PLACEHOLDER_KEY,
        base_url=endpoint.base_url,
        max_retries=0,  # the loop retries, and books every try
        timeout=openai.Timeout(None, connect=CONNECT_SECONDS),  # silence is noticed by the wires
        default_headers=endpoint.headers,
        http_client=openai.DefaultAsyncHttpx2Client(
            event_hooks={"request": [traced]},
            follow_redirects=False,  # the key and the conversation are for this address alone
            trust_env=not is_loopback(endpoint.base_url),  # a proxy has no business on this machine
            verify=endpoint.base_url.startswith("https:"),  # plain HTTP: spares loading certificates
        ),
    )
    if endpoint.name != "openai":
        # The SDK reads these from OpenAI's own variables; they are no other endpoint's to see.
        client.organization = client.project = None
        client._custom_headers = dict(endpoint.headers)
    return client


def openai_fault(endpoint: Endpoint, path: str, error: openai.OpenAIError) -> ProviderError:
    """The error for one that the SDK raised of a request to `path`."""
    import openai

    match error:
        case openai.APIStatusError() if error.status_code < 400:
            return redirected(endpoint.name, error.status_code, error.response.headers.get("location", ""))
        case openai.APIStatusError():
            said = WireError.of(error.body)
            if error.status_code == 404 and "model" not in said.message.lower():
                return not_this_wire(endpoint, path, status=404)
            return http_fault(
                endpoint.name,
                error.status_code,
                said.message,
                kind=said.kind,
                retry_after=retry_after_seconds(error.response.headers, now=time.time()),
                secret=endpoint.key,
            )
        case openai.APIConnectionError():
            return unreachable(endpoint.name, endpoint.base_url, error.__cause__ or error)
        case _:
            return ServerFault(f"{endpoint.name} failed ({error}). Nothing is lost; try again in a moment.")


def not_this_wire(endpoint: Endpoint, path: str, *, status: int | None = None) -> ProviderError:
    """The error for an address that answers, though not as OpenAI's wires do."""
    hint = "" if urlsplit(endpoint.base_url).path else f" Most end in /v1: try {endpoint.base_url}/v1"
    if path == RESPONSES:
        hint = f' Or set wire = "openai-chat" in [providers.{endpoint.name}].{hint}'
    return ModelNotFound(
        f"No OpenAI-compatible endpoint answers at {endpoint.base_url}/{path}. "
        f"Check the base_url of {endpoint.name}.{hint}",
        status=status,
    )
