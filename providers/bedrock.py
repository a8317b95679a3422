"""Amazon Bedrock's Converse API, through AWS's own SDK with a person's own AWS settings.

Credentials, profiles, single sign-on, `AWS_BEARER_TOKEN_BEDROCK` and the rest are found as every program of
AWS's finds them; `AWS_REGION` is read too, which that SDK does not do by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import aclosing, asynccontextmanager, closing, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from providers.bedrock_answer import ConverseAnswer, in_base64
from providers.bedrock_faults import fault, refused_parts, said
from providers.bedrock_messages import ENCODER, WIRE, request_body, sdk_arguments
from providers.bedrock_usage import bedrock_usage
from providers.call import Call, StreamedCall
from providers.call_ids import taken_ids
from providers.departure import sent
from providers.endpoint import is_loopback, without_credentials
from providers.errors import ConfigurationError, ProviderError
from providers.faults import stalled
from providers.pricing import context_window
from providers.provider import ModelInfo
from providers.settings import ProviderSettings, key_of
from providers.silence import LONGEST, Patience, attentive, awaited, patience_for
from providers.threads import ReadAhead, aside
from providers.types import JSONObject, ModelRef, Origin, Request

__all__ = ["Bedrock", "bedrock_usage", "connect"]

ENDPOINT = "https://bedrock-runtime.amazonaws.com"
"""What stands for AWS in the origin of a block, whatever the region: profiles move requests between them."""
BEARER_TOKEN = "AWS_BEARER_TOKEN_BEDROCK"
"""The variable that holds a key of Bedrock's own. We send it, so that it can be masked in what comes back."""
SOME_REGION = "us-east-1"
"""For an endpoint of a person's own that has no region."""
CONNECT_SECONDS = 10.0
DRAIN_SECONDS = 1.0
"""How long to wait for the end of a body after its last event, to keep the connection for the next call."""
SDK_MISSING = "Bedrock's SDK is not installed. Run: pip install 'cachet-agent[bedrock]'"

Client = Any
"""One of boto3's clients, which it makes at run time."""
Answered = TypeVar("Answered")


def connect(name: str, settings: ProviderSettings, environ: Mapping[str, str], home: Path) -> Bedrock:
    """The provider for Bedrock, or for an endpoint that speaks its wire. Raises ConfigurationError."""
    if find_spec("boto3") is None:
        raise ConfigurationError(SDK_MISSING)
    url = without_credentials(name, settings.base_url or "").rstrip("/")
    if url and not (url.startswith(("http://", "https://")) and urlsplit(url).hostname):
        raise ConfigurationError(
            f"The base_url of {name} is not a web address: {url!r}. It begins with http:// or https://"
        )
    region = environ.get("AWS_REGION", "") or environ.get("AWS_DEFAULT_REGION", "")
    return Bedrock(
        name,
        url,
        region=region.strip(),
        token=key_of(name, settings, environ) or environ.get(BEARER_TOKEN, "").strip() or None,
        headers=settings.headers,
        stall_seconds=settings.stall_seconds,
    )


