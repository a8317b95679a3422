"""What the code says of its fields, the docstrings below them, as descriptions in a JSON schema."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cached_property
from typing import TypeAlias

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

Words: TypeAlias = dict[str, dict[str, str]]
"""The docstring of each field, by class."""


class Described(GenerateJsonSchema):
    """Pydantic's generator, which describes the fields of a TypedDict: those it inherited, too.

    Its own `use_attribute_docstrings` leaves the inherited ones out, and parses a module anew for every
    class in it.
    """

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        told = super().typed_dict_schema(schema)
        for each in _lineage(schema.get("cls", object)):
            for field, words in self._words(each.__module__).get(each.__name__, {}).items():
                told["properties"][field].setdefault("description", words)
        return told

    @cached_property
    def _read(self) -> dict[str, Words]:
        """The modules that were read already."""
        return {}

    def _words(self, module: str) -> Words:
        if module not in self._read:
            self._read[module] = _words(module)
        return self._read[module]


def _lineage(shape: type) -> Iterator[type]:
    """The class and those it was made from. A TypedDict's `__bases__` don't tell."""
    yield shape
    for base in getattr(shape, "__orig_bases__", ()):
        yield from _lineage(base)


def _words(module: str) -> Words:
    source = inspect.getsource(sys.modules[module])
    classes = (each for each in ast.parse(source).body if isinstance(each, ast.ClassDef))
    return {each.name: dict(_fields(each)) for each in classes}


def _fields(shape: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, behind in zip(shape.body, shape.body[1:], strict=False):
        match field, behind:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                yield name, inspect.cleandoc(words)
