"""Tables at whatever width there is."""

from __future__ import annotations

import pytest

from cli.console import print_table


def test_where_even_the_column_that_gives_way_is_left_out_the_others_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    print_table(("name", "tokens", "folder"), [("one", "123,456,789", "/a/b")], narrow=(0, 1), gives_way=2)
    shown = capsys.readouterr().out
    assert "folder" not in shown
    assert "name" in shown
