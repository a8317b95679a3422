"""What the demo is played with: a small project with a bug, and the scripted model's answers."""

from __future__ import annotations

import json
from collections.abc import Mapping

from providers.pricing import Rates
from providers.types import JSON

MODEL = "demo"
"""The scripted model's name, and its script's file in the scratch folder."""

RATES = Rates(input=3, output=15, cache_read=0.3, cache_write=3.75)
"""What the script's tokens are priced at, in US dollars per million, so that there is something to show."""

TEST = "python3 -m unittest"
FIXED_FILE = "shop/cart.py"
TESTS = "tests"

FIX_IT = "The test fails. Find out why and fix it."
CLEAN_UP = "Clean up what isn't needed here."
LOOK_BACK = "What was wrong?"

WRONG = "full = sum(item.cents for item in items)"
RIGHT = "full = sum(item.cents * item.count for item in items)"

PROJECT: Mapping[str, str] = {
    ".gitignore": "__pycache__/\n",
    "shop/__init__.py": "",
    FIXED_FILE: f'''"""A shopping cart."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    name: str
    cents: int
    count: int = 1


def total(items: list[Item], discount_percent: int = 0) -> int:
    """The price of everything in cents, after the discount."""
    {WRONG}
    return full - full * discount_percent // 100
''',
    "tests/__init__.py": "",
    "tests/test_cart.py": """import unittest

from shop.cart import Item, total


class TotalTest(unittest.TestCase):
    def test_one_of_each(self) -> None:
        self.assertEqual(total([Item("pen", 120), Item("ink", 480)]), 600)

    def test_several_of_one(self) -> None:
        self.assertEqual(total([Item("pen", 120, count=3), Item("ink", 480)], discount_percent=10), 756)
""",
}


def script(*, rewound: bool) -> str:
    """The script's JSON: the answers to the first two prompts, or with `rewound` to the first and third.

    A scripted model plays step n to a conversation that holds n answers, so what is answered after a rewind
    stands where the answer that was taken back stood.
    """
    return json.dumps({"steps": [*_FIXING, *(_LOOKING_BACK if rewound else _CLEANING)]}, indent=1)


def _step(
    text: str, *, read: int, write: int, output: int, use: tuple[str, JSON] | None = None
) -> dict[str, JSON]:
    """One answer. The usage is written down, as a provider with a prompt cache would have told it."""
    calls = [{"name": use[0], "arguments": use[1]}] if use else []
    usage = {
        "input_tokens": 6,
        "cache_read_tokens": read,
        "cache_write_tokens": write,
        "output_tokens": output,
    }
    return {"text": text, "tool_calls": calls, "usage": usage}


_FIXING = (
    _step("I'll run the tests first.", read=0, write=1900, output=71, use=("bash", {"command": TEST})),
    _step(
        "One test counts each item once. I'll look at the code it tests.",
        read=1900,
        write=312,
        output=64,
        use=("read", {"path": FIXED_FILE}),
    ),
    _step(
        "`total` adds up prices and ignores `count`.",
        read=2212,
        write=236,
        output=118,
        use=("edit", {"path": FIXED_FILE, "old": WRONG, "new": RIGHT}),
    ),
    _step("", read=2448, write=204, output=46, use=("bash", {"command": TEST})),
    _step(
        f"Fixed: `total` in `{FIXED_FILE}` ignored how many of an item there are. Both tests pass now.",
        read=2652,
        write=98,
        output=62,
    ),
)

_CLEANING = (
    _step(
        "Tests aren't needed to run the shop.",
        read=2750,
        write=84,
        output=52,
        use=("bash", {"command": f"rm -r {TESTS}"}),
    ),
    _step(f"I removed the folder `{TESTS}`.", read=2834, write=66, output=30),
)

_LOOKING_BACK = (
    _step(
        "`total` added up each item's price once, however many of it were in the cart.",
        read=2750,
        write=76,
        output=48,
    ),
)
