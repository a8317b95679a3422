"""Takes typed values out of a configuration file's tables; errors name the file, the key and the cause."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from providers.errors import ConfigurationError


class Table:
    """One table while it is read: a value that was taken is gone, and `done` complains of what nobody took.

    Every taker gives None or nothing for an absent key; for a value of another type it raises
    ConfigurationError.
    """

    def __init__(self, values: Mapping[str, object], file: str, where: str = "") -> None:
        self._values = dict(values)
        self._known: list[str] = []
        self._file = file
        self._where = where

    def wrong(self, key: str, cause: str) -> ConfigurationError:
        """The error for a key's value."""
        return ConfigurationError(f"{self._file}: {self._where}{key}: {cause}.")

    def text(self, key: str) -> str | None:
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, f"want text, got {_shown(value)}")
        return value.strip()

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, f"want a list of texts, got {_shown(value)}")
        return tuple(value)

    def text_map(self, key: str) -> dict[str, str]:
        value = self._take(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise self.wrong(key, "want a table of texts")
        return value

    def choice(self, key: str, words: Sequence[str]) -> str | None:
        value = self._take(key)
        if value is None or value in words:
            return value if isinstance(value, str) else None
        raise self.wrong(key, f"want one of {', '.join(words)}, got {_shown(value)}")

    def truth(self, key: str) -> bool | None:
        value = self._take(key)
        if value is None or isinstance(value, bool):
            return value
        raise self.wrong(key, f"want true or false, got {_shown(value)}")

    def number(self, key: str) -> float | None:
        value = self._take(key)
        if value is None:
            return None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or value < 0
        ):
            raise self.wrong(key, f"want a number from 0 up, got {_shown(value)}")
        return float(value)

    def need_number(self, key: str) -> float:
        value = self.number(key)
        if value is None:
            raise self.wrong(key, "it is missing; want a number from 0 up")
        return value

    def table(self, key: str) -> Table | None:
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(key, f"want a table, got {_shown(value)}")
        return Table(value, self._file, f"{self._where}{key}.")

    def tables(self, key: str) -> Iterator[tuple[str, Table]]:
        """The tables inside the table `key`, by name."""
        outer = self.table(key)
        if outer is None:
            return
        for name in list(outer._values):
            inner = outer.table(name)
            if inner is not None:
                yield name, inner

    def done(self) -> None:
        """Raise ConfigurationError for a key that nobody took."""
        for key in self._values:
            raise self.wrong(key, f"no such key; known here: {', '.join(sorted(self._known))}")

    def _take(self, key: str) -> object:
        self._known.append(key)
        return self._values.pop(key, None)


def _shown(value: object) -> str:
    """The value as an error may show it: short, and no list or table that could hold a secret."""
    if isinstance(value, str | int | float | bool):
        text = repr(value)
        return text if len(text) <= 40 else f"{text[:39]}…"
    return f"a {type(value).__name__}"
