"""One module builds what the server tells of usage: no other can forget the cache."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "server"
BUILDER = SERVER / "usage.py"
COUNTS = frozenset(
    {
        *(f"{kind}_tokens" for kind in ("prompt", "completion", "input", "output", "total", "reasoning")),
        *(f"{kind}_tokens" for kind in ("cached", "cache_read", "cache_write", "cache_creation_input")),
        *(f"{kind}_tokens_details" for kind in ("prompt", "completion", "input", "output")),
        "cache_hit_rate",
    }
)
"""The fields of usage objects, OpenAI's and ours."""


def built_in(source: str) -> Iterator[str]:
    """The counts that this code puts into an object: in a literal, in a call, or one by one."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Dict(keys=keys):
                names = [key.value for key in keys if isinstance(key, ast.Constant)]
            case ast.Call(keywords=keywords):
                names = [keyword.arg for keyword in keywords]
            case ast.Assign(targets=targets):
                names = [name for target in targets for name in _keys(target)]
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                names = list(_keys(target))
            case _:
                continue
        yield from (f"line {node.lineno}: {name}" for name in names if name in COUNTS)


def _keys(target: ast.expr) -> Iterator[object]:
    """What is assigned by a key: `usage["cached_tokens"]`."""
    match target:
        case ast.Subscript(slice=ast.Constant(value=key)):
            yield key
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _keys(part)


@pytest.mark.parametrize("path", sorted(SERVER.rglob("*.py")), ids=lambda path: path.stem)
def test_only_one_module_of_the_server_builds_usage(path: Path) -> None:
    found = list(built_in(path.read_text(encoding="utf-8")))
    if path == BUILDER:
        assert found
    else:
        assert found == []


@pytest.mark.parametrize(
    "source",
    [
        'answer = {"usage": {"prompt_tokens": 1}}',
        "answer = dict(completion_tokens=1)",
        'usage["prompt_tokens_details"] = {}',
        'usage["total_tokens"] += 1',
        'usage["cached_tokens"], rest = 1, 2',
        "usage = Usage(cache_read_tokens=1)",
        'def told(): return {**others, "cache_hit_rate": None}',
    ],
)
def test_the_rule_sees_every_way_to_build_one(source: str) -> None:
    assert list(built_in(source))


@pytest.mark.parametrize(
    "source", ["read = usage.cached_tokens", '{"max_output_tokens": 5}', "x = u['total_tokens']"]
)
def test_reading_a_count_is_no_building(source: str) -> None:
    assert list(built_in(source)) == []
