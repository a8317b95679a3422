"""Which model a session uses, and the one message where there is none."""

from __future__ import annotations

from collections.abc import Mapping

from cli.config import Config
from cli.failure import UsageProblem
from cli.place import Place
from providers import local, ollama
from providers.errors import ProviderError, UnknownModel
from providers.pricing import default_model
from providers.settings import KEY_VARIABLES, NO_KEY_MODEL, ProviderSettings, key_of
from providers.types import ModelRef

VARIABLE = "CACHET_MODEL"
EXAMPLE = "anthropic/claude-sonnet-5-5"
WAYS = (
    "Set a key, such as ANTHROPIC_API_KEY or OPENAI_API_KEY; or start Ollama and pull a model; "
    f"or fetch the small one that runs here: agent models pull {NO_KEY_MODEL}"
)
"""The three ways to get a model."""


class NoModel(UsageProblem):
    """Nothing says which model to use, and nothing is there to be used."""


async def choose(place: Place, config: Config, wish: str | None) -> ModelRef:
    """The model for a new session.

    In this order: `wish` (from `--model`), `CACHET_MODEL`, the configuration, the first provider whose key is
    in the environment or the configuration, a running Ollama's first model, the embedded one if it is
    installed.
    Raises NoModel, or UnknownModel for a name that is none.
    """
    for text, source in ((wish, "--model"), (place.environ.get(VARIABLE), VARIABLE)):
        if text and text.strip():
            return parse(text, source)
    return config.model or keyed(config, place.environ) or await without_key(place, config)


def parse(text: str, source: str) -> ModelRef:
    """The model a person named. Raises UnknownModel."""
    try:
        return ModelRef.parse(text)
    except ValueError as error:
        raise UnknownModel(
            f"{source} '{text.strip()}' is not PROVIDER/MODEL. Try {EXAMPLE}, or run: agent models"
        ) from error


def keyed(config: Config, environ: Mapping[str, str]) -> ModelRef | None:
    """The default model of the first provider that has a key."""
    for name in KEY_VARIABLES:
        settings = config.providers.get(name, ProviderSettings())
        model = default_model(name) if key_of(name, settings, environ) else None
        if model is not None:
            return ModelRef(name, model)
    return None


async def without_key(place: Place, config: Config) -> ModelRef:
    """A model that needs no key: a running Ollama's first one, else the embedded one. Raises NoModel."""
    if await ollama.reachable(place.environ) and (name := await _first_of_ollama(place, config)):
        return ModelRef("ollama", name)
    if local.installed(place.home):
        return ModelRef.parse(NO_KEY_MODEL)
    raise NoModel(f"No model to use. {WAYS}")


async def _first_of_ollama(place: Place, config: Config) -> str | None:
    """The first model that Ollama lists; None where it has none, or what listens there is not Ollama."""
    provider = place.provider("ollama", config)
    try:
        return next((model.name for model in await provider.models()), None)
    except ProviderError:
        return None
    finally:
        await provider.aclose()
