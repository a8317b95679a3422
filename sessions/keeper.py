"""Keeps a session's files: captures beside the turn, snapshots at its end, rewinds."""

from __future__ import annotations
