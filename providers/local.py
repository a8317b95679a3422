"""The embedded model: SmolLM2 on a llama.cpp engine in a child process, asked for completions.

It needs neither key nor network, and what it counts is real: with a prefix that is stable, call n+1 reports
`cached = prompt(n) + completion(n) - 1`, through tool steps and restarts too, because the KV cache holds
every token but the last one sampled, and an answer goes back as the tokens it was generated as.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from providers.call import Call, StreamedCall
from providers.counts import count
from providers.engine import Engine, EngineFailed, EngineSettings
from providers.errors import ModelNotFound, ProviderError, ServerFault, Unreachable
from providers.faults import http_fault
from providers.lines import event_data, json_object
from providers.local_answer import COMPUTED, LocalAnswer
from providers.local_encoder import ENCODER, encode, maker
from providers.openai_faults import WireError
from providers.provider import ModelInfo
from providers.settings import ProviderSettings
from providers.slots import SlotName, nearest, prune, saved_tokens
from providers.types import JSON, JSONObject, Request
from providers.weights import ENGINE_MISSING, engine_installed, find_weights

if TYPE_CHECKING:
    import httpx2

MODEL = "smollm2"
CONTEXT = 8192
"""Tokens: what the model was trained for."""

WEIGHTS_MISSING = "The embedded model's weights are not here. Run: agent models pull local/smollm2"


class EngineDown(Unreachable):
    """The engine does not start, and won't on a second try."""

    retryable = False


class EngineStopped(ServerFault):
    """The engine ended while it was needed."""


def installed(home: Path) -> bool:
    """Whether the embedded model can be run as things stand. Cheap: looks for files, imports nothing."""
    return engine_installed() and find_weights(home) is not None


def connect(name: str, settings: ProviderSettings, environ: Mapping[str, str], home: Path) -> LocalProvider:
    """The embedded model under `name`. No settings apply to it; nothing is started yet."""
    return LocalProvider(name, environ, home)


