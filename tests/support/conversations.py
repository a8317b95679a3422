"""Whole conversations of any shape, for properties that every encoder keeps."""

from __future__ import annotations

from hypothesis import strategies as st

from providers.types import Image, Message, Origin, Text, Thinking, ToolCall, ToolResult

HERE = Origin("wire", "endpoint", "m")
TEXTS = st.text(max_size=12)
IMAGES = st.builds(Image, st.sampled_from(["image/png", "image/jpeg"]), st.sampled_from(["aGk=", "eW8="]))
ARGUMENTS = st.one_of(
    st.sampled_from(["", "{}", '{"b":1,"a":2}', '{"path": "/srv"}', '{"broken', "[1]"]), st.text(max_size=6)
)
NAMES = st.sampled_from(["read", "bash"])


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Message, ...]:
    """A person's message or a system's, or an answer together with the results of all its calls."""
    if draw(st.booleans()):
        role = draw(st.sampled_from(["user", "system"]))
        shown = draw(st.lists(IMAGES, max_size=2)) if role == "user" else []
        return (Message("m", role, (*map(Text, draw(st.lists(TEXTS, max_size=2))), *shown)),)
    calls = [
        ToolCall(f"c{n}", name, arguments)
        for n, (name, arguments) in enumerate(draw(st.lists(st.tuples(NAMES, ARGUMENTS), max_size=3)))
    ]
    thinking = [Thinking(draw(TEXTS), HERE)] if draw(st.booleans()) else []
    answer = Message("m", "assistant", (*thinking, Text(draw(TEXTS)), *calls))
    results = (
        ToolResult(
            call.id, call.name, draw(TEXTS), draw(st.booleans()), tuple(draw(st.lists(IMAGES, max_size=1)))
        )
        for call in calls
    )
    return (answer, *(Message("m", "tool", (each,)) for each in results))


CONVERSATIONS = st.lists(exchanges(), max_size=5)
