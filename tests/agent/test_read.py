"""What the `read` tool shows of a file, whatever is in it."""

from __future__ import annotations

import base64
import os

import pytest

from agent.tools.contract import BadArguments, Outcome
from tests.support.bench import Bench

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


async def test_lines_come_with_their_numbers(bench: Bench) -> None:
    bench.file("a.py", "def a():\n    return 1\n")
    assert (await bench.run("read", path="a.py")).text == "1\tdef a():\n2\t    return 1"


async def test_a_part_says_how_to_go_on(bench: Bench) -> None:
    bench.file("a.txt", "".join(f"line {n}\n" for n in range(1, 11)))
    outcome = await bench.run("read", path="a.txt", offset=3, limit=2)
    assert outcome.text == "3\tline 3\n4\tline 4\n[lines 3-4 of 10; more with offset=5]"


async def test_the_last_part_says_nothing_more(bench: Bench) -> None:
    bench.file("a.txt", "1\n2\n3")
    assert (await bench.run("read", path="a.txt", offset=3)).text == "3\t3"


async def test_an_offset_past_the_end_is_told(bench: Bench) -> None:
    bench.file("a.txt", "1\n2\n")
    outcome = await bench.run("read", path="a.txt", offset=9)
    assert outcome.is_error
    assert "has 2 lines" in outcome.text


async def test_an_empty_file_is_called_empty(bench: Bench) -> None:
    bench.file("a.txt", "")
    assert (await bench.run("read", path="a.txt")).text == "(empty file)"


async def test_a_long_file_stops_at_two_thousand_lines(bench: Bench) -> None:
    bench.file("a.txt", "x\n" * 2500)
    assert (await bench.run("read", path="a.txt")).text.endswith(
        "[lines 1-2000 of 2500; more with offset=2001]"
    )


async def test_wide_lines_stop_at_the_byte_budget(bench: Bench) -> None:
    bench.file("a.txt", ("y" * 1000 + "\n") * 500)
    text = (await bench.run("read", path="a.txt")).text
    assert len(text) < 110_000
    assert "of 500; more with offset=" in text


async def test_one_endless_line_is_cut(bench: Bench) -> None:
    bench.file("a.json", "z" * 50_000)
    assert (await bench.run("read", path="a.json")).text == f"1\t{'z' * 2000}… [line cut: 50,000 characters]"


async def test_a_part_deep_in_a_large_file_is_found(bench: Bench) -> None:
    bench.file("large.log", b"".join(b"%09d\n" % line for line in range(1, 1_200_001)))
    outcome = await bench.run("read", path="large.log", offset=1_100_000, limit=1)
    assert outcome.text == "1100000\t001100000\n[lines 1100000-1100000; more with offset=1100001]"


async def test_a_file_larger_than_memory_is_not_loaded(bench: Bench) -> None:
    path = bench.file("huge.log", ("text " * 20 + "\n") * 100)
    os.truncate(path, 1 << 40)
    assert (await bench.run("read", path="huge.log", offset=2, limit=1)).text.startswith("2\ttext text")


async def test_a_huge_single_line_is_cut_too(bench: Bench) -> None:
    bench.file("huge.json", b"q" * 12_000_000)
    assert "[line cut: 12,000,000 characters]" in (await bench.run("read", path="huge.json")).text


async def test_a_binary_file_is_refused_in_one_line_with_its_size(bench: Bench) -> None:
    bench.file("a.bin", b"\x7fELF\0\0" + bytes(1000))
    outcome = await bench.run("read", path="a.bin")
    assert outcome.is_error
    assert "a.bin is binary (1,006 bytes)" in outcome.text
    assert "\n" not in outcome.text


async def test_an_image_comes_as_an_image(bench: Bench) -> None:
    bench.file("dot.png", PNG)
    outcome = await bench.run("read", path="dot.png")
    assert [(image.media_type, base64.b64decode(image.data)) for image in outcome.images] == [
        ("image/png", PNG)
    ]


