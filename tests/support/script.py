"""Scripted conversations for tests: the steps file, and the prefix that plays it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from providers.types import ModelRef


def script(
    folder: Path,
    *steps: dict[str, Any],
    name: str = "steps.json",
    tasks: Mapping[str, Sequence[dict[str, Any]]] | None = None,
) -> ModelRef:
    """Write the steps, and those of sub-agents by their prompt, and name the model that plays them."""
    path = folder / name
    own = [{"prompt": prompt, "steps": list(played)} for prompt, played in (tasks or {}).items()]
    path.write_text(json.dumps({"steps": list(steps), "tasks": own}), encoding="utf-8")
    return ModelRef("scripted", str(path))


def say(text: str, **usage: int) -> dict[str, Any]:
    """A step that answers with text."""
    return {"text": text, "usage": usage}


def use(*calls: tuple[str, dict[str, Any]], text: str = "", **usage: int) -> dict[str, Any]:
    """A step that wants tools run."""
    wanted = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return {"text": text, "tool_calls": wanted, "usage": usage}