class LocalProvider:
    """One engine with one KV slot, which the sessions of this process share by turns."""

    def __init__(self, name: str, environ: Mapping[str, str], home: Path) -> None:
        self.name = name
        self.encoder = ENCODER
        self._environ = environ
        self._home = home
        self.engine: Engine | None = None
        """The engine that is running, if any; `prepare` and the first call start it."""
        self._starting = threading.Lock()
        self._turn = asyncio.Lock()
        self._slot: SlotName | None = None
        """Whose conversation the engine's slot holds."""

    def stream(self, request: Request) -> Call:
        prefix = request.prefix
        answer = LocalAnswer(maker(prefix.model.name), provider=self.name, tools=bool(prefix.tools))
        return StreamedCall(request, lambda: self._open(request), answer)

    async def prepare(self) -> None:
        """Start the engine. What goes wrong is told by the first call."""
        try:
            await asyncio.to_thread(self._running)
        except ProviderError:
            return

    async def context_window(self, model: str) -> int | None:
        return CONTEXT

    async def models(self) -> tuple[ModelInfo, ...]:
        if not engine_installed():
            return (ModelInfo(MODEL, CONTEXT, ENGINE_MISSING),)
        missing = find_weights(self._home) is None
        note = WEIGHTS_MISSING if missing else "runs on this machine, without a key; it cannot code"
        return (ModelInfo(MODEL, CONTEXT, note),)

    async def aclose(self) -> None:
        """Save the KV slot and stop the engine. A call that is still streaming ends with an error."""
        engine = await asyncio.to_thread(self._take_engine)
        if engine is None:
            return
        try:
            if engine.alive and not self._turn.locked():
                async with _client(engine) as client:
                    await self._save_slot(client)
        finally:
            self._slot = None
            await asyncio.to_thread(engine.stop)

    # --- the engine ----------------------------------------------------------------------------------------

    def _running(self) -> Engine:
        """The engine, started if it isn't there or is no more; blocks. Raises ProviderError."""
        import httpx2  # noqa: F401  the first call would import it on the event loop

        with self._starting:
            if self.engine is None or not self.engine.alive:
                self._slot = None
                self.engine = self._start()
            return self.engine

    def _start(self) -> Engine:
        weights, engine = find_weights(self._home), find_spec("xllamacpp")
        if engine is None or engine.origin is None:
            raise ModelNotFound(ENGINE_MISSING)
        if weights is None:
            raise ModelNotFound(WEIGHTS_MISSING)
        settings = EngineSettings(
            name=MODEL,
            weights=str(weights),
            template=Path(__file__).with_name("smollm2.jinja").read_text(encoding="utf-8"),
            context=CONTEXT,
            slots=str(self._slots),
            log=str(self._log),
            packages=str(Path(engine.origin).parent.parent),
        )
        try:
            for folder in (self._home, self._slots.parent, self._slots):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return Engine.start(settings, self._environ)
        except (EngineFailed, OSError) as error:
            raise EngineDown(
                f"The embedded engine does not start ({error}). Its log is {self._log}. "
                "Another model does without it: agent models"
            ) from error

    def _take_engine(self) -> Engine | None:
        with self._starting:
            engine, self.engine = self.engine, None
            return engine

    @property
    def _slots(self) -> Path:
        return self._home / "models" / "slots"

    @property
    def _log(self) -> Path:
        return self._home / "models" / "engine.log"

    # --- one call ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _open(self, request: Request) -> AsyncIterator[AsyncIterator[JSONObject]]:
        if request.prefix.model.name != MODEL:
            raise ModelNotFound(
                f"The embedded engine has no model {request.prefix.model.name!r}. Try {self.name}/{MODEL}"
            )
        async with self._turn:
            engine = await asyncio.to_thread(self._running)
            try:
                async with _client(engine) as client:
                    with self._told():
                        await self._bring_slot(client, SlotName.of(request.prefix))
                        response = await client.send(_post(client, request), stream=True)
                    try:
                        with self._told():
                            await _accepted(response, self.name)
                        yield self._events(client, response)
                    finally:
                        await response.aclose()
            except EngineStopped:
                # Its connections end a moment before its process does: the next try shall find it gone.
                await asyncio.to_thread(engine.stop)
                raise

    async def _events(
        self, client: httpx2.AsyncClient, response: httpx2.Response
    ) -> AsyncIterator[JSONObject]:
        """The chunks of an answer's event stream.

        A chunk comes when a character is whole and names only the last of its tokens. Where some were left
        out that way, the last chunk gets all of them, from the slot.
        """
        named = 0
        with self._told():
            async for data in event_data(response.aiter_raw()):
                event = json_object(data)
                if "prompt_progress" not in event:
                    named += len(event.get("tokens") or ())
                if event.get("stop") is True and named != event.get("tokens_predicted"):
                    event = {**event, COMPUTED: await self._computed(client, event)}
                yield event

    async def _computed(self, client: httpx2.AsyncClient, last: JSONObject) -> list[int]:
        """The tokens that the slot holds of the answer that ends with the chunk `last`; none if unknown."""
        held, prompt = count(last.get("tokens_cached")), count(last.get("tokens_evaluated"))
        if self._slot is None or held is None or prompt is None or not await self._save_slot(client):
            return []
        tokens = await asyncio.to_thread(saved_tokens, self._slots / self._slot.file)
        return list(tokens[prompt:]) if len(tokens) == held else []

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns a connection that broke into the error a person reads."""
        import httpx2

        try:
            yield
        except (httpx2.HTTPError, ValueError) as error:
            raise EngineStopped(
                f"The embedded engine stopped ({type(error).__name__}; its log is {self._log}). "
                "Nothing is lost: it starts again with the next try."
            ) from error

    # --- the KV slot ---------------------------------------------------------------------------------------

    async def _bring_slot(self, client: httpx2.AsyncClient, wanted: SlotName) -> None:
        """Put `wanted`'s saved tokens into the engine's slot, after saving what it holds now."""
        if self._slot == wanted:
            return
        await self._save_slot(client)
        self._slot = wanted
        file = nearest(self._slots, wanted)
        if file is None:
            return
        answer = await client.post("/slots/0?action=restore", json={"filename": file})
        if answer.status_code != 200:  # another engine's, or damaged: only time is lost
            (self._slots / file).unlink(missing_ok=True)

    async def _save_slot(self, client: httpx2.AsyncClient) -> bool:
        """Keep the slot's tokens for the session they belong to; whether that worked. If not, it costs only
        time, later on."""
        import httpx2

        if self._slot is None:
            return False
        try:
            answer = await client.post("/slots/0?action=save", json={"filename": self._slot.file})
        except httpx2.HTTPError:
            return False
        await asyncio.to_thread(prune, self._slots, self._slot)
        return answer.status_code == 200


def _client(engine: Engine) -> httpx2.AsyncClient:
    """A client for one call. Reading has no time limit: a long prompt on a busy machine takes minutes, and an
    engine that dies closes the connection."""
    import httpx2

    return httpx2.AsyncClient(
        base_url=engine.address,
        headers={"authorization": f"Bearer {engine.key}"},
        timeout=httpx2.Timeout(10, read=None),
        trust_env=False,  # a proxy has no business on loopback
        verify=False,  # plain HTTP: spares loading the system's certificates
    )


def _post(client: httpx2.AsyncClient, request: Request) -> httpx2.Request:
    body = json.dumps(encode(request), ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate is not UTF-8, and no session should be stuck on one.
    content, headers = body.encode("utf-8", "replace"), {"content-type": "application/json"}
    return client.build_request("POST", "/completion", content=content, headers=headers)


async def _accepted(response: httpx2.Response, name: str) -> None:
    """Raises ProviderError unless the engine took the request."""
    if response.status_code == 200:
        return
    body = await response.aread()
    try:
        said: JSON = json_object(body)
    except ValueError:
        said = body.decode(errors="replace")
    error = WireError.of(said)
    raise http_fault(name, response.status_code, error.message, kind=error.kind)
