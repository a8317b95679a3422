"""Tables at whatever width there is."""

from __future__ import annotations

import pytest

from cli.console import print_table


@pytest.mark.parametrize("gives_way", [0, 2])
def test_on_the_narrowest_terminal_no_number_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gives_way: int
) -> None:
    """Whether or not the column that gives way is one of those shown."""
    monkeypatch.setenv("COLUMNS", "12")
    rows = [("one", "123,456,789", "/a/b")]
    print_table(("name", "tokens", "folder"), rows, narrow=(0, 1), gives_way=gives_way)
    assert [line.split() for line in capsys.readouterr().out.splitlines()[::2]] == [
        ["name", "tokens"],
        ["one", "123,456,789"],
    ]