class Bedrock:
    """A connection to Bedrock. It remembers what each model refused of a request."""

    encoder = ENCODER

    def __init__(
        self,
        name: str,
        url: str,
        *,
        region: str = "",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        stall_seconds: float | None = None,
    ) -> None:
        self.name = name
        self._url = url
        self._region = region
        self._token = token
        self._headers = dict(headers or {})
        self._stall_seconds = stall_seconds
        self._clients: dict[str, Client] = {}
        self._making = threading.Lock()
        self._left_out: dict[str, frozenset[str]] = {}

    def stream(self, request: Request) -> Call:
        answer = ConverseAnswer(
            Origin(WIRE, self._endpoint, request.prefix.model.name), taken=taken_ids(request)
        )
        return StreamedCall(request, partial(self._exchange, request, answer), answer)

    async def prepare(self) -> None:
        """Import the SDK and make its client. What goes wrong is told by the first call."""
        with suppress(ProviderError, ConfigurationError):
            await self._calling(lambda: self._client("bedrock-runtime"))

    async def context_window(self, model: str) -> int | None:
        return await asyncio.to_thread(context_window, ModelRef(WIRE, model))

    async def models(self) -> tuple[ModelInfo, ...]:
        """Models that answer on demand, then the inference profiles, which newer ones are called by."""
        return await self._calling(self._listed)

    async def aclose(self) -> None:
        with self._making:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    # --- one call ------------------------------------------------------------------------------------------

    @property
    def _endpoint(self) -> str:
        return self._url or ENDPOINT

    @asynccontextmanager
    async def _exchange(
        self, request: Request, answer: ConverseAnswer
    ) -> AsyncGenerator[AsyncIterator[JSONObject]]:
        """Send a request; the events of the answer. Raises ProviderError, also while they are read."""
        patience = patience_for(
            self._stall_seconds,
            factor=request.patience,
            loads=is_loopback(self._endpoint),
            unseen_thinking=True,  # nothing on this wire says that the model is still at work
        )
        await self._calling(lambda: self._client("bedrock-runtime"))  # the SDK's import is no silence
        async with awaited(patience.first, self._silent):
            stream = await self._send(request)
        body = stream._raw_stream  # the SDK has no way to stop a read that is under way; its transport does
        async with (
            aclosing(ReadAhead(_events(stream), partial(_stop, body))) as read,
            aclosing(self._answered(read, answer, patience)) as events,
        ):
            yield events

    async def _send(self, request: Request) -> Any:
        """The SDK's event stream. A refused part that the request can do without costs one more request."""
        from botocore.exceptions import ClientError

        model = request.prefix.model.name
        while True:
            left_out = self._left_out.get(model, frozenset())
            body = request_body(request, self._endpoint, left_out)
            sent()  # from here on nobody can tell
            try:
                return await aside(partial(self._opened, sdk_arguments(body)), lambda stream: stream.close())
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                parts = refused_parts(body, status, said(error)) - left_out
                if not parts:
                    raise self._fault(error) from error
                self._left_out[model] = left_out | parts
            except Exception as error:  # the SDK's and its transport's errors have no common ancestor
                raise self._fault(error) from error

    def _opened(self, arguments: dict[str, Any]) -> Any:
        return self._client("bedrock-runtime").converse_stream(**arguments)["stream"]

    async def _answered(
        self, read: ReadAhead[JSONObject], answer: ConverseAnswer, patience: Patience
    ) -> AsyncGenerator[JSONObject]:
        try:
            async for event in attentive(read, patience, self._silent):
                yield event
                if "metadata" in event:
                    break
            await _drain(read)
        except ProviderError:
            if answer.stop_reason is None:
                raise
        except Exception as error:  # as above; the reader hands on whatever ended it
            if answer.stop_reason is None:
                raise self._fault(error, begun=True) from error

    def _silent(self, seconds: float, *, begun: bool = False) -> ProviderError:
        return stalled(self.name, seconds, begun=begun)

    def _fault(self, error: Exception, *, begun: bool = False) -> Exception:
        return fault(self.name, self._endpoint, error, begun=begun, secret=self._token)

    # --- the SDK -------------------------------------------------------------------------------------------

    async def _calling(self, work: Callable[[], Answered]) -> Answered:
        """What `work` returns, done in a thread. Raises ProviderError and ConfigurationError."""
        try:
            return await aside(work, lambda value: None)
        except Exception as error:  # as in `_send`
            raise self._fault(error) from error

    def _client(self, service: str) -> Client:
        """The client of one of AWS's services, made once. Blocks: the SDK's import takes a while."""
        with self._making:
            if service not in self._clients:
                self._clients[service] = self._make_client(service)
            return self._clients[service]

    def _make_client(self, service: str) -> Client:
        import boto3
        import botocore
        from botocore.config import Config

        session = boto3.Session(region_name=self._region or None)
        loopback = is_loopback(self._endpoint)
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=LONGEST,  # silence is noticed by ourselves; this ends what was given up
            retries={"total_max_attempts": 1},  # the loop retries, and books every try
            proxies={} if loopback else None,  # a proxy has no business on this machine
            **({"signature_version": botocore.UNSIGNED} if self._token else {}),
        )
        client = session.client(
            service,
            region_name=session.region_name or (SOME_REGION if self._url else None),
            endpoint_url=self._url_of(service),
            config=config,
        )
        headers = {**self._headers, **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        if headers:
            client.meta.events.register("before-call", partial(_add_headers, headers))
        return client

    def _url_of(self, service: str) -> str | None:
        """Where a service is, if at an address of a person's own; AWS has the list of models elsewhere."""
        parts = urlsplit(self._url)
        if not self._url or service == "bedrock-runtime":
            return self._url or None
        return parts._replace(netloc=parts.netloc.replace("bedrock-runtime", "bedrock")).geturl()

    def _listed(self) -> tuple[ModelInfo, ...]:
        client = self._client("bedrock")
        offered = {
            model["modelId"]: model
            for model in client.list_foundation_models(byOutputModality="TEXT")["modelSummaries"]
            if model.get("responseStreamingSupported")
            and model.get("modelLifecycle", {}).get("status", "ACTIVE") == "ACTIVE"
        }
        models = {
            name: model.get("modelName", "")
            for name, model in offered.items()
            if "ON_DEMAND" in model.get("inferenceTypesSupported", ("ON_DEMAND",))
        }
        for page in client.get_paginator("list_inference_profiles").paginate():
            for profile in page["inferenceProfileSummaries"]:
                behind = {str(model.get("modelArn", "")).rpartition("/")[2] for model in profile["models"]}
                if behind & offered.keys():
                    own = profile.get("type") == "APPLICATION"
                    name = profile["inferenceProfileArn" if own else "inferenceProfileId"]
                    models[name] = profile.get("inferenceProfileName", "")
        return tuple(
            ModelInfo(name, context_window(ModelRef(WIRE, name)), note) for name, note in models.items()
        )


def _add_headers(headers: Mapping[str, str], params: dict[str, Any], **_: object) -> None:
    params["headers"].update(headers)


def _events(stream: Any) -> Generator[JSONObject]:
    with closing(stream):
        for event in stream:
            yield in_base64(event)


def _stop(body: Any) -> None:
    """Make a read of this body, under way in another thread, return at once."""
    with suppress(RuntimeError, ValueError, OSError):  # it is at its end, or closed already
        body.shutdown()


async def _drain(read: ReadAhead[JSONObject]) -> None:
    """Read to the end of a body whose last event came, so that its connection can serve the next call."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in read:
                pass
