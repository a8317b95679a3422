"""The configuration: `~/.cachet/config.toml` and what a project may add to it, parsed strictly."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from agent.permissions import Mode
from cli.home import home_folder as home_folder
from cli.toml_table import Table
from cli.trust import Trust
from providers.effort import Effort
from providers.errors import ConfigurationError
from providers.pricing import Rates
from providers.settings import ProviderSettings
from providers.types import ModelRef

FILE = "config.toml"
PROJECT_FILE = Path(".cachet", FILE)
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
STRICTEST_FIRST = (Mode.PLAN, Mode.ASK, Mode.EDITS, Mode.AUTO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the configuration files come to; None or empty where they say nothing."""

    model: ModelRef | None = None
    effort: Effort | None = None
    cache_ttl: Literal["auto", "5m", "1h"] | None = None
    keep_warm: bool | None = None
    auto_compact: bool | None = None
    permission_mode: Mode | None = None
    allow_tools: frozenset[str] = frozenset()
    deny_tools: frozenset[str] = frozenset()
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    prices: Mapping[str, Rates] = field(default_factory=dict)
    """US dollars per million tokens, by model."""
    pass_env: tuple[str, ...] = ()
    """Variables that child processes get although they look like secrets."""
    key_variables: frozenset[str] = frozenset()
    """The variables that `api_key_env` names."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Keys and headers of all providers."""
        return tuple(
            secret
            for settings in self.providers.values()
            for secret in (settings.api_key, *settings.headers.values())
            if secret
        )


@dataclass(frozen=True, slots=True)
class Untrusted:
    """A project's configuration that the person has not judged yet: only what tightens is in force."""

    path: Path
    sha256: str
    asks_for: tuple[str, ...]
    """The keys that are not in force, each with its value; never a key's secret."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration in force, the files it came from, and what the person should know of them."""

    config: Config
    files: tuple[Path, ...]
    notices: tuple[str, ...] = ()
    untrusted: Untrusted | None = None


def load(home: Path, project: Path, environ: Mapping[str, str]) -> Loaded:
    """Read the person's configuration, then the project's as far as it is trusted.

    Raises ConfigurationError, which names the file, the key and the cause.
    """
    mine = home / FILE
    theirs = project / PROJECT_FILE
    config, files, notices = Config(), [], []
    if (data := _bytes(mine)) is not None:
        config = parse(data, mine, environ)
        files.append(mine)
        if config.secrets and mine.stat().st_mode & 0o077:
            notices.append(f"{mine} holds keys and others can read it. Run: chmod 600 {mine}")
    if theirs.resolve() == mine.resolve() or (data := _bytes(theirs)) is None:
        return Loaded(config, tuple(files), tuple(notices))
    added = parse(data, theirs, environ)
    sha256 = hashlib.sha256(data).hexdigest()
    judged = Trust(home).judged(theirs, sha256)
    if judged is True:
        return Loaded(_merged(config, added), (*files, theirs), tuple(notices))
    wants = _loosening(data, added, config)
    untrusted = Untrusted(theirs, sha256, wants) if wants and judged is None else None
    return Loaded(_tightened(config, added), (*files, theirs), tuple(notices), untrusted)


def parse(data: bytes, path: Path, environ: Mapping[str, str]) -> Config:
    """One file's configuration. `environ` answers its `api_key_env`. Raises ConfigurationError."""
    table = Table(_toml(data, path), str(path))
    variables: set[str] = set()
    config = Config(
        model=_model(table),
        effort=_effort(table),
        cache_ttl=_lifetime(table),
        keep_warm=table.truth("keep_warm"),
        auto_compact=table.truth("auto_compact"),
        permission_mode=_mode(table),
        allow_tools=frozenset(table.texts("allow_tools")),
        deny_tools=frozenset(table.texts("deny_tools")),
        providers={name: _provider(inner, environ, variables) for name, inner in table.tables("providers")},
        prices={name: _rates(inner) for name, inner in table.tables("prices")},
        pass_env=_pass_env(table),
        key_variables=frozenset(variables),
    )
    table.done()
    return config


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}. Fix or remove it.") from error


