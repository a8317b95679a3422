"""What a mention sends along."""

from __future__ import annotations

from pathlib import Path

from agent.workspace import Workspace
from cli.attach import attach


def test_a_file_comes_with_its_lines_numbered(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\ny = 2\n")
    attached = attach(("a.py",), Workspace.at(tmp_path))
    assert len(attached.texts) == 1
    assert "a.py" in attached.texts[0]
    assert "1\tx = 1" in attached.texts[0]
    assert attached.notes == ("attached a.py",)


def test_fences_inside_a_file_do_not_end_it(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("```\ncode\n```\n")
    assert attach(("a.md",), Workspace.at(tmp_path)).texts[0].endswith("\n````")


def test_a_missing_file_is_a_clear_line_and_nothing_is_sent(tmp_path: Path) -> None:
    attached = attach(("gone.py",), Workspace.at(tmp_path))
    assert attached.texts == ()
    assert "gone.py does not exist" in attached.notes[0]


def test_an_image_goes_as_an_image(tmp_path: Path) -> None:
    (tmp_path / "dot.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 20)
    attached = attach(("dot.png",), Workspace.at(tmp_path))
    assert [image.media_type for image in attached.images] == ["image/png"]


def test_a_binary_file_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0\1\2" * 100)
    attached = attach(("a.bin",), Workspace.at(tmp_path))
    assert attached.texts == ()
    assert "binary" in attached.notes[0]


def test_a_folder_is_listed(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").touch()
    assert "a.py" in attach(("src",), Workspace.at(tmp_path)).texts[0]
