"""How much context to ask Ollama to run a model with, once for all calls of a session.

A server runs a model with the context of whoever asked first, 4,096 tokens where nobody said. It loads it
anew, without its cache, for whoever wants another size (Ollama's FAQ, and `needsReload` in its scheduler).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST = 32_768
"""Tokens. Enough for an agent's work, and more of it takes memory from the model's own layers: one of eight
billion parameters keeps about 128 KB a token, so 4 GB of this. Who has more says so (`context_window`)."""

_OWN_SIZE = re.compile(r"^num_ctx\s+(\d+)\s*$", re.MULTILINE)
_HOSTED = re.compile(r"[:-]cloud$")


def is_hosted(model: str) -> bool:
    """Whether the server hands the model's calls on to Ollama's cloud, which runs it with all it has."""
    return _HOSTED.search(model) is not None


def size_to_ask(made: int | None, parameters: str, running: Iterable[int]) -> int | None:
    """The size to ask for, in tokens; None where nothing is known of the model.

    `made` is what the model was made for, `parameters` are those of its own file (its `num_ctx` is somebody's
    decision), `running` the sizes that the server has it loaded with: a larger one stays.
    """
    own = _OWN_SIZE.search(parameters)
    if own:
        return int(own[1]) or None
    if not made:
        return None
    return min(made, max(MOST, *running, 0))
