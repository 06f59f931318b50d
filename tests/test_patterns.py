"""Every regular expression of the package takes time in proportion to its text, whatever the text is.

The patterns are found by themselves: those that modules hold, and those that are written where they are used. For each
of their repetitions a text is made that repeats it as often as it likes, and then does not match.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import kumo_async
from kumo_async.cli import wording

METHODS = {"match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}

#: Modules that make patterns out of parts, which stand there in no other way, and a pattern of the kind.
BUILT = {
    "kumo_async.formats.csv_arrow",
    "kumo_async.formats.csv_dialect",
    "kumo_async.formats.csv_tidy",
    "kumo_async.sources.csv_beginning",
    "kumo_async.formats.members",
    "kumo_async.formats.thrift_skip",
    "kumo_async.formats.identify",
    "kumo_async.formats.parquet_columns",
    "kumo_async.formats.parquet_page_index",
    "kumo_async.cli.wording",
}

REPEATS = {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}

#: What a class of characters is represented by: the same for as many classes as possible.
CANDIDATES = [" ", "0", "a", "\n", "_", "-", ",", "<", "=", "\x00", *map(chr, range(1, 256))]

#: Steps of a repetition, and the processor's seconds that one text may take. What takes the square of 50,000 steps
#: takes seconds, and what takes the cube is found at a thousand.
SIZES, MOST = (400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200), 0.5


@dataclass(frozen=True)
class Pattern:
    """A pattern and where it is used."""

    module: str
    pattern: str | bytes
    flags: int
    method: str

    def __str__(self) -> str:
        return f"{self.module.removeprefix('kumo_async.')} {self.method} {self.pattern!r}"[:90]

    def run(self, text: str) -> None:
        compiled: Any = re.compile(self.pattern, self.flags)
        given: Any = text.encode("latin-1") if isinstance(self.pattern, bytes) else text
        method = getattr(compiled, self.method)
        if self.method in ("sub", "subn"):
            method(given[:0], given)
        elif self.method == "finditer":
            list(method(given))
        else:
            method(given)


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(kumo_async.__path__, "kumo_async."):
        if not found.name.endswith("__main__"):
            yield found.name


def held(thing: object, depth: int = 3) -> Iterator[tuple[re.Pattern[Any], str | None]]:
    """Give the patterns that a value of a module holds, or is a method of, which is then given too."""
    if isinstance(thing, re.Pattern):
        yield thing, None
    elif isinstance(getattr(thing, "__self__", None), re.Pattern):
        yield thing.__self__, thing.__name__  # type: ignore[attr-defined]
    elif depth and isinstance(thing, dict | list | tuple):
        for each in thing.values() if isinstance(thing, dict) else thing:
            yield from held(each, depth - 1)


def methods(name: str, calls: list[Any]) -> set[str]:
    """Return how a module uses what it holds under a name; what it holds in others is used in a loop, by `match`."""
    by_name = {call.func.attr for call in calls if isinstance(call.func.value, ast.Name) and call.func.value.id == name}
    by_key = {
        call.func.attr
        for call in calls
        if isinstance(call.func.value, ast.Subscript) and getattr(call.func.value.value, "id", None) == name
    }
    return (by_name | by_key) & METHODS or {"match"}


def written(expression: ast.expr) -> str | bytes | None:
    """Return a pattern as it is written, with a letter for each part that is filled in."""
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str | bytes):
        return expression.value
    if isinstance(expression, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "a" for part in expression.values)
    return None


@cache
def patterns() -> tuple[list[Pattern], set[str]]:
    """Return all patterns, and the modules that make some which are not found."""
    found, built = set[Pattern](), set[str]()
    for name in modules():
        module = importlib.import_module(name)
        calls: list[Any] = [
            node for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())) if _is_call(node)
        ]
        for value_name, value in vars(module).items():
            for each, method in held(value):
                used = {method} if method is not None else methods(value_name, calls)
                found |= {Pattern(name, each.pattern, each.flags, way) for way in used}
        for call in filter(_is_re, calls):
            pattern = written(call.args[0]) if call.args else None
            if pattern is not None and call.func.attr in METHODS:
                found.add(Pattern(name, pattern, 0, call.func.attr))
            elif pattern is None and call.func.attr in METHODS | {"compile"}:
                built.add(name)
    # A table of patterns and what is put in their places.
    found |= {Pattern(wording.__name__, pattern, 0, "sub") for pattern, _ in wording._RULES}
    return sorted(found, key=str), built


def _is_call(node: ast.AST) -> Any:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)


def _is_re(call: Any) -> bool:
    return isinstance(call.func.value, ast.Name) and call.func.value.id == "re"


def texts(pattern: str | bytes, flags: int) -> Iterator[tuple[str, str]]:
    """Give, for each repetition of a pattern, what comes before it and what is repeated."""
    yield from _texts(parser.parse(pattern, flags & ~re.DEBUG), "")


def _texts(nodes: Any, before: str) -> Iterator[tuple[str, str]]:
    for code, value in nodes:
        for inner in _inner(code, value):
            yield from _texts(inner, before)
            if code in REPEATS:
                yield before, _sample(inner) or " "
        before += _sample([(code, value)])


def _inner(code: Any, value: Any) -> list[Any]:
    if code in REPEATS:
        return [value[2]]
    if code is codes.SUBPATTERN:
        return [value[3]]
    if code is codes.BRANCH:
        return list(value[1])
    return [value] if code is codes.ATOMIC_GROUP else []


def _sample(nodes: Any) -> str:
    """Return a short text that a part of a pattern matches."""
    return "".join(_one(code, value) for code, value in nodes)


def _one(code: Any, value: Any) -> str:
    if code is codes.LITERAL:
        return chr(value)
    if code in (codes.IN, codes.NOT_LITERAL, codes.ANY):
        return next(each for each in CANDIDATES if _is_in(code, value, each))
    inner = _inner(code, value)
    times = value[0] if code in REPEATS else 1
    return _sample(inner[0]) * times if inner else ""


def _is_in(code: Any, value: Any, character: str) -> bool:
    if code is codes.ANY:
        return character != "\n"
    if code is codes.NOT_LITERAL:
        return bool(ord(character) != value)
    negated = any(kind is codes.NEGATE for kind, _ in value)
    return negated != any(_fits(kind, each, character) for kind, each in value)


def _fits(kind: Any, value: Any, character: str) -> bool:
    if kind is codes.LITERAL:
        return bool(ord(character) == value)
    if kind is codes.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    known: dict[Any, Callable[[str], object]] = {
        codes.CATEGORY_DIGIT: str.isdigit,
        codes.CATEGORY_SPACE: str.isspace,
        codes.CATEGORY_WORD: lambda each: each.isalnum() or each == "_",
        codes.CATEGORY_NOT_SPACE: lambda each: not each.isspace(),
        codes.CATEGORY_NOT_DIGIT: lambda each: not each.isdigit(),
        codes.CATEGORY_NOT_WORD: lambda each: not (each.isalnum() or each == "_"),
    }
    return kind is codes.CATEGORY and bool(known[value](character))


def too_slow(pattern: Pattern) -> str | None:
    """Return the beginning of a text that a pattern takes too long for, if there is one."""
    for before, pump in dict.fromkeys(texts(pattern.pattern, pattern.flags)):
        for start, again in ((before, pump), ("", before + pump), ("", before or pump)):
            for size in SIZES:
                for end in ("", "\x00", "!"):
                    text = start + (again * (size // len(again) + 1))[:size] + end
                    begin = time.process_time()
                    pattern.run(text)
                    if time.process_time() - begin > MOST:
                        return f"{text[:60]!r} of {size}"
    return None


def test_the_patterns_are_found() -> None:
    found, built = patterns()
    assert len(found) > 30
    assert {"kumo_async.service.foreign", "kumo_async.service.s3errors", "kumo_async.service.call"} <= {
        each.module for each in found
    }
    assert built <= BUILT, "a module makes patterns in a way that is not seen here: name it, and see to its patterns"


@pytest.mark.parametrize("pattern", patterns()[0], ids=str)
def test_no_pattern_takes_longer_than_its_text_is_long(pattern: Pattern) -> None:
    assert too_slow(pattern) is None


@pytest.mark.parametrize(
    ("method", "pattern"),
    [
        ("search", r"<Code\s*>\s*([^<]*)\s*</Code>"),
        ("sub", r"\b(X-Amz-[A-Za-z-]+)(=|%3D)[^&]+"),
        ("search", r"<title[^>]*>([^<]+)"),
    ],
)
def test_the_check_itself_finds_those_that_do(method: str, pattern: str) -> None:
    assert too_slow(Pattern("kumo_async", pattern, re.IGNORECASE, method)) is not None
