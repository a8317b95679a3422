"""What the `write` tool makes, keeps and refuses."""

from __future__ import annotations

import os
import stat

import pytest

from agent.tools.contract import BadArguments
from tests.support.bench import Bench


async def test_a_new_file_is_made_with_its_folders(bench: Bench) -> None:
    outcome = await bench.run("write", path="new/deep/a.py", content="x = 1\n")
    assert (bench.project / "new/deep/a.py").read_text() == "x = 1\n"
    assert outcome.display == "Created new/deep/a.py +1 -0"


async def test_a_file_nobody_read_is_not_replaced(bench: Bench) -> None:
    path = bench.file("a.txt", "precious")
    outcome = await bench.run("write", path="a.txt", content="gone")
    assert outcome.is_error
    assert "read it first" in outcome.text
    assert path.read_text() == "precious"


async def test_a_file_that_was_read_is_replaced(bench: Bench) -> None:
    path = bench.file("a.txt", "one\ntwo\n")
    await bench.run("read", path="a.txt")
    outcome = await bench.run("write", path="a.txt", content="one\nthree\nfour\n")
    assert path.read_text() == "one\nthree\nfour\n"
    assert outcome.text == "Replaced a.txt (+2 -1 lines)."


async def test_what_it_wrote_it_may_write_again(bench: Bench) -> None:
    await bench.run("write", path="a.txt", content="1")
    assert not (await bench.run("write", path="a.txt", content="2")).is_error


async def test_a_file_changed_since_it_was_read_is_not_replaced(bench: Bench) -> None:
    path = bench.file("a.txt", "one")
    await bench.run("read", path="a.txt")
    path.write_text("someone else's work")
    outcome = await bench.run("write", path="a.txt", content="two")
    assert "has changed on disk" in outcome.text
    assert path.read_text() == "someone else's work"


async def test_the_mode_stays(bench: Bench) -> None:
    path = bench.file("run.sh", "#!/bin/sh\n")
    path.chmod(0o751)
    await bench.run("read", path="run.sh")
    await bench.run("write", path="run.sh", content="#!/bin/sh\ntrue\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o751


async def test_a_new_file_has_the_usual_mode(bench: Bench) -> None:
    await bench.run("write", path="a.txt", content="")
    beside = bench.file("b.txt", "")
    assert (bench.project / "a.txt").stat().st_mode == beside.stat().st_mode


async def test_a_symlink_stays_one(bench: Bench) -> None:
    target = bench.file("real.txt", "old")
    (bench.project / "link.txt").symlink_to("real.txt")
    await bench.run("read", path="link.txt")
    await bench.run("write", path="link.txt", content="new")
    assert (bench.project / "link.txt").is_symlink()
    assert target.read_text() == "new"


async def test_nothing_is_left_beside_the_file(bench: Bench) -> None:
    await bench.run("write", path="a.txt", content="1")
    await bench.run("write", path="a.txt", content="2")
    assert os.listdir(bench.project) == ["a.txt"]


async def test_encoding_and_line_ends_stay(bench: Bench) -> None:
    path = bench.file("a.txt", "café\r\nbar\r\n".encode("cp1252"))
    await bench.run("read", path="a.txt")
    outcome = await bench.run("write", path="a.txt", content="café\nnaïve\n")
    assert path.read_bytes() == "café\r\nnaïve\r\n".encode("cp1252")
    assert "kept windows-1252, CRLF line ends" in outcome.text


async def test_a_text_the_old_encoding_lacks_becomes_utf8_and_says_so(bench: Bench) -> None:
    path = bench.file("a.txt", "café".encode("cp1252"))
    await bench.run("read", path="a.txt")
    assert "now UTF-8" in (await bench.run("write", path="a.txt", content="日本")).text
    assert path.read_text(encoding="utf-8") == "日本"


async def test_a_masked_secret_is_not_written_over_the_real_one(bench: Bench) -> None:
    path = bench.file(".env", "KEY=abc\n")
    await bench.run("read", path=".env")
    outcome = await bench.run("write", path=".env", content="KEY=[secret]\nMORE=1\n")
    assert outcome.is_error
    assert path.read_text() == "KEY=abc\n"


async def test_a_file_made_read_only_is_respected(bench: Bench) -> None:
    path = bench.file("a.txt", "locked")
    path.chmod(0o444)
    if os.access(path, os.W_OK):
        pytest.skip("this user may write anything")
    await bench.run("read", path="a.txt")
    assert (await bench.run("write", path="a.txt", content="x")).is_error


async def test_a_lone_surrogate_is_refused_in_words(bench: Bench) -> None:
    outcome = await bench.run("write", path="a.txt", content="\ud800")
    assert outcome.is_error
    assert not (bench.project / "a.txt").exists()


def test_a_folder_is_no_file(bench: Bench) -> None:
    (bench.project / "src").mkdir()
    with pytest.raises(BadArguments, match="src is a folder"):
        bench.intend("write", path="src", content="")


async def test_a_file_in_the_way_of_a_folder_is_told(bench: Bench) -> None:
    bench.file("a", "")
    outcome = await bench.run("write", path="a/b.txt", content="x")
    assert outcome.is_error
    assert "a/b.txt can't be written" in outcome.text


def test_the_preview_is_the_diff(bench: Bench) -> None:
    bench.file("a.txt", "one\ntwo\nthree\n")
    intent = bench.intend("write", path="a.txt", content="one\n2\nthree\n")
    assert intent.access == "write"
    assert intent.summary == "replace a.txt"
    assert intent.preview == "--- a.txt\n+++ a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three"


def test_a_preview_hides_nothing(bench: Bench) -> None:
    assert "+\\x1b[8mhidden\\u202e" in bench.intend("write", path="a", content="\x1b[8mhidden\u202e").preview
