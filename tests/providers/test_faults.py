"""How an endpoint's refusal reads, and what it is taken for."""

from __future__ import annotations

import pytest

from providers.errors import (
    ContextOverflow,
    KeyRefused,
    ModelNotFound,
    ProviderError,
    RateLimited,
    RequestRejected,
    ServerFault,
)
from providers.faults import http_fault, retry_after_seconds, unreachable


@pytest.mark.parametrize(
    ("status", "kind", "error", "retryable"),
    [
        (400, "invalid_request_error", RequestRejected, False),
        (401, "authentication_error", KeyRefused, False),
        (402, "billing_error", KeyRefused, False),
        (403, "permission_error", KeyRefused, False),
        (404, "not_found_error", ModelNotFound, False),
        (408, "timeout_error", ServerFault, True),
        (409, "conflict_error", ServerFault, True),
        (413, "request_too_large", RequestRejected, False),
        (422, "", RequestRejected, False),
        (429, "rate_limit_error", RateLimited, True),
        (500, "api_error", ServerFault, True),
        (503, "", ServerFault, True),
        (529, "overloaded_error", ServerFault, True),
    ],
)
def test_a_status_becomes_the_error_that_says_what_to_do(
    status: int, kind: str, error: type[ProviderError], retryable: bool
) -> None:
    fault = http_fault("anthropic", status, "because", kind=kind)
    assert type(fault) is error
    assert fault.retryable is retryable
    assert fault.status == status
    assert "because" in str(fault)
    assert "\n" not in str(fault)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", ServerFault),
        ("rate_limit_error", RateLimited),
        ("authentication_error", KeyRefused),
        ("invalid_request_error", RequestRejected),
        ("502", ServerFault),
        ("429", RateLimited),
        ("something_new", ServerFault),
        ("", ServerFault),
    ],
)
def test_an_error_inside_a_stream_is_judged_by_its_type(kind: str, error: type[ProviderError]) -> None:
    assert type(http_fault("openrouter", 200, "because", kind=kind)) is error


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"),
        (400, "input length and `max_tokens` exceed context limit: 198000 + 16384 > 200000", ""),
        (
            400,
            "request (18010 tokens) exceeds the available context size (8192 tokens)",
            "exceed_context_size_error",
        ),
        (400, "something else entirely", "exceed_context_size_error"),
        (400, "This model's maximum context length is 128000 tokens. However, you requested …", ""),
        (400, "Your input exceeds the context window of this model.", "context_length_exceeded"),
        (400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens.", ""),
        (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", ""),
        (400, "Input is too long for requested model.", ""),
        (500, "the input length exceeds the context length", ""),
        (200, "boom", "context_length_exceeded"),
    ],
)
def test_a_conversation_that_no_longer_fits_is_told_from_other_refusals(
    status: int, message: str, kind: str
) -> None:
    fault = http_fault("anthropic", status, message, kind=kind)
    assert isinstance(fault, ContextOverflow)
    assert "/new" in str(fault)
    assert "/fork" in str(fault)
    assert "Nothing was lost" in str(fault)


def test_a_limit_of_tokens_per_minute_is_no_overflow() -> None:
    fault = http_fault("openai", 429, "Rate limit: input exceeds the context length budget per minute")
    assert isinstance(fault, RateLimited)


def test_an_empty_account_is_not_retried_though_it_comes_as_429() -> None:
    fault = http_fault("openai", 429, "You exceeded your current quota", kind="insufficient_quota")
    assert isinstance(fault, KeyRefused)
    assert not fault.retryable


def test_a_refused_key_names_its_variable_the_cause_and_the_way_out() -> None:
    assert str(http_fault("anthropic", 401, "invalid x-api-key")) == (
        "anthropic refused the key in ANTHROPIC_API_KEY (401: invalid x-api-key). "
        "Check it, or run: agent -m local/smollm2"
    )


def test_a_refused_key_of_an_endpoint_of_ones_own_names_its_place_in_the_configuration() -> None:
    assert "[providers.gateway] api_key" in str(http_fault("gateway", 401, "no"))


def test_a_key_that_the_endpoint_repeats_is_never_shown() -> None:
    fault = http_fault(
        "openai", 401, "Incorrect API key provided: sk-live-abcdef0123456789.", secret="hunter2"
    )
    assert "abcdef" not in str(fault)
    assert "hunter2" not in str(http_fault("g", 401, "bad key 'hunter2'", secret="hunter2"))


def test_a_long_or_many_lined_complaint_stays_one_short_line() -> None:
    fault = str(http_fault("anthropic", 500, "first\nsecond " + "x" * 5000))
    assert "first second" in fault
    assert len(fault) < 600
    assert "<html" not in str(http_fault("anthropic", 502, "<html><body>Bad Gateway</body></html>"))


def test_the_wait_that_was_asked_for_is_told_and_kept() -> None:
    fault = http_fault("anthropic", 429, "slow down", retry_after=17.0)
    assert fault.retry_after == 17.0
    assert "Wait 17 s" in str(fault)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "12"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:02:00 GMT"}, 20.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_retry_after_is_read_as_seconds_milliseconds_or_a_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds(headers, now=100.0) == seconds


def test_an_endpoint_that_cannot_be_reached_is_named_without_its_credentials() -> None:
    fault = unreachable("gateway", "https://me:secret@example.test/v1", OSError("refused"))
    assert "https://example.test/v1" in str(fault)
    assert "secret" not in str(fault)
    assert fault.retryable
