"""Reads a script, the JSON file that the scripted provider plays; `docs/scripted.md` describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from providers.counts import count
from providers.errors import ConfigurationError
from providers.types import JSON, JSONObject, ToolCall, Usage, canonical

COUNTS = tuple(each.name for each in fields(Usage))


@dataclass(frozen=True, slots=True)
class Failure:
    """How a step fails once its deltas are out. `times` tries fail before the step plays; None for all."""

    message: str
    status: int
    kind: str
    times: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One answer of the model. `pause` is in seconds, between deltas of `chunk` characters (0: one delta)."""

    text: str
    thinking: str
    tool_calls: tuple[ToolCall, ...]
    usage: JSONObject
    stop_reason: str
    failure: Failure | None
    pause: float
    chunk: int


@dataclass(frozen=True, slots=True)
class Script:
    """A conversation's answers in order, and those of its sub-agents."""

    steps: tuple[Step, ...]
    context_window: int | None = None
    tasks: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    """By the prompt with which a sub-agent's conversation begins."""

    def answers(self, prompt: str) -> tuple[Step, ...]:
        """The answers in the conversation that begins with this prompt."""
        return self.tasks.get(prompt, self.steps)


def read_script(path: Path) -> Script:
    """The script in a file. Raises ConfigurationError that names the file, and the step that is wrong."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"Cannot read the script {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise ConfigurationError(f"The script {path} is not JSON: {error}.") from error
    top = _Object(str(path), value)
    top.only("steps", "context_window", "tasks")
    window = top.number("context_window", 0)
    return Script(_steps(top), int(window) or None, dict(map(_task, top.objects("tasks"))))


def _task(task: _Object) -> tuple[str, tuple[Step, ...]]:
    task.only("prompt", "steps")
    return task.text("prompt", required=True), _steps(task)


def _steps(owner: _Object) -> tuple[Step, ...]:
    return tuple(_step(each, index) for index, each in enumerate(owner.objects("steps", required=True)))


def _step(step: _Object, index: int) -> Step:
    step.only("text", "thinking", "tool_calls", "usage", "stop_reason", "error", "pause_s", "chunk")
    wanted = step.objects("tool_calls")
    calls = tuple(_tool_call(each, index, position) for position, each in enumerate(wanted))
    return Step(
        text=step.text("text"),
        thinking=step.text("thinking"),
        tool_calls=calls,
        usage=_usage(step),
        stop_reason=step.text("stop_reason") or ("tool_use" if calls else "end_turn"),
        failure=_failure(step.object("error")) if "error" in step.value else None,
        pause=float(step.number("pause_s", 0)),
        chunk=int(step.number("chunk", 0)),
    )


def _tool_call(call: _Object, index: int, position: int) -> ToolCall:
    """Without an id of its own a call is named after its place, so that every run of a script is the same."""
    call.only("name", "arguments", "id")
    arguments = call.value.get("arguments", {})
    if not isinstance(arguments, dict | str):
        raise call.wrong("arguments", "an object, or its text as a string")
    raw = arguments if isinstance(arguments, str) else canonical(arguments)
    return ToolCall(call.text("id") or f"scripted_{index}_{position}", call.text("name", required=True), raw)


def _usage(step: _Object) -> JSONObject:
    """The usage as written; an answer without one is billed nothing. A failure without one tells nothing."""
    if "usage" not in step.value:
        return {} if "error" in step.value else dict.fromkeys(COUNTS, 0)
    usage = step.object("usage")
    usage.only(*COUNTS)
    for name, value in usage.value.items():
        if count(value) is None:
            raise usage.wrong(name, "a number of tokens")
    return usage.value


def _failure(error: _Object) -> Failure:
    error.only("status", "message", "kind", "times")
    return Failure(
        message=error.text("message", required=True),
        status=int(error.number("status", 500)),
        kind=error.text("kind"),
        times=int(error.number("times", 0)) or None,
    )


@dataclass(frozen=True, slots=True)
class _Object:
    """An object of the file, and where it stands there."""

    where: str
    value: JSONObject

    def __post_init__(self) -> None:
        if not isinstance(self.value, dict):
            raise ConfigurationError(f"{self.where}: want an object, have {_shown(self.value)}.")

    def only(self, *names: str) -> None:
        for name in self.value:
            if name not in names:
                raise ConfigurationError(f"{self.where}: no {name!r} here. There is: {', '.join(names)}.")

    def wrong(self, name: str, want: str) -> ConfigurationError:
        return ConfigurationError(f"{self.where}: {name} must be {want}, not {_shown(self.value.get(name))}.")

    def text(self, name: str, *, required: bool = False) -> str:
        value = self.value.get(name, "")
        if not isinstance(value, str) or (required and not value):
            raise self.wrong(name, "a string")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.value.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise self.wrong(name, "a number that is not negative")
        return value

    def object(self, name: str) -> _Object:
        return _Object(f"{self.where}, {name}", self.value[name])

    def objects(self, name: str, *, required: bool = False) -> tuple[_Object, ...]:
        value: JSON = self.value.get(name, None if required else [])
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        label = name.removesuffix("s").replace("_", " ")
        return tuple(_Object(f"{self.where}, {label} {index}", each) for index, each in enumerate(value, 1))


def _shown(value: JSON) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
