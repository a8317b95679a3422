"""The table of slash commands."""

from __future__ import annotations

from cli.commands import COMMANDS, find


def test_a_command_is_found_by_its_name_or_an_unambiguous_beginning() -> None:
    assert find("cost") is find("cos")
    assert find("resume") is not None


def test_an_ambiguous_beginning_finds_nothing() -> None:
    assert find("re") is None
    assert find("nonsense") is None


def test_names_are_unique_and_each_says_what_it_does() -> None:
    names = [command.name for command in COMMANDS]
    assert len(set(names)) == len(names)
    assert all(command.summary for command in COMMANDS)


def test_what_changes_the_conversation_waits_for_the_turns_end() -> None:
    waiting = {command.name for command in COMMANDS if not command.anytime}
    assert {"model", "rewind", "undo", "resume", "fork", "new"} <= waiting
