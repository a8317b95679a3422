"""Turns what AWS's SDK raises into the error a person reads, and finds what a refusal was about."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from providers.anthropic_thinking import refused
from providers.bedrock_messages import Encoded
from providers.bedrock_models import PLACES
from providers.counts import count, section
from providers.errors import (
    CachetError,
    ConfigurationError,
    KeyRefused,
    MissingKey,
    RequestRejected,
    ServerFault,
    StreamTruncated,
)
from providers.faults import http_fault, one_line, retry_after_seconds, unreachable
from providers.settings import NO_KEY_MODEL

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

STATUS_OF_CODE: Mapping[str, int] = {
    "throttling": 429,
    "modelnotready": 429,
    "servicequotaexceeded": 429,
    "validation": 400,
    "accessdenied": 403,
    "resourcenotfound": 404,
    "modeltimeout": 408,
    "internalserver": 500,
    "modelerror": 500,
    "modelstreamerror": 500,
    "serviceunavailable": 503,
}
"""What an exception stands for, by its name without `Exception`, in lower case: inside a stream there is no
status, and some of those outside say another (a model's own fault is a 424)."""

_OVERFLOW = re.compile(
    r"input tokens exceeded"  # Nova
    r"|input is too long"
    r"|exceeds? (?:the )?(?:maximum|max) (?:input )?(?:length|tokens? (?:limit|count))"
    r"|exceed context limit"  # Claude, the prompt together with the answer's limit
    r"|too many (?:input )?tokens in (?:the )?(?:prompt|request)",
    re.IGNORECASE,
)
_UNKNOWN_MODEL = re.compile(r"model identifier is invalid|model (?:version )?\S* ?(?:not|isn't) found", re.I)
_PLACE = re.compile(r"#/(toolConfig|system|messages)\b")
_EXPIRED = re.compile(r"expired|UnrecognizedClient|InvalidSignature|InvalidClientTokenId", re.IGNORECASE)

NO_CREDENTIALS = (
    "bedrock needs AWS credentials and found none. Run: aws configure. Or set AWS_PROFILE, or "
    f"AWS_BEARER_TOKEN_BEDROCK to a Bedrock key, or run: agent -m {NO_KEY_MODEL}"
)
NO_REGION = "bedrock needs a region and found none. Set AWS_REGION, or run: aws configure set region REGION"


def fault(provider: str, endpoint: str, error: Exception, *, begun: bool, secret: str | None) -> CachetError:
    """The error for one that the SDK or the connection raised. `begun`: in the middle of an answer."""
    from botocore import exceptions as aws
    from urllib3.exceptions import HTTPError

    match error:
        case aws.ClientError():
            return _refusal(provider, error, secret)
        case aws.NoRegionError():
            return ConfigurationError(NO_REGION)
        case aws.NoCredentialsError() | aws.NoAuthTokenError():
            return MissingKey(NO_CREDENTIALS)
        case (
            aws.PartialCredentialsError()
            | aws.CredentialRetrievalError()
            | aws.ProfileNotFound()
            | aws.SSOError()
            | aws.TokenRetrievalError()
            | aws.LoginError()
            | aws.ConfigParseError()
        ):
            said = " ".join(str(error).split()).rstrip(".")
            return ConfigurationError(
                f"AWS credentials cannot be used ({said}). Log in again (aws sso login), or set AWS_PROFILE"
            )
        case aws.HTTPClientError() | aws.ConnectionError() | HTTPError() | OSError() if begun:
            return StreamTruncated(
                f"The connection to {provider} broke in the middle of its answer "
                f"({str(error) or type(error).__name__}). Nothing of it was run; try again."
            )
        case aws.HTTPClientError() | aws.ConnectionError() | HTTPError() | OSError():
            return unreachable(provider, endpoint, error)
        case _ if begun:
            return ServerFault(f"{provider} sent something that is not its wire ({error}). Try again.")
        case _:
            said = " ".join(str(error).split()).rstrip(".")
            return RequestRejected(
                f"The request to {provider} could not be made ({said}). Check its settings."
            )


def said(error: ClientError) -> str:
    """The words of a refusal."""
    return str(section(error.response, "Error").get("Message") or "")


def _refusal(provider: str, error: ClientError, secret: str | None) -> CachetError:
    code = str(section(error.response, "Error").get("Code") or "")
    meta = section(error.response, "ResponseMetadata")
    headers = {str(name).lower(): str(value) for name, value in section(meta, "HTTPHeaders").items()}
    http = count(meta.get("HTTPStatusCode")) or 0
    status = STATUS_OF_CODE.get(code.lower().removesuffix("exception"), http)
    message = said(error)
    if status == 400 and _UNKNOWN_MODEL.search(message):
        status = 404
    if status in (401, 403):
        return _forbidden(provider, status, code, one_line(message, secret))
    if status in (0, 400) and _OVERFLOW.search(message):
        return http_fault(provider, 400, message, kind="context_length_exceeded")
    wait = retry_after_seconds(headers, now=time.time())
    if http >= 400:
        return http_fault(provider, status, message, kind=code, retry_after=wait, secret=secret)
    original = count(error.response.get("originalStatusCode")) or status or 500
    return http_fault(provider, 200, message, kind=str(original), secret=secret)


def _forbidden(provider: str, status: int, code: str, message: str) -> KeyRefused:
    cause = f"{status}: {message or code}"
    if _EXPIRED.search(f"{code} {message}"):
        return KeyRefused(
            f"{provider} refused the AWS credentials ({cause}). Log in again (aws sso login), "
            f"check AWS_PROFILE, or run: agent -m {NO_KEY_MODEL}",
            status=status,
        )
    return KeyRefused(
        f"{provider} does not allow this ({cause}). Ask for access to the model in the Bedrock console, or "
        "for the permission bedrock:InvokeModelWithResponseStream; others: agent models",
        status=status,
    )


def refused_parts(body: Encoded, status: int, message: str) -> frozenset[str]:
    """Which parts a refusal is about that the request can do without, named as in `request_body`."""
    if status != 400:
        return frozenset()
    points = _points(body)
    words = message.lower()
    if points and re.search(r"\bttl\b", words) and any("ttl" in point for point in points.values()):
        return frozenset({"ttl"})
    if points and ("cachepoint" in words or "cache point" in words or "prompt caching" in words):
        place = _PLACE.search(message)
        where = {"toolConfig": "tools"}.get(place[1], place[1]) if place else ""
        return frozenset(f"cachePoint.{each}" for each in ([where] if where in points else points))
    if "inferenceConfig" in body and re.search(r"max(?:imum)?[ _]?tokens.*(?:limit|exceed)", words):
        return frozenset({"maxTokens"})
    return _refused_thinking(body.get("additionalModelRequestFields", {}), status, message)


def _refused_thinking(fields: Encoded, status: int, message: str) -> frozenset[str]:
    if not fields:
        return frozenset()
    for name in ("reasoningConfig", "reasoning_effort"):
        if name in fields and re.search(r"reasoning|effort|additionalModelRequestFields", message, re.I):
            return frozenset({name})
    field = refused(fields, status, message)
    return frozenset({field}) if field else frozenset()


def _points(body: Encoded) -> dict[str, Encoded]:
    """A cache point of each place that has one."""
    blocks = {
        "tools": section(body, "toolConfig").get("tools", []),
        "system": body.get("system", []),
        "messages": [block for message in body["messages"] for block in message["content"]],
    }
    found = {
        place: next((block["cachePoint"] for block in blocks[place] if "cachePoint" in block), None)
        for place in PLACES
    }
    return {place: point for place, point in found.items() if point is not None}
