"""The errors a provider can raise.

CachetError                      one clear line: thing, cause, next step
├── ConfigurationError           the person's settings or arguments (exit code 2)
│   ├── MissingKey
│   └── UnknownModel
├── BudgetReached                the person's own limit (exit code 3)
└── ProviderError                a model call failed (exit code 4 when it could not be made, else 1)
    ├── KeyRefused               401, 403
    ├── ModelNotFound            404
    ├── RequestRejected          400, 413, 422
    │   └── ContextOverflow      the conversation is longer than the model's context window
    ├── Unreachable              no connection                        retryable
    ├── RateLimited              429                                  retryable
    ├── ServerFault              5xx, overloaded, an error mid-stream  retryable
    ├── Stalled                  the endpoint went silent             retryable
    └── StreamTruncated          the stream ended before its terminal marker  retryable
"""

from __future__ import annotations


class CachetError(Exception):
    """An error that is shown as its one line, without a traceback."""


class ConfigurationError(CachetError):
    """Settings or arguments that cannot work."""


class MissingKey(ConfigurationError):
    """A provider that needs a key has none."""


class UnknownModel(ConfigurationError):
    """A model or provider name that nothing answers to."""


class BudgetReached(CachetError):
    """A limit that the person set stands before the next model call."""


class ProviderError(CachetError):
    """A model call failed. `status` is the HTTP status where there was one."""

    retryable = False
    gist = "it failed"
    """What a person reads beside a countdown, where there was no status."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        """Seconds the provider asked us to wait, where it did."""

    @property
    def cause(self) -> str:
        """The cause in two or three words: the status, where there was one."""
        return str(self.status) if self.status else self.gist


class KeyRefused(ProviderError):
    """The endpoint refused the key."""


class ModelNotFound(ProviderError):
    """The endpoint does not have that model."""


class RequestRejected(ProviderError):
    """The endpoint will not take the request as it is."""


class ContextOverflow(RequestRejected):
    """The conversation no longer fits the model's context window; the session itself loses nothing."""


class Unreachable(ProviderError):
    """No connection to the endpoint."""

    retryable = True
    gist = "no connection"


class RateLimited(ProviderError):
    """The endpoint asks to wait."""

    retryable = True
    gist = "rate limit"


class ServerFault(ProviderError):
    """The endpoint failed."""

    retryable = True
    gist = "server fault"


class Stalled(ProviderError):
    """The endpoint went silent: it held the connection and sent no byte for longer than it was given."""

    retryable = True

    def __init__(self, message: str, *, seconds: float, begun: bool) -> None:
        super().__init__(message)
        self.gist = f"silent for {seconds:g} s"
        self.begun = begun
        """Whether bytes of the answer had come before."""


class StreamTruncated(ProviderError):
    """The stream ended before the provider said that the message was whole."""

    retryable = True
    gist = "broke off"
