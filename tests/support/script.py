"""Scripted conversations for tests: the steps file, and the prefix that plays it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from providers.types import ModelRef


def script(folder: Path, *steps: dict[str, Any], name: str = "steps.json") -> ModelRef:
    """Write the steps and name the model that plays them."""
    path = folder / name
    path.write_text(json.dumps({"steps": list(steps)}), encoding="utf-8")
    return ModelRef("scripted", str(path))


def say(text: str, **usage: int) -> dict[str, Any]:
    """A step that answers with text."""
    return {"text": text, "usage": usage}


def use(*calls: tuple[str, dict[str, Any]], text: str = "", **usage: int) -> dict[str, Any]:
    """A step that wants tools run."""
    wanted = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return {"text": text, "tool_calls": wanted, "usage": usage}
