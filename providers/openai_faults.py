"""Reads the error objects of OpenAI's wires, whether they came as an HTTP answer or inside a stream."""

from __future__ import annotations

from dataclasses import dataclass

from providers.errors import ProviderError
from providers.faults import OVERFLOW_KINDS, STATUS_OF_KIND, http_fault
from providers.types import JSON, JSONObject, canonical

REQUESTS_OWN = frozenset(
    {"invalid_prompt", "bio_policy", "misalignment_policy_violation", "data_residency_mismatch"}
)
"""Why a response fails because of what was asked; asking again would not help. So do all codes of images."""


@dataclass(frozen=True, slots=True)
class WireError:
    """What an endpoint said of a failure. `kind` is its type or code, `param` the request field it names."""

    message: str
    kind: str = ""
    param: str = ""

    @classmethod
    def of(cls, body: JSON) -> WireError:
        """From an error object, a text, or an object that holds one under `error`, `message` or `detail`."""
        match body:
            case {"error": inner} if inner:
                return cls.of(inner)
            case {"message": str(message)}:
                return cls(message + _upstream(body), _kind(body), str(body.get("param") or ""))
            case {"detail": detail}:
                return cls(detail if isinstance(detail, str) else canonical(detail))
            case str(message):
                return cls(message)
            case None:
                return cls("")
            case _:
                return cls(canonical(body))

    def names(self, field: str) -> bool:
        """Whether the error is about the request's `field`, by its words."""
        return self.param.split(".")[0] == field or field in self.message


PRELUDE = frozenset({"response.created", "response.in_progress", "response.queued"})
"""Events of the Responses API that come before there is any output."""


def refusal(event: JSONObject) -> tuple[int, WireError] | None:
    """What an event under HTTP 200 refuses, with the status that it stands for; None where it is no error."""
    match event:
        case {"error": error} if error:
            said = WireError.of(error)
        case {"type": "error"}:
            said = WireError.of(event)
        case {"type": "response.failed", "response": {"error": error}} if error:
            said = WireError.of(error)
        case _:
            return None
    return STATUS_OF_KIND.get(said.kind, 400), said


def in_stream_fault(provider: str, body: JSON) -> ProviderError:
    """The error for one that came as an event under HTTP 200. Its real status may stand in its code."""
    error = WireError.of(body)
    asked_for = error.kind in REQUESTS_OWN or "image" in error.kind
    return http_fault(provider, 400 if asked_for else 200, error.message, kind=error.kind)


def _kind(error: dict[str, JSON]) -> str:
    """OpenAI tells most in `code`, llama.cpp in `type` beside a numeric code, OpenRouter in `code` alone."""
    said = [str(error[key]) for key in ("code", "type") if error.get(key) is not None]
    known = (kind for kind in said if kind in STATUS_OF_KIND or kind in OVERFLOW_KINDS)
    return next(known, said[0] if said else "")


def _upstream(error: dict[str, JSON]) -> str:
    """OpenRouter's own message is only "Provider returned error"; the provider's stands in `metadata.raw`."""
    match error.get("metadata"):
        case {"raw": str(raw)} if raw:
            return f": {raw}"
        case _:
            return ""
