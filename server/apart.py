"""Which folders clients may be let into: none that holds what Cachet keeps of everybody."""

from __future__ import annotations

from pathlib import Path

from providers.errors import ConfigurationError


def check_apart(folder: Path, home: Path) -> None:
    """Refuse a folder that holds Cachet's own one, `home`, or lies in it. Raises ConfigurationError.

    A run may read all of its folder: there it would read the sessions of other keys, and the provider's.
    """
    real, own = folder.resolve(), home.resolve()
    if own.is_relative_to(real) or real.is_relative_to(own):
        raise ConfigurationError(
            f"Runs can't work in {folder}: Cachet's own folder {home} is there, with everybody's sessions. "
            "Choose a project's folder, or set CACHET_HOME to another place."
        )