async def test_an_image_too_large_is_refused(bench: Bench) -> None:
    bench.file("big.png", PNG + bytes(5_000_000))
    outcome = await bench.run("read", path="big.png")
    assert outcome.is_error
    assert not outcome.images


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("é\n".encode("latin-1"), "1\té\n[windows-1252]"),
        ("naïve €".encode("cp1252"), "1\tnaïve €\n[windows-1252]"),
        (b"\x81\xe9", "1\t\\x81é\n[latin-1]"),
        ("hé\n".encode("utf-16"), "1\thé\n[utf-16-le]"),
        (b"\xef\xbb\xbfhi", "1\thi\n[UTF-8 with a byte order mark]"),
        (b"a\r\nb\r\n", "1\ta\n2\tb\n[CRLF line ends]"),
        (b"a\r\nb\n", "1\ta\n2\tb\n[some CRLF line ends]"),
        (b"a\x1b[31mred", "1\ta\\x1b[31mred"),
    ],
)
async def test_other_encodings_are_shown_and_named(bench: Bench, data: bytes, shown: str) -> None:
    bench.file("a.txt", data)
    assert (await bench.run("read", path="a.txt")).text == shown


async def test_a_missing_file_brings_near_names(bench: Bench) -> None:
    bench.file("src/README.md", "")
    bench.file("src/parser.py", "")
    assert "Did you mean src/parser.py?" in (await bench.run("read", path="src/parsre.py")).text
    assert "Did you mean src/README.md?" in (await bench.run("read", path="src/readme.md")).text
    assert "Did you mean src/parser.py?" in (await bench.run("read", path="lib/parser.py")).text


async def test_a_folder_points_to_ls(bench: Bench) -> None:
    assert "use ls" in (await bench.run("read", path=".")).text


async def test_a_pipe_does_not_hang_it(bench: Bench) -> None:
    os.mkfifo(bench.project / "pipe")
    assert "not a regular file" in (await bench.run("read", path="pipe")).text


async def test_reading_is_remembered(bench: Bench) -> None:
    path = bench.file("a.txt", "1\n")
    assert not bench.seen.knows(path)
    await bench.run("read", path="a.txt")
    assert bench.seen.knows(path)
    assert not bench.seen.changed(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "read: path is missing (a string)."),
        ({"path": 7}, "read: path is 7; want a string."),
        ({"path": "a\0b"}, 'read: path is "a\\u0000b"; want a path.'),
        ({"path": "a", "offset": "two"}, 'read: offset is "two"; want a whole number, 0 or more.'),
        ({"path": "a", "limit": 0}, "read: limit is 0; want a whole number, 1 or more."),
        ({"path": "a", "limit": True}, "read: limit is true; want a whole number, 1 or more."),
        ({"path": "a", "file": "b"}, "read: there is no argument 'file'. It takes: path, offset, limit."),
        ({"path": "~nobody-of-this-name/a"}, "read: path '~nobody-of-this-name/a' can't be used"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_wanted(
    bench: Bench, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(BadArguments) as error:
        bench.intend("read", **arguments)
    assert str(error.value).startswith(message)


def test_numbers_may_come_as_text_and_null_counts_as_left_out(bench: Bench) -> None:
    intent = bench.intend("read", path="a", offset="3", limit=2.0)
    assert intent.summary == "read a:3-4"
    assert bench.intend("read", path="a", offset=None, limit=None).summary == "read a"


def test_the_intent_names_the_file_and_only_reads(bench: Bench) -> None:
    intent = bench.intend("read", path="x/\x1b[31my")
    assert intent.access == "read"
    assert intent.paths == (bench.project / "x/\x1b[31my",)
    assert intent.summary == "read x/\\x1b[31my"


async def test_a_loop_of_symlinks_is_an_error_not_a_crash(bench: Bench) -> None:
    (bench.project / "a").symlink_to("b")
    (bench.project / "b").symlink_to("a")
    outcome: Outcome | BadArguments
    try:
        outcome = await bench.run("read", path="a")
    except BadArguments as error:
        outcome = error
    assert isinstance(outcome, BadArguments) or outcome.is_error
