"""A provider on loopback that begins a story, and goes on with it when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from tests.support.asgi import PATIENCE
from tests.support.loopback import LoopbackServer, Recorded, Reply, json_reply, sse
from tests.support.openai_server import answer, usage
from tests.support.wires import KEY

MODEL = "openai/gpt-5.6"
BEGUN, WHOLE = "Once upo", "Once upon a time."


class Storyteller(LoopbackServer):
    """Tells `BEGUN` of its story, and the rest of `WHOLE` once `go_on` is set.

    To a prompt that ends in `look first` it wants a tool run before it begins.
    """

    def __init__(self) -> None:
        super().__init__(self._reply)
        self.begun = threading.Semaphore(0)
        """Released with each story that has begun."""
        self.go_on = threading.Event()

    @property
    def environ(self) -> dict[str, str]:
        """The variables a person sets to reach it."""
        return {"OPENAI_BASE_URL": f"{self.url}/v1", "OPENAI_API_KEY": KEY}

    def wait(self) -> None:
        """Return once a story has begun."""
        assert self.begun.acquire(timeout=PATIENCE)

    def _reply(self, request: Recorded) -> Reply:
        if request.method == "GET":
            return json_reply({"object": "list", "data": []})
        if str(request.json["messages"][-1]["content"]).endswith("look first"):
            return sse(*answer(calls=[("c1", "ls", {})], **usage(500, 10, 100)))
        return Reply(200, {"content-type": "text/event-stream"}, self._story())

    def _story(self) -> Iterator[bytes]:
        first, once, *rest = answer(WHOLE, **usage(1000, 20))
        yield (first + once).encode()
        self.begun.release()
        assert self.go_on.wait(PATIENCE)
        yield "".join(rest).encode()
