"""Numbers as a person reads them: tokens, dollars, percentages, durations."""

from __future__ import annotations

UNKNOWN = "unknown"
NOT_AVAILABLE = "n/a"

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def tokens(count: int) -> str:
    """A token count in at most five characters: `950`, `1.2k`, `98k`, `4.1M`."""
    if count < 1000:
        return str(count)
    for size, unit in ((1e3, "k"), (1e6, "M"), (1e9, "G")):
        value = count / size
        if value < 9.95:
            return f"{value:.1f}".removesuffix(".0") + unit
        if value < 999.5:
            return f"{value:.0f}{unit}"
    return f"{count / 1e12:.1f}T"


def dollars(amount: float | None) -> str:
    """US dollars: `$0.214`, `$12.40`, `-$0.05`; `unknown` for None. Only nothing prints as `$0`."""
    if amount is None:
        return UNKNOWN
    sign = "-" if amount < 0 else ""
    size = abs(amount)
    if size == 0:
        return "$0"
    if size < 0.0005:
        return f"{sign}<$0.001"
    if size < 9.9995:
        return sign + f"${size:.3f}".removesuffix("0")
    return f"{sign}${size:,.2f}"


def bill(exact: float | None, at_least: float | None) -> str:
    """A cost that may be known only in part: `$0.214`; `≥ $0.214`; `unknown` where no part of it is."""
    return f"≥ {dollars(at_least)}" if exact is None and at_least else dollars(exact)


def percent(share: float | None) -> str:
    """A share of 1 in whole percent: `96%`; `n/a` for None. Only all is `100%` and only nothing is `0%`."""
    if share is None:
        return NOT_AVAILABLE
    value = round(share * 100)
    if value == 100 and share < 1:
        value = 99
    if value == 0 and share > 0:
        return "<1%"
    return f"{value}%"


def seconds(amount: float) -> str:
    """A duration: `0.4s`, `12s`, `3m 05s`, `2h 10m`, `3d 4h`."""
    if amount < 9.95:
        return f"{max(amount, 0):.1f}".removesuffix(".0") + "s"
    whole = round(amount)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02d}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02d}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR}h"


def countdown(amount: float) -> str:
    """Seconds left as a clock: `4:12`, `1:02:09`; `0:00` once it is over."""
    whole = max(0, int(amount))
    hours, rest = divmod(whole, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def ago(amount: float) -> str:
    """How long ago, from an age in seconds, in its largest unit: `just now`, `5m ago`, `3d ago`."""
    if amount < _MINUTE:
        return "just now"
    size, unit = next(step for step in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")) if amount >= step[0])
    return f"{int(amount // size)}{unit} ago"


def plural(count: int, noun: str) -> str:
    """`1 file`, `3 files`."""
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"


def retrying(after: float, reason: str, attempt: int, attempts: int, *, void: bool = False) -> str:
    """What a person reads while a failed call waits: `retrying in 4s (429), attempt 2 of 6`.

    `void`: they saw a beginning of the answer, which the next attempt begins anew.
    """
    line = f"retrying in {seconds(after)} ({reason}), attempt {attempt} of {attempts}"
    return f"{line}; what came of this answer is void" if void else line


def missed(cause: str, detail: str, count: int, cost: float | None) -> str:
    """One line for a call that read less from the cache than it could have.

    `cache miss: 84k re-billed ($0.31) · expired (idle 7 min, kept 5 min)`; `count` in tokens.
    """
    price = "cost unknown" if cost is None else dollars(cost)
    name = cause.replace("_", " ")
    return f"cache miss: {tokens(count)} re-billed ({price}) · {name}{f' ({detail})' if detail else ''}"
