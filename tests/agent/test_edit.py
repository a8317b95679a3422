"""What the `edit` tool replaces, and how it helps where the text isn't there."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.tools.contract import BadArguments
from tests.support.bench import Bench

CODE = """\
def total(prices):
    result = 0
    for price in prices:
        result += price
    return result


def mean(prices):
    return total(prices) / len(prices)
"""


@pytest.fixture
async def code(bench: Bench) -> Path:
    path = bench.file("code.py", CODE)
    await bench.run("read", path="code.py")
    return path


async def test_the_exact_text_is_replaced(bench: Bench, code: Path) -> None:
    outcome = await bench.run("edit", path="code.py", old="result = 0", new="result = 0.0")
    assert code.read_text() == CODE.replace("result = 0", "result = 0.0")
    assert outcome.text == "Edited code.py (line 2; +1 -1)."
    assert "-    result = 0\n+    result = 0.0" in outcome.display


async def test_one_edit_follows_another_without_reading_again(bench: Bench, code: Path) -> None:
    await bench.run("edit", path="code.py", old="result = 0", new="result = 1")
    assert not (await bench.run("edit", path="code.py", old="result = 1", new="result = 2")).is_error


async def test_special_characters_are_plain_text(bench: Bench) -> None:
    path = bench.file("a.txt", r"a.*b \1 \n (x)")
    await bench.run("read", path="a.txt")
    await bench.run("edit", path="a.txt", old=r".*b \1", new=r"\g<0>\2 $1")
    assert path.read_text() == r"a\g<0>\2 $1 \n (x)"


async def test_text_that_occurs_twice_is_answered_with_its_lines(bench: Bench, code: Path) -> None:
    outcome = await bench.run("edit", path="code.py", old="prices):", new="values):")
    assert outcome.is_error
    assert "occurs 2 times" in outcome.text
    assert "1\tdef total(prices):\n8\tdef mean(prices):" in outcome.text
    assert code.read_text() == CODE


async def test_all_replaces_each(bench: Bench, code: Path) -> None:
    outcome = await bench.run("edit", path="code.py", old="prices", new="values", all=True)
    assert code.read_text() == CODE.replace("prices", "values")
    assert "5 places, from line 1" in outcome.text


async def test_a_slip_is_answered_with_the_nearest_text_and_its_lines(bench: Bench, code: Path) -> None:
    outcome = await bench.run(
        "edit", path="code.py", old="    for prise in prices:\n        result += prise", new="x"
    )
    assert "The nearest text is:\n3\t    for price in prices:\n4\t        result += price" in outcome.text


async def test_wrong_indentation_is_named_as_such(bench: Bench, code: Path) -> None:
    outcome = await bench.run(
        "edit", path="code.py", old="for price in prices:\n    result += price", new="x"
    )
    assert "Only the whitespace differs" in outcome.text
    assert "3\t    for price in prices:\n4\t        result += price" in outcome.text


async def test_copied_line_numbers_are_noticed(bench: Bench, code: Path) -> None:
    outcome = await bench.run(
        "edit", path="code.py", old="2\t    result = 0\n3\t    for price in prices:", new="x"
    )
    assert "Leave out the line numbers" in outcome.text


async def test_nothing_alike_says_to_read_again(bench: Bench, code: Path) -> None:
    assert "read the file again" in (await bench.run("edit", path="code.py", old="¿¿¿¿¿¿¿", new="x")).text


async def test_a_masked_secret_is_explained(bench: Bench, code: Path) -> None:
    outcome = await bench.run("edit", path="code.py", old="KEY = '[secret]'", new="x")
    assert "[secret] stands for a masked secret" in outcome.text


async def test_a_masked_secret_is_not_written(bench: Bench, code: Path) -> None:
    assert (await bench.run("edit", path="code.py", old="result = 0", new="k = '[secret]'")).is_error
    assert code.read_text() == CODE


async def test_a_file_nobody_read_is_not_edited(bench: Bench) -> None:
    bench.file("a.txt", "one")
    assert "read it first" in (await bench.run("edit", path="a.txt", old="one", new="two")).text


async def test_a_file_changed_since_is_read_again_first(bench: Bench, code: Path) -> None:
    code.write_text(CODE + "# more\n")
    assert "read it again" in (await bench.run("edit", path="code.py", old="result = 0", new="x")).text


async def test_a_missing_file_brings_near_names(bench: Bench, code: Path) -> None:
    assert "Did you mean code.py?" in (await bench.run("edit", path="cods.py", old="a", new="b")).text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a\r\nb\r\nc\r\n", b"a\r\nX\r\nY\r\nc\r\n"),
        (b"a\nb\nc\n", b"a\nX\nY\nc\n"),
        (b"\xef\xbb\xbfa\r\nb\r\nc", b"\xef\xbb\xbfa\r\nX\r\nY\r\nc"),
        ("é\nb\n".encode("cp1252"), "é\nX\nY\n".encode("cp1252")),
        (b"\x81\nb\n", b"\x81\nX\nY\n"),
        ("é\r\nb\r\n".encode("utf-16"), b"\xff\xfe" + "é\r\nX\r\nY\r\n".encode("utf-16-le")),
        (b"odd\nb\r\nend\r\n", b"odd\nX\r\nY\r\nend\r\n"),
    ],
)
async def test_encoding_mark_and_line_ends_stay(bench: Bench, before: bytes, after: bytes) -> None:
    path = bench.file("a.txt", before)
    await bench.run("read", path="a.txt")
    assert not (await bench.run("edit", path="a.txt", old="b", new="X\nY")).is_error
    assert path.read_bytes() == after


async def test_several_lines_match_across_crlf(bench: Bench) -> None:
    path = bench.file("a.txt", b"one\r\ntwo\r\nthree\r\n")
    await bench.run("read", path="a.txt")
    await bench.run("edit", path="a.txt", old="one\ntwo\n", new="1\n")
    assert path.read_bytes() == b"1\r\nthree\r\n"


async def test_a_character_the_encoding_lacks_is_refused_in_words(bench: Bench) -> None:
    path = bench.file("a.txt", "café".encode("cp1252"))
    await bench.run("read", path="a.txt")
    outcome = await bench.run("edit", path="a.txt", old="caf", new="日")
    assert "'日'" in outcome.text
    assert path.read_bytes() == "café".encode("cp1252")


async def test_a_binary_file_is_refused(bench: Bench) -> None:
    bench.file("a.bin", b"\0\1one")
    assert "is binary" in (await bench.run("edit", path="a.bin", old="one", new="two")).text


@pytest.mark.parametrize(("old", "new"), [("", "x"), ("same", "same")])
def test_a_change_of_nothing_is_refused(bench: Bench, old: str, new: str) -> None:
    with pytest.raises(BadArguments):
        bench.intend("edit", path="a", old=old, new=new)


def test_the_preview_is_the_diff_in_its_place(bench: Bench) -> None:
    bench.file("a.txt", "".join(f"{n}\n" for n in range(1, 101)))
    preview = bench.intend("edit", path="a.txt", old="50\n", new="fifty\n").preview
    assert preview == ("--- a.txt\n+++ a.txt\n@@ -47,7 +47,7 @@\n 47\n 48\n 49\n-50\n+fifty\n 51\n 52\n 53")
