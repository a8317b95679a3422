"""Trust in a project's configuration: by content, remembered, private."""

from __future__ import annotations

from pathlib import Path

from cli.trust import Trust


def test_a_file_nobody_judged_is_not_trusted(tmp_path: Path) -> None:
    assert Trust(tmp_path).judged(tmp_path / "config.toml", "aa") is None


def test_a_verdict_is_remembered_for_the_content_it_was_given_on(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    Trust(tmp_path / "home").judge(file, "aa", trusted=True)
    assert Trust(tmp_path / "home").judged(file, "aa") is True
    assert Trust(tmp_path / "home").judged(file, "bb") is None


def test_a_refusal_is_remembered_too(tmp_path: Path) -> None:
    Trust(tmp_path).judge(tmp_path / "config.toml", "aa", trusted=False)
    assert Trust(tmp_path).judged(tmp_path / "config.toml", "aa") is False


def test_judging_one_file_keeps_the_verdict_on_another(tmp_path: Path) -> None:
    trust = Trust(tmp_path)
    trust.judge(tmp_path / "one.toml", "aa", trusted=True)
    trust.judge(tmp_path / "two.toml", "bb", trusted=False)
    assert trust.judged(tmp_path / "one.toml", "aa") is True


def test_the_verdicts_are_for_the_person_alone(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "home")
    trust.judge(tmp_path / "config.toml", "aa", trusted=True)
    assert trust.path.stat().st_mode & 0o777 == 0o600
    assert trust.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_damaged_file_of_verdicts_trusts_nothing(tmp_path: Path) -> None:
    trust = Trust(tmp_path)
    trust.path.write_text("{not json")
    assert trust.judged(tmp_path / "config.toml", "aa") is None
    trust.judge(tmp_path / "config.toml", "aa", trusted=True)
    assert trust.judged(tmp_path / "config.toml", "aa") is True
