"""Glob patterns as people and models write them: `*`, `?`, `**`, `[a-z]`, `{a,b}`."""

from __future__ import annotations

import re

TOKEN = r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|."


def matcher(pattern: str) -> re.Pattern[str] | None:
    """An expression for relative paths with `/`; None for what is no such pattern.

    `*` and `?` stay within one name, `**` crosses folders. Without a slash it matches a name at any depth.
    """
    pattern = pattern.removeprefix("./")
    if not pattern or pattern.startswith(("/", "../")) or "\0" in pattern:
        return None
    if "/" not in pattern:
        pattern = f"**/{pattern}"
    braces = 0
    parts: list[str] = []
    for token in re.findall(TOKEN, pattern, re.DOTALL):
        braces += (token == "{") - (token == "}")
        if braces < 0:
            return None
        parts.append(_translated(token, inside=braces > 0))
    try:
        return re.compile("".join(parts), re.DOTALL) if not braces else None
    except re.error:
        return None


def _translated(token: str, *, inside: bool) -> str:
    match token:
        case "**/":
            return "(?:.*/)?"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case "{":
            return "(?:"
        case "}":
            return ")"
        case ",":
            return "|" if inside else ","
    if token.startswith("[") and len(token) > 2:
        content = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"(?!/)[{'^' + content[1:] if content.startswith('!') else content}]"
    return re.escape(token)
