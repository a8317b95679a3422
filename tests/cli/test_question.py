"""A key answers a question only when it was meant to."""

from __future__ import annotations

from cli.question import Asking, Choice, Chosen, Pick, Question

QUESTION = Question("Run this?", (Choice("y", "yes"), Choice("n", "no")), reason="or type why not")


async def test_a_choices_key_answers() -> None:
    asking = Asking(QUESTION, armed=True)
    assert asking.press("y")
    assert await asking.answer == Chosen("y")


async def test_another_key_does_not() -> None:
    asking = Asking(QUESTION, armed=True)
    assert not asking.press("u")
    assert not asking.answer.done()


async def test_a_question_that_came_while_typing_takes_no_key() -> None:
    asking = Asking(QUESTION, armed=False)
    assert not asking.press("y")
    assert not asking.answer.done()
    assert "finish or clear your line" in "".join(text for _, text in asking.fragments(10))


async def test_the_first_answer_counts() -> None:
    asking = Asking(QUESTION, armed=True)
    asking.press("n")
    asking.press("y")
    assert await asking.answer == Chosen("n")


async def test_a_list_stops_at_its_ends_and_scrolls() -> None:
    asking = Asking(Pick("Which?", tuple(f"row {number}" for number in range(30))), armed=True)
    asking.move(-1)
    assert asking.index == 0
    asking.move(100)
    assert asking.index == 29
    shown = "".join(text for _, text in asking.fragments(8))
    assert "❯ row 29" in shown
    assert "row 0\n" not in shown
    assert shown.count("\n") == 6
