"""What `agent doctor` asks of the models: those of keys and addresses, of Ollama, and the embedded one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cli import figures
from cli.choose import VARIABLE, NoModel, choose
from cli.config import Config
from cli.config_view import masked
from cli.doctor_check import Findings, note, ok, problem
from cli.place import Place
from cli.reach import Offer, Reached, offer, settings_of, within_reach
from providers import ollama
from providers.errors import CachetError, ModelNotFound
from providers.settings import NO_KEY_MODEL, key_of, key_source
from providers.types import ModelRef
from providers.weights import ENGINE_MISSING, engine_installed, find_weights

SMALL_CONTEXT = 16_384
"""Tokens. Below it the context is full after a few files; Ollama's default was 4,096 for long."""

GGUF = b"GGUF"
"""What a file of weights begins with."""


async def model(place: Place, config: Config) -> Findings:
    """Which model is used when none is named."""
    try:
        chosen = await choose(place, config, None)
    except NoModel as error:
        return (problem("model", str(error)),)
    why = f" ({VARIABLE})" if place.environ.get(VARIABLE, "").strip() else ""
    if str(chosen) == NO_KEY_MODEL and not why and config.model is None:
        return (note("model", f"{chosen}, which cannot code.", "Set a key, such as ANTHROPIC_API_KEY."),)
    return (ok("model", f"{chosen}{why}, where none is named"),)


async def endpoints(place: Place, config: Config, seconds: float) -> Findings:
    """Every endpoint within reach, asked for its list of models."""
    reached = [one for one in await within_reach(place, config) if one.name not in ("local", "ollama")]
    found = await asyncio.gather(*(_endpoint(place, config, one, seconds) for one in reached))
    return tuple(finding for findings in found for finding in findings)


async def ollama_server(place: Place, config: Config, seconds: float) -> Findings:
    """Whether Ollama runs, what it has, and whether what is loaded has room for an agent's prompt."""
    wanted = "OLLAMA_HOST" in place.environ or "ollama" in config.providers
    own = settings_of("ollama", config).base_url
    if own is None and not await ollama.reachable(place.environ):
        where = f"nothing listens at OLLAMA_HOST={place.environ['OLLAMA_HOST']}" if wanted else ""
        if where:
            return (problem("ollama", f"{where}.", "Start it: ollama serve. Or unset OLLAMA_HOST."),)
        return (ok("ollama", "does not run; only needed for its own models"),)
    told = await offer(place, config, Reached("ollama"), seconds)
    if told is None or told.error is not None:
        return (problem("ollama", str(told.error) if told else "gave no answer."),)
    if not told.models:
        return (
            note("ollama", "runs, and has no model yet.", "Fetch one: agent models pull ollama/qwen3:8b"),
        )
    return (
        ok("ollama", f"runs, {figures.plural(len(told.models), 'model')}"),
        *await _small_contexts(place, config),
    )


def embedded(place: Place) -> Findings:
    """Whether the embedded model can run: the engine, the weights. Neither is loaded."""
    if not engine_installed():
        return (ok("embedded", f"not installed; not needed. {ENGINE_MISSING.partition('. ')[2]}"),)
    weights = find_weights(place.home)
    if weights is None:
        return (
            ok(
                "embedded",
                f"engine without weights; not needed. To fetch them: agent models pull {NO_KEY_MODEL}",
            ),
        )
    return weights_found(weights)


def weights_found(weights: Path) -> Findings:
    """Whether the file is what it should be, by its first bytes."""
    with weights.open("rb") as file:
        head = file.read(len(GGUF))
    if head != GGUF:
        return (
            problem(
                "embedded", f"{weights} is damaged.", f"Delete it, then: agent models pull {NO_KEY_MODEL}"
            ),
        )
    return (ok("embedded", f"{NO_KEY_MODEL}, engine and {weights.stat().st_size / 1e6:.0f} MB of weights"),)


async def _endpoint(place: Place, config: Config, reached: Reached, seconds: float) -> Findings:
    told = await offer(place, config, reached, seconds)
    if told is None:
        return ()
    key = _key(reached.name, place, config)
    if told.error is None:
        return (ok(reached.name, f"{_count(told)}, {key}"),)
    if isinstance(told.error, ModelNotFound):
        return (
            note(
                reached.name,
                f"has no list of models, so nothing tells whether it works ({key}). {told.error}",
            ),
        )
    return (problem(reached.name, f"{told.error} ({key})"),)


def _count(told: Offer) -> str:
    return figures.plural(len(told.models), "model") if told.models else "answers, has no model"


def _key(name: str, place: Place, config: Config) -> str:
    """Which key is used, masked, and where it comes from."""
    settings = settings_of(name, config)
    source = f"[providers.{name}]" if settings.api_key else key_source(name)
    try:
        key = key_of(name, settings, place.environ)
    except CachetError:
        return f"an unusable key from {source}"
    return f"key {masked(key)} from {source}" if key else "no key"


async def _small_contexts(place: Place, config: Config) -> Findings:
    """A line for each loaded model whose context an agent fills soon. The server alone decides on it."""
    provider = place.provider("ollama", config)
    try:
        loaded = await provider.loaded() if isinstance(provider, ollama.OllamaProvider) else ()
    finally:
        await provider.aclose()
    return tuple(
        note(
            "ollama",
            f"{ModelRef('ollama', each.name)} runs with a context of {each.context_window:,} tokens, "
            "which an agent soon fills.",
            "Start the server with more: OLLAMA_CONTEXT_LENGTH=32768 ollama serve",
        )
        for each in loaded
        if each.context_window and each.context_window < SMALL_CONTEXT
    )