def _toml(data: bytes, path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: it is not UTF-8 text. Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: it is not TOML: {error}.") from error


def _model(table: Table) -> ModelRef | None:
    text = table.text("model")
    try:
        return ModelRef.parse(text) if text is not None else None
    except ValueError as error:
        raise table.wrong("model", f"'{text}' is not PROVIDER/MODEL, such as {_EXAMPLE}") from error


def _mode(table: Table) -> Mode | None:
    word = table.choice("permission_mode", tuple(Mode))
    return Mode(word) if word is not None else None


def _effort(table: Table) -> Effort | None:
    word = table.choice("effort", tuple(Effort))
    return Effort(word) if word is not None else None


def _lifetime(table: Table) -> Literal["auto", "5m", "1h"] | None:
    match table.choice("cache_ttl", ("auto", "5m", "1h")):
        case "auto":
            return "auto"
        case "5m":
            return "5m"
        case "1h":
            return "1h"
        case _:
            return None


def _provider(table: Table, environ: Mapping[str, str], variables: set[str]) -> ProviderSettings:
    """One provider's settings; the variable its key comes from is added to `variables`."""
    key, variable = table.text("api_key"), table.text("api_key_env")
    if key is not None and variable is not None:
        raise table.wrong("api_key_env", "api_key is set too; keep one of them")
    if variable is not None:
        variables.add(variable)
        key = environ.get(variable, "").strip() or None
    settings = ProviderSettings(
        base_url=table.text("base_url"),
        api_key=key,
        headers=table.text_map("headers"),
        quirks=frozenset(table.texts("quirks")),
        wire=table.text("wire") or "",
        context_window=_tokens(table, "context_window"),
        keep_alive=_keep_alive(table),
        stall_seconds=_seconds(table, "stall_seconds"),
    )
    table.done()
    return settings


def _seconds(table: Table, key: str) -> float | None:
    value = table.number(key)
    if value == 0:
        raise table.wrong(key, "want a number of seconds above 0, got 0")
    return value


def _tokens(table: Table, key: str) -> int | None:
    value = table.number(key)
    if value is not None and (value < 1 or value != int(value)):
        raise table.wrong(key, f"want a whole number of tokens, got {value:g}")
    return None if value is None else int(value)


def _keep_alive(table: Table) -> float | None:
    """Seconds, below 0 for ever; written as Ollama writes it."""
    text = table.text("keep_alive")
    if text is None:
        return None
    if text.startswith("-"):
        return -1.0
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise table.wrong("keep_alive", f"want a time such as 30m, 2h or -1 for ever, got '{text}'")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def _rates(table: Table) -> Rates:
    rates = Rates(
        input=table.need_number("input"),
        output=table.need_number("output"),
        cache_read=table.number("cache_read"),
        cache_write=table.number("cache_write"),
        cache_write_1h=table.number("cache_write_1h"),
    )
    table.done()
    return rates


def _pass_env(table: Table) -> tuple[str, ...]:
    names: tuple[str, ...] = ()
    inner = table.table("bash")
    if inner is not None:
        names = inner.texts("pass_env")
        inner.done()
    return names


def _merged(mine: Config, theirs: Config) -> Config:
    """Both, where they differ the project's; what either denies is denied."""
    return Config(
        model=theirs.model or mine.model,
        effort=theirs.effort or mine.effort,
        cache_ttl=theirs.cache_ttl or mine.cache_ttl,
        keep_warm=mine.keep_warm if theirs.keep_warm is None else theirs.keep_warm,
        auto_compact=mine.auto_compact if theirs.auto_compact is None else theirs.auto_compact,
        permission_mode=theirs.permission_mode or mine.permission_mode,
        allow_tools=mine.allow_tools | theirs.allow_tools,
        deny_tools=mine.deny_tools | theirs.deny_tools,
        providers={**mine.providers, **theirs.providers},
        prices={**mine.prices, **theirs.prices},
        pass_env=tuple(dict.fromkeys((*mine.pass_env, *theirs.pass_env))),
        key_variables=mine.key_variables | theirs.key_variables,
    )


def _tightened(mine: Config, theirs: Config) -> Config:
    """The person's own, with what the project forbids on top."""
    return replace(
        mine,
        permission_mode=_stricter(mine.permission_mode, theirs.permission_mode),
        deny_tools=mine.deny_tools | theirs.deny_tools,
    )


def _stricter(mine: Mode | None, theirs: Mode | None) -> Mode | None:
    if theirs is None:
        return mine
    chosen = min(mine or Mode.ASK, theirs, key=STRICTEST_FIRST.index)
    return mine if chosen is mine or (mine is None and chosen is Mode.ASK) else chosen


def _loosening(data: bytes, theirs: Config, mine: Config) -> tuple[str, ...]:
    """The project's keys that only trust would put in force, with their values where those are no secret."""
    shown: list[str] = []
    for key, value in tomllib.loads(data.decode()).items():
        match key:
            case "deny_tools":
                continue
            case "permission_mode" if _stricter(mine.permission_mode, theirs.permission_mode) == value:
                continue
            case "providers":
                shown += [f"providers.{name}{_at(settings)}" for name, settings in theirs.providers.items()]
            case "prices":
                shown += [f"prices of {name}" for name in theirs.prices]
            case "bash":
                shown.append(f"bash.pass_env = {', '.join(theirs.pass_env)}")
            case _:
                shown.append(f"{key} = {', '.join(value) if isinstance(value, list) else value}")
    return tuple(shown)


def _at(settings: ProviderSettings) -> str:
    return f" at {settings.base_url}" if settings.base_url else ""


_EXAMPLE = "anthropic/claude-sonnet-5-5"
