"""What `grep`, `glob` and `ls` find: the real ripgrep in real folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.ripgrep import ripgrep
from agent.tools.contract import BadArguments
from agent.tools.pattern import matcher
from tests.support.bench import Bench


@pytest.fixture
def tree(bench: Bench) -> Bench:
    bench.file("src/app.py", "import os\n\ndef main():\n    return os\n")
    bench.file("src/util/deep.ts", "function main() {}\n")
    bench.file("README.md", "# Main\nrun main\n")
    bench.file(".github/ci.yml", "job: main\n")
    bench.file(".gitignore", "build/\n*.log\n")
    bench.file("build/out.py", "def main(): built\n")
    bench.file("debug.log", "main logged\n")
    bench.file(".git/config", "main = 1\n")
    return bench


def test_ripgrep_comes_with_the_installation() -> None:
    assert ripgrep() is not None


async def test_matches_come_by_file_with_their_lines(tree: Bench) -> None:
    outcome = await tree.run("grep", pattern="main")
    assert outcome.text == (
        ".github/ci.yml\n1:job: main\n\nREADME.md\n2:run main\n\n"
        "src/app.py\n3:def main():\n\nsrc/util/deep.ts\n1:function main() {}"
    )
    assert outcome.display == "4 matches"


async def test_a_search_can_be_narrowed(tree: Bench) -> None:
    assert (await tree.run("grep", pattern="main", path="src")).display == "2 matches"
    assert (await tree.run("grep", pattern="main", glob="*.ts")).display == "1 match"
    assert (await tree.run("grep", pattern="main", glob="!src/**")).display == "2 matches"
    assert (await tree.run("grep", pattern="main", ignore_case=True, path="README.md")).display == "2 matches"


async def test_context_and_names_only(tree: Bench) -> None:
    outcome = await tree.run("grep", pattern="def", context=1, path="src/app.py")
    assert outcome.text == "src/app.py\n2-\n3:def main():\n4-    return os"
    assert (
        await tree.run("grep", pattern="main", files_only=True, path="src")
    ).text == "src/app.py\nsrc/util/deep.ts"


async def test_nothing_found_is_no_error(tree: Bench) -> None:
    outcome = await tree.run("grep", pattern="absent")
    assert outcome.text == "[no matches]"
    assert not outcome.is_error


async def test_a_broken_expression_is_explained(tree: Bench) -> None:
    outcome = await tree.run("grep", pattern="(unclosed")
    assert outcome.is_error
    assert "unclosed group" in outcome.text


async def test_a_pattern_that_looks_like_an_option_is_a_pattern(tree: Bench) -> None:
    tree.file("flags.txt", "use --files here\n")
    assert "flags.txt" in (await tree.run("grep", pattern="--files")).text


async def test_many_matches_are_capped_the_same_way_each_time(bench: Bench) -> None:
    for name in "zyxabc":
        bench.file(f"{name}.txt", "hit\n" * 100)
    first = await bench.run("grep", pattern="hit")
    assert first.text.startswith("a.txt\n1:hit")
    assert "x.txt" not in first.text
    assert first.text.endswith(
        "[the first 200 matches, by path; narrow it with path, glob or pattern to see others]"
    )
    assert (await bench.run("grep", pattern="hit")).text == first.text


async def test_a_minified_line_is_cut(bench: Bench) -> None:
    bench.file("min.js", "x" * 100_000 + "needle" + "y" * 100_000)
    assert len((await bench.run("grep", pattern="needle")).text) < 1_000


async def test_a_search_does_not_follow_symlinks_out(bench: Bench) -> None:
    (bench.outside / "secret.txt").write_text("needle")
    (bench.project / "link").symlink_to(bench.outside)
    (bench.project / "file").symlink_to(bench.outside / "secret.txt")
    assert (await bench.run("grep", pattern="needle")).text == "[no matches]"
    assert (await bench.run("glob", pattern="**/*")).text == "[no files match]"


@pytest.mark.parametrize("tool", ["grep", "glob"])
async def test_going_up_from_behind_a_link_searches_what_was_judged(bench: Bench, tool: str) -> None:
    bench.file("a/b/c/.keep", "")
    bench.file("a/outside/mine.txt", "needle")
    (bench.outside / "secret.txt").write_text("needle")
    (bench.project / "deep").symlink_to("a/b/c")
    (judged,) = bench.intend(tool, pattern="needle", path="deep/../../outside").paths
    assert bench.workspace.holds(judged)
    outcome = await bench.run(tool, pattern={"grep": "needle", "glob": "*"}[tool], path="deep/../../outside")
    assert "a/outside/mine.txt" in outcome.text
    assert "secret" not in outcome.text


async def test_the_persons_ripgrep_settings_change_nothing(
    tree: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rc").write_text("--follow\n--glob=!*.md\n")
    monkeypatch.setenv("RIPGREP_CONFIG_PATH", str(tmp_path / "rc"))
    assert "README.md" in (await tree.run("grep", pattern="main")).text


async def test_a_missing_folder_is_told(tree: Bench) -> None:
    for tool in ("grep", "glob"):
        outcome = await tree.run(tool, pattern="x", path="scr")
        assert outcome.text == "scr does not exist. Did you mean src?"


async def test_files_come_newest_first_without_ignored_ones(tree: Bench) -> None:
    for age, name in enumerate(
        ("src/app.py", "README.md", "src/util/deep.ts", ".github/ci.yml", ".gitignore")
    ):
        os.utime(tree.project / name, ns=(10**18 - age, 10**18 - age))
    outcome = await tree.run("glob", pattern="**/*")
    assert outcome.text.split("\n") == [
        "src/app.py",
        "README.md",
        "src/util/deep.ts",
        ".github/ci.yml",
        ".gitignore",
    ]


async def test_files_of_the_same_age_come_by_path(bench: Bench) -> None:
    for name in "cab":
        os.utime(bench.file(f"{name}.py", ""), ns=(1, 1))
    assert (await bench.run("glob", pattern="*.py")).text == "a.py\nb.py\nc.py"


async def test_ignored_files_stay_out_even_when_the_pattern_fits(tree: Bench) -> None:
    assert (await tree.run("glob", pattern="*.log")).text == "[no files match]"
    assert (await tree.run("glob", pattern="build/**")).text == "[no files match]"


async def test_a_pattern_counts_from_its_folder(tree: Bench) -> None:
    assert (await tree.run("glob", pattern="*/*.ts", path="src")).text == "src/util/deep.ts"
    assert (await tree.run("glob", pattern=f"{tree.project}/src/*.py")).text == "src/app.py"


async def test_many_files_are_capped_with_their_count(bench: Bench) -> None:
    for number in range(210):
        bench.file(f"f{number}.txt", "")
    outcome = await bench.run("glob", pattern="*.txt")
    assert len(outcome.text.split("\n")) == 201
    assert "[the newest 200 of 210 files" in outcome.text


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.py", "a.py", True),
        ("*.py", "deep/down/a.py", True),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/b/a.py", False),
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/b/c/a.py", True),
        ("**/test_?.{py,ts}", "x/test_1.ts", True),
        ("**/test_?.{py,ts}", "x/test_12.ts", False),
        ("src/**", "src/a/b", True),
        ("[a-c].txt", "b.txt", True),
        ("[!a-c].txt", "b.txt", False),
        ("a+(b).txt", "a+(b).txt", True),
        ("./a.txt", "a.txt", True),
        ("{a,b/c}.txt", "b/c.txt", True),
        ("a,b.txt", "a,b.txt", True),
    ],
)
def test_a_pattern_means_what_people_expect(pattern: str, path: str, fits: bool) -> None:
    compiled = matcher(pattern)
    assert compiled is not None
    assert bool(compiled.fullmatch(path)) is fits


@pytest.mark.parametrize("pattern", ["", "/etc/*", "../*", "{a", "a}b", "[z-a]"])
def test_what_is_no_pattern_is_refused(bench: Bench, pattern: str) -> None:
    with pytest.raises(BadArguments, match="pattern"):
        bench.intend("glob", pattern=pattern)


async def test_a_folder_is_listed_with_types_and_sizes(tree: Bench) -> None:
    (tree.project / "link").symlink_to("src")
    text = (await tree.run("ls")).text
    assert text.split("\n") == [
        ".git/",
        ".github/",
        ".gitignore  13",
        "README.md  16",
        "build/",
        "debug.log  12",
        "link -> src",
        "src/",
    ]


async def test_a_long_listing_is_capped_with_its_count(bench: Bench) -> None:
    for number in range(510):
        bench.file(f"f{number}", "")
    outcome = await bench.run("ls")
    assert outcome.display == "510 entries"
    assert outcome.text.endswith("[the first 500 of 510 entries; glob finds others]")


async def test_a_name_with_a_newline_stays_on_its_line(bench: Bench) -> None:
    bench.file("a\nb\x1b[31m", "")
    assert (await bench.run("ls")).text == "a\\nb\\x1b[31m  0"
    assert (await bench.run("glob", pattern="*")).text == "a\\nb\\x1b[31m"


async def test_an_empty_or_missing_folder_is_told(bench: Bench) -> None:
    assert (await bench.run("ls")).text == "[empty folder]"
    assert (await bench.run("ls", path="nope")).is_error


@pytest.mark.parametrize("tool", ["grep", "glob", "ls"])
def test_searching_only_reads_and_names_its_place(bench: Bench, tool: str) -> None:
    arguments = {"path": "../outside"} if tool == "ls" else {"path": "../outside", "pattern": "*"}
    intent = bench.intend(tool, **arguments)
    assert intent.access == "read"
    assert [path.resolve() for path in intent.paths] == [bench.outside]
