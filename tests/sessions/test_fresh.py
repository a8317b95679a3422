"""What a new session begins with."""

from __future__ import annotations

from sessions.fresh import new_session_id


def test_sessions_that_begin_in_one_second_have_ids_of_their_own() -> None:
    assert len({new_session_id(0.0) for _ in range(1000)}) == 1000
