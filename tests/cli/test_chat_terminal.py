"""The chat in a real terminal, driven as a person would, against a scripted model."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import AGENT
from tests.support.terminal import Terminal

pytestmark = pytest.mark.terminal

COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-7]|4[0-7]|9[0-7]|38;[25];[\d;]+)m")
SLOW = "word " * 4000
"""Streams for minutes at a pause of 0.05 s a piece; no test waits for its end."""


def usage(read: int = 0, write: int = 0, fresh: int = 10, output: int = 5) -> dict[str, int]:
    return {
        "input_tokens": fresh,
        "output_tokens": output,
        "cache_read_tokens": read,
        "cache_write_tokens": write,
        "reported_prompt_tokens": fresh + read + write,
    }


def says(text: str, **rest: Any) -> dict[str, Any]:
    return {"text": text, "usage": usage(), **rest}


def calls(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": arguments}], "usage": usage()}


@dataclass
class Place:
    """A project folder, a home of its own and scripts."""

    folder: Path
    project: Path = field(init=False)
    home: Path = field(init=False)

    def __post_init__(self) -> None:
        self.project, self.home = self.folder / "project", self.folder / "home"
        self.project.mkdir()

    def chat(
        self, *steps: dict[str, Any], columns: int = 100, options: tuple[str, ...] = (), **environ: str
    ) -> Terminal:
        script = self.folder / "script.json"
        script.write_text(json.dumps({"steps": steps}))
        return self.run("-m", f"scripted/{script}", *options, columns=columns, **environ)

    def run(self, *arguments: str, columns: int = 100, **environ: str) -> Terminal:
        return Terminal(
            AGENT,
            arguments,
            environ={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "LANG": "C.UTF-8",
                "CACHET_HOME": str(self.home),
                **environ,
            },
            cwd=self.project,
            columns=columns,
        )

    def journal(self) -> str:
        (path,) = (self.home / "sessions").glob("*/*.jsonl")
        return path.read_text()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_prompt_is_answered_and_the_footer_counts_it(place: Place) -> None:
    step = says("Hello from the **script**.")
    step["usage"] = usage(read=1900, write=50, fresh=50, output=80)
    with place.chat(step) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("say hello")
        terminal.wait_for("Hello from the script.", "checkpoint 1", "R 1.9k W 50", "cache 95% (last 95%)")
        assert "↑50 ↓80" in terminal.footer
        assert terminal.text.count("say hello") == 1


def test_a_message_typed_while_it_works_waits_and_is_sent_then(place: Place) -> None:
    first = says("one two three four five six seven eight nine ten", pause_s=0.1, chunk=2)
    with place.chat(first, says("Second answer.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("first")
        terminal.wait_for("one two")
        terminal.enter("second")
        terminal.wait_for("queued: second", "working")
        terminal.wait_for("Second answer.", "checkpoint 2")
        assert "queued" not in terminal.text


def test_up_takes_a_queued_message_back_for_editing(place: Place) -> None:
    with place.chat(says(SLOW, pause_s=0.05, chunk=20), says("Edited and sent.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("first")
        terminal.wait_for("word word")
        terminal.enter("second")
        terminal.wait_for("queued: second")
        terminal.press("up")
        terminal.wait_for("› second")
        assert "queued" not in terminal.text


def test_esc_stops_the_turn_keeps_what_came_and_the_chat_goes_on(place: Place) -> None:
    slow = says("It begins. " + SLOW, pause_s=0.05, chunk=20)
    with place.chat(slow, says("Still here.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("It begins.")
        terminal.press("esc")
        terminal.wait_for("Stopped.")
        terminal.wait_gone("working")
        assert "It begins." in terminal.text
        assert "It begins." in place.journal()
        terminal.enter("again")
        terminal.wait_for("Still here.")


def test_a_command_runs_when_the_person_says_yes(place: Place) -> None:
    with place.chat(calls("bash", command="echo made > made.txt"), says("Done.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("$ echo made > made.txt", "Run this?", "y yes")
        assert not (place.project / "made.txt").exists()
        terminal.type("y")
        terminal.wait_for("Done.", "checkpoint 1")
        assert (place.project / "made.txt").read_text() == "made\n"


def test_typing_a_reason_denies_and_the_model_hears_it(place: Place) -> None:
    with place.chat(calls("bash", command="touch made.txt"), says("As you wish.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("Run this?")
        terminal.enter("use make instead")
        terminal.wait_for("As you wish.", "checkpoint 1")
        assert not (place.project / "made.txt").exists()
        assert "They said: use make instead" in place.journal()


def test_always_grants_exactly_what_it_says(place: Place) -> None:
    steps = (calls("bash", command="git status"), calls("bash", command="git status --short"), says("Done."))
    with place.chat(*steps) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("a always bash(git status)")
        terminal.type("a")
        terminal.wait_for("bash(git status) is allowed in this project from now on", "Done.")
        terminal.enter("/permissions")
        terminal.wait_for("Always allowed in this project: bash(git status)")


def test_esc_in_a_question_denies_and_stops(place: Place) -> None:
    with place.chat(calls("bash", command="touch made.txt"), says("Unreached.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("Run this?")
        terminal.press("esc")
        terminal.wait_for("Stopped.")
        terminal.wait_gone("Run this?")
        assert not (place.project / "made.txt").exists()
        assert "Unreached" not in terminal.everything


def test_keys_meant_for_the_line_answer_no_question(place: Place) -> None:
    first = says("one two three four five six seven", pause_s=0.1, chunk=2)
    first["tool_calls"] = calls("bash", command="touch made.txt")["tool_calls"]
    with place.chat(first, says("Done.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("one")
        terminal.type("yes")
        terminal.wait_for("finish or clear your line first")
        terminal.type("y")
        terminal.wait_for("› yesy")
        assert not (place.project / "made.txt").exists()
        terminal.press("backspace", "backspace", "backspace", "backspace")
        terminal.wait_for("y yes")
        terminal.type("y")
        terminal.wait_for("Done.")
        assert (place.project / "made.txt").exists()


def test_an_edit_shows_its_diff_before_it_is_made_and_only_once(place: Place) -> None:
    (place.project / "a.py").write_text("x = 1\n")
    edit = calls("edit", path="a.py", old="x = 1", new="x = 2")
    steps = (calls("read", path="a.py"), edit, says("Done."))
    with place.chat(*steps) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("-x = 1", "+x = 2", "Make this change?")
        assert (place.project / "a.py").read_text() == "x = 1\n"
        terminal.type("y")
        terminal.wait_for("Done.")
        assert (place.project / "a.py").read_text() == "x = 2\n"
        assert terminal.everything.count("+x = 2") == 1


def test_undo_shows_what_it_takes_back_and_brings_the_file_back(place: Place) -> None:
    (place.project / "a.py").write_text("x = 1\n")
    edit = calls("edit", path="a.py", old="x = 1", new="x = 2")
    steps = (calls("read", path="a.py"), edit, says("Changed."))
    with place.chat(*steps, options=("--permission-mode", "edits")) as terminal:
        terminal.wait_for("cache n/a", "edits")
        terminal.enter("go")
        terminal.wait_for("Changed.", "checkpoint 1")
        terminal.enter("/undo")
        terminal.wait_for("+x = 1", "Take the last turn back")
        terminal.type("y")
        terminal.wait_for("back at checkpoint 0")
        assert (place.project / "a.py").read_text() == "x = 1\n"


def test_leaving_says_how_to_resume_and_resuming_goes_on(place: Place) -> None:
    with place.chat(says("First answer."), says("Second answer.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("first")
        terminal.wait_for("First answer.", "checkpoint 1")
        terminal.press("ctrl-d")
        assert terminal.wait_exit() == 0
        resume = re.search(r"agent resume (\S+)", terminal.text)
    assert resume is not None
    with place.run("resume", resume[1]) as terminal:
        terminal.wait_for("Resumed", "↑10 ↓5")
        terminal.enter("second")
        terminal.wait_for("Second answer.", "checkpoint 2", "↑20 ↓10")


def test_a_typed_mention_sends_the_file_and_a_pasted_one_does_not(place: Place) -> None:
    (place.project / "notes.txt").write_text("the typed one\n")
    (place.project / "other.txt").write_text("the pasted one\n")
    with place.chat(says("Read.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.paste("see @other.txt and ")
        terminal.wait_for("see @other.txt and")
        terminal.enter("@notes.txt please")
        terminal.wait_for("attached notes.txt", "Read.", "checkpoint 1")
        assert "the typed one" in place.journal()
        assert "the pasted one" not in place.journal()
        assert "see @other.txt and @notes.txt please" in place.journal()


def test_a_pasted_text_of_several_lines_stays_one_message(place: Place) -> None:
    with place.chat(says("Got it.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.paste("!first\r\n/quit\r\nlast")
        terminal.wait_for("› !first", "  /quit", "  last")
        terminal.press("enter")
        terminal.wait_for("Got it.", "checkpoint 1")
        assert r"!first\n/quit\nlast" in place.journal()


def test_one_bang_tells_the_model_and_two_do_not(place: Place) -> None:
    with place.chat(says("I see.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("!echo shared-$((20+3))")
        terminal.wait_for("shared-23")
        terminal.enter("!!echo private-$((20+4))")
        terminal.wait_for("private-24")
        terminal.enter("what now")
        terminal.wait_for("I see.", "checkpoint 1")
        assert "shared-23" in place.journal()
        assert "private-24" not in place.journal()


def test_a_commands_environment_has_no_provider_keys(place: Place) -> None:
    with place.chat(says("-"), ANTHROPIC_API_KEY="sk-ant-not-a-real-key-0123456789") as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter('!!echo "key=[$ANTHROPIC_API_KEY]"')
        terminal.wait_for("\nkey=[]")


def test_an_error_is_one_line_and_the_chat_goes_on(place: Place) -> None:
    failing = {"error": {"status": 401, "message": "invalid x-api-key"}}
    with place.chat(failing, says("unreached")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("✗")
        terminal.wait_gone("working")
        assert "Traceback" not in terminal.everything
        terminal.enter("/cost")
        terminal.wait_for("model calls", "1 failed")


def test_in_a_narrow_terminal_nothing_wraps(place: Place) -> None:
    step = says("A sentence that is certainly longer than sixty columns and must therefore be wrapped.")
    step["usage"] = usage(read=1900, write=50, fresh=50, output=80)
    with place.chat(step, columns=60) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("checkpoint 1", "cache 95%")
        below = terminal.text.split("\n›", 2)[-1]
        assert below.strip("\n").count("\n") == 0
        assert "cache 95%" in terminal.footer


def test_no_color_prints_no_colour(place: Place) -> None:
    with place.chat(calls("ls", path="."), says("# Title\n\n`code`"), NO_COLOR="1") as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("Title", "checkpoint 1")
        assert not COLOUR.search(terminal.written)


def test_each_text_stands_in_the_scrollback_once(place: Place) -> None:
    paragraphs = "\n\n".join(f"This is paragraph number {number} of many." for number in range(40))
    with place.chat(says(paragraphs, pause_s=0.002, chunk=30)) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("paragraph number 39", "checkpoint 1")
        terminal.wait_gone("working")
        told = terminal.everything
        assert [told.count(f"paragraph number {number} of") for number in range(40)] == [1] * 40
        assert "working" not in told


def test_ctrl_c_clears_the_line_and_twice_quits(place: Place) -> None:
    with place.chat(says("-")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.type("half a thought")
        terminal.wait_for("half a thought")
        terminal.press("ctrl-c")
        terminal.wait_gone("half a thought")
        terminal.press("ctrl-c")
        terminal.wait_for("Ctrl-C again quits")
        terminal.press("ctrl-c")
        assert terminal.wait_exit() == 0


def test_what_was_typed_is_found_again_in_the_next_chat(place: Place) -> None:
    with place.chat(says("-")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("/cost")
        terminal.wait_for("model calls")
        terminal.press("ctrl-d")
        terminal.wait_exit()
    assert (place.home / "history").stat().st_mode & 0o777 == 0o600
    with place.chat(says("-")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.press("up")
        terminal.wait_for("› /cost")


def test_commands_complete_as_they_are_typed(place: Place) -> None:
    with place.chat(says("-")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.type("/che")
        terminal.wait_for("/checkpoints", "the checkpoints of this session")
        terminal.press("tab", "enter")
        terminal.wait_for("› /checkpoints")
        terminal.press("enter")
        terminal.wait_for("No checkpoint yet")


def test_leaving_in_the_middle_of_a_turn_keeps_what_came(place: Place) -> None:
    with place.chat(says("It begins. " + SLOW, pause_s=0.05, chunk=20)) as terminal:
        terminal.wait_for("cache n/a")
        terminal.enter("go")
        terminal.wait_for("It begins.")
        terminal.press("ctrl-d")
        assert terminal.wait_exit() == 0
        assert "Resume with: agent resume" in terminal.text
        assert "It begins." in place.journal()


def test_what_is_typed_before_everything_is_loaded_is_sent_then(place: Place) -> None:
    with place.chat(says("I was ready.")) as terminal:
        terminal.wait_for("›")
        terminal.type("early bird\r")
        terminal.wait_for("I was ready.", "checkpoint 1")


def test_a_wrong_model_ends_the_chat_with_one_line(place: Place) -> None:
    with place.run("-m", "nonsense/model") as terminal:
        assert terminal.wait_exit() == 2
        assert "nonsense" in terminal.text
        assert "Traceback" not in terminal.text


def test_a_resized_terminal_keeps_one_footer(place: Place) -> None:
    with place.chat(says("Hello.")) as terminal:
        terminal.wait_for("cache n/a")
        terminal.resize(60, 20)
        terminal.enter("go")
        terminal.wait_for("Hello.", "checkpoint 1")
        # While a line is printed above, the footer is gone for a moment.
        terminal.wait_until(lambda: "working" not in terminal.text and "script.json" in terminal.text, "rest")
        assert terminal.text.count("script.json") == 1
