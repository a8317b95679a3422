"""The encoder `local/2`: a request as the embedded engine's prompt, the model's answers as their own tokens.

An answer that goes back as text is tokenised anew, and where the model had spelt it another way ("." and
"..", which the tokeniser makes one "..."), the engine's cache no longer matches from there on. So an answer
keeps the tokens it was generated as, in a block of its own (`kept_tokens`), and the prompt is text with those
tokens in between: llama.cpp takes an array of strings and token ids. An answer without them (another model's,
or one that was broken off) goes as text.

The text is what `local/1` had the engine make with `smollm2.jinja`, byte for byte, so a session that is
pinned to `local/1` comes here too and finds its cache. Each message is encoded from itself alone, and what
the model wrote goes back untrimmed. A change of what this makes is a new version beside this one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from providers.openai_messages import encode_tools
from providers.types import (
    JSON,
    Block,
    Image,
    Message,
    Opaque,
    Origin,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    canonical,
)

WIRE = "local"
ENCODER = "local/2"
LONGEST_ANSWER = 256
"""Tokens. At temperature 0 a model this small may repeat itself without end."""

AGAINST_LOOPS: Mapping[str, JSON] = {
    "dry_multiplier": 0.8,
    "dry_allowed_length": 3,
    "dry_penalty_last_n": 128,
}
"""llama.cpp's DRY sampler: it makes runs of tokens that repeat unlikely and leaves single ones alone. A
penalty on those would keep the model from ever writing a tool call."""

UNSEEN_IMAGE = "[an image, which this model cannot see]"
TURN_END = "<|im_end|>\n"
CALL_START = "<tool_call>"
CALL_END = "</tool_call>"


def encode(request: Request) -> dict[str, JSON]:
    """The request's body. Temperature 0 answers the same conversation the same way; there is one KV slot."""
    return {
        "prompt": prompt(request),
        "n_predict": min(request.output_limit, LONGEST_ANSWER),
        "temperature": 0,
        **AGAINST_LOOPS,
        "cache_prompt": True,
        "id_slot": 0,
        "stream": True,
        "return_tokens": True,
        # What was computed so far, with every chunk: a call that is left half way is counted exactly too.
        "return_progress": True,
        "timings_per_token": True,
    }


def prompt(request: Request) -> str | list[str | int]:
    """The conversation up to where the model answers: a text, or texts and token ids in turn.

    The engine reads the marks of a turn, such as `<|im_end|>`, wherever they stand in a text.
    """
    joined: list[str | int] = []
    for piece in _pieces(request):
        match piece, joined:
            case str(), [*_, str(before)]:
                joined[-1] = before + piece
            case _:
                joined.append(piece)
    match joined:
        case [str(text)]:  # an array of texts alone would be several prompts
            return text
        case _:
            return joined


# --- an answer's own tokens -------------------------------------------------------------------------------


def maker(model: str) -> Origin:
    """Who made the tokens: they mean something to this model alone."""
    return Origin(WIRE, ENCODER, model)


def kept_tokens(tokens: Iterable[int], origin: Origin) -> Opaque:
    """The block that keeps what an answer was generated as, without the token that ended the turn."""
    return Opaque(canonical({"tokens": list(tokens)}), origin)


def _own_tokens(message: Message, origin: Origin) -> list[int]:
    """The tokens of a message that this engine made; none where they were not kept."""
    for block in message.blocks:
        if isinstance(block, Opaque) and block.origin == origin:
            return _token_ids(block.raw)
    return []


def _token_ids(raw: str) -> list[int]:
    try:
        kept = json.loads(raw)
    except ValueError:
        return []
    match kept:
        case {"tokens": [*ids]} if all(type(each) is int and each >= 0 for each in ids):
            return ids
        case _:
            return []


# --- the conversation as text -----------------------------------------------------------------------------


def _pieces(request: Request) -> Iterator[str | int]:
    prefix, messages = request.prefix, request.messages
    if prefix.system:
        messages = (Message("", "system", (Text(prefix.system),)), *messages)
    if prefix.tools:
        told = _tool_list(prefix.tools)
        if messages and messages[0].role == "system":
            told = _joined(messages[0], "\n\n") + "\n\n" + told
            messages = messages[1:]
        yield _turn("system", told)
    origin = maker(prefix.model.name)
    for message in messages:
        yield from _message(message, origin)
    yield "<|im_start|>assistant\n"


def _message(message: Message, origin: Origin) -> Iterator[str | int]:
    match message.role:
        case "tool":
            answer = _joined(message, "\n\n")
            yield _turn("user", f"<tool_response>\n{answer}\n</tool_response>")
        case "assistant":
            yield "<|im_start|>assistant\n"
            if tokens := _own_tokens(message, origin):
                yield from tokens
            else:
                yield _answer(message)
            yield TURN_END
        case "user" | "system" as role:
            yield _turn(role, _joined(message, "\n\n"))


def _turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}{TURN_END}"


def _answer(message: Message) -> str:
    said = _joined(message, "")
    calls = "\n".join(map(_tool_call, message.tool_calls))
    return "\n".join(part for part in (said, calls) if part)


def _joined(message: Message, between: str) -> str:
    return between.join(text for block in message.blocks if (text := _text(block)))


def _text(block: Block) -> str:
    match block:
        case Text(text):
            return text
        case ToolResult(text=text, images=images):
            return "\n\n".join((text, *(UNSEEN_IMAGE for _ in images)))
        case Image():
            return UNSEEN_IMAGE
        case ToolCall() | Thinking() | Opaque():
            return ""


def _tool_list(tools: tuple[ToolSpec, ...]) -> str:
    listed = "".join(_json(tool) + "\n" for tool in encode_tools(tools))
    example = '{"name": "tool_name", "arguments": {"key": "value"}}'
    return (
        f"You may call these tools:\n<tools>\n{listed}</tools>\n\n"
        f"To call a tool, answer with:\n{CALL_START}\n{example}\n{CALL_END}"
    )


def _tool_call(call: ToolCall) -> str:
    try:
        arguments = _json(call.arguments())
    except (ValueError, RecursionError):
        arguments = _json({"malformed_arguments": call.raw_arguments})
    return f'{CALL_START}\n{{"name": {_json(call.name)}, "arguments": {arguments}}}\n{CALL_END}'


def _json(value: JSON) -> str:
    """JSON text as the engine's template filter `tojson` writes it, fractions in six digits included."""
    match value:
        case dict():
            members = (f"{_json(str(name))}: {_json(member)}" for name, member in value.items())
            return "{" + ", ".join(members) + "}"
        case list():
            return "[" + ", ".join(map(_json, value)) + "]"
        case float():
            return f"{value:g}"
        case _:
            return json.dumps(value, ensure_ascii=False)
