"""How the whole suite runs its properties: the same examples every time, and no clock."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("cachet", deadline=None, derandomize=True)
settings.load_profile("cachet")
