"""Makes text from files, programs and models safe to print: no control sequences, nothing hidden."""

from __future__ import annotations

import re

STRING_SEQUENCE = r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]{0,4096}(?:\x07|\x1b\\|\x9c)?"
"""OSC, DCS, SOS, PM and APC: titles, links, clipboard writes. Ends at BEL or ST, else with the line."""
CONTROL_SEQUENCE = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
SHORT_SEQUENCE = r"\x1b[ -/]*[0-Z\\^-~]?"
SEQUENCES = f"{STRING_SEQUENCE}|{CONTROL_SEQUENCE}|{SHORT_SEQUENCE}"

HIDING = (
    "\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff"
)
"""Marks that reorder, break or hide text (bidi controls, zero widths, fillers, tags), and lone surrogates."""
JOINERS = "\u200c\u200d"
"""Part of real words and emoji; a trick only beside plain ASCII or each other."""
WORDLIKE = f"[^\x00-\x9f{HIDING}{JOINERS}]"
ODD_JOINER = f"(?<!{WORDLIKE})[{JOINERS}]|[{JOINERS}](?!{WORDLIKE})"


def harmless(text: str) -> str:
    """A program's output as a terminal would leave it, in plain text.

    Colours, cursor movements, titles and other control characters are dropped, a line that was drawn over
    with carriage returns keeps its last state, and characters that hide or reorder text show as escapes such
    as `\\u202e`. Newlines and tabs stay. Applying it twice changes nothing more.
    """
    if text.isascii() and text.isprintable():
        return text
    text = re.sub(SEQUENCES, "", text)
    text = re.sub("[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f]", "", text)
    text = re.sub(".\x08", "", text).replace("\x08", "")
    text = re.sub("\r+(?=\n|$)", "", text)
    text = re.sub("[^\n]*\r", "", text)
    return _show_hiding(text)


def visible(text: str) -> str:
    """A question's or a file's text with nothing dropped: what can't be seen shows as an escape like `\\x1b`.

    A person must be able to judge a command by what is on the screen, so that here, other than in `harmless`,
    each control character leaves a trace. Newlines and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return _show_hiding(re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", _escape, text))


def one_line(text: str, limit: int = 200) -> str:
    """The visible text on one line of at most `limit` characters."""
    line = " ".join(visible(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _show_hiding(text: str) -> str:
    return text if text.isascii() else re.sub(f"[{HIDING}]|{ODD_JOINER}", _escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x0D:
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
