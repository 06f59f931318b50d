r"""CSV files that are hard to detect: each kind of trouble in every dialect that it can come in, with the true one.

The values are drawn from real texts and from what programs write: prose, addresses, URLs, JSON, logs, clocks, and
numbers as they are written in Europe.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from csv_corpus import NAMES, Dialect, Labelled, prose, tables, written

__all__ = ["hard"]

#: A delimiter that no file has: what it reads has a single column.
_NONE = "\x1f"
_CITIES = ["Ulm, DE", "Wien, AT", "Bonn, DE", "Genf, CH", "New York, NY", "Paris, FR", "Lyon, FR"]
_NAMES = ["Meier, Hans", "O'Brien, Pat", "Kurz, Eva", "d'Arc, Jeanne", "Smith, J. R.", "Müller, Łucja", "Lee, Bo"]
_SHORT = ["nut", "bolt", "washer", "nail", "screw", "rivet", "pin"]

Row = list[Any]


def hard(rows: int) -> Iterator[Labelled]:
    """Make all hard files, with about so many rows each."""
    texts = list(prose(rows)["text"])
    sentences = [" ".join(text.split())[:160] for text in texts]
    for delimiter in NAMES:
        for kind, header, record in _KINDS:
            table = [header, *(record(n, sentences[n]) for n in range(rows))]
            for quote in ('"', "'"):
                yield written(f"{kind}", f"{quote} as quote", table, Dialect(delimiter, quote))
        yield from _without_quotes(delimiter, rows)
        yield from _late(delimiter, rows, texts)
        yield from _short(delimiter)
        yield from _framed(delimiter, rows)
    yield from _single_columns(sentences)


def _at(values: list[str], n: int) -> str:
    return values[n % len(values)]


def _price(n: int) -> str:
    return f"{n * 137 % 10_000 / 100:.2f}".replace(".", ",")


def _large(n: int) -> str:
    return f"{n * 7919:,}.{n % 90 + 10}".translate(str.maketrans(",.", ".,"))


def _json(n: int, text: str) -> str:
    return json.dumps({"id": n, "tags": ["a;b", "c|d"], "text": text[:40], "none": None})


_KINDS: list[tuple[str, Row, Callable[[int, str], Row]]] = [
    ("prose", ["id", "text"], lambda n, s: [n, s]),
    ("prose in all fields", ["title", "text, in short", "more"], lambda _, s: [s[:30], s[30:90], s[90:]]),
    ("names and places", ["Name, Vorname", "Ort"], lambda n, _: [_at(_NAMES, n), _at(_CITIES, n)]),
    ("decimal commas", ["item", "price", "tax"], lambda n, _: [_at(_SHORT, n), _price(n), _price(n * 3)]),
    ("decimal commas only", ["x", "y", "z"], lambda n, _: [_price(n), _price(n * 7), _price(n * 3)]),
    ("European numbers", ["id", "EUR", "CHF"], lambda n, _: [n, f"{_large(n)} €", f"{n:,}.50".replace(",", "'")]),
    ("thousands", ["id", "people", "area"], lambda n, _: [n, f"{n * 7919:,}", f"{n * 104_729:,}"]),
    ("clocks with decimal commas", ["at", "value"], lambda n, _: [f"{n % 24:02}:30", f"{n % 50},{n % 10}"]),
    (
        "timestamps",
        ["at", "until", "level"],
        lambda n, _: [f"2024-01-{n % 28 + 1:02} 10:{n % 60:02}:00,{n % 1000:03}"] * 2 + ["INFO"],
    ),
    ("URLs", ["id", "url"], lambda n, _: [n, f"https://x.io/a;b={n}|c?q=1,2&r={n}|{n + 1}"]),
    ("JSON", ["id", "payload", "ok"], lambda n, s: [n, _json(n, s), "true"]),
    ("lists", ["id", "tags", "more"], lambda n, _: [n, "a;b;c" if n % 2 else "a;b", "x|y|z"]),
    ("lists of commas", ["id", "tags", "more"], lambda n, _: [n, "a,b,c", "x, y, z"]),
    ("coordinates", ["name", "where"], lambda n, _: [_at(_SHORT, n), f"(48.{n:03}, 11.5{n:02})"]),
    ("apostrophes", ["id", "text", "by"], lambda n, _: [n, f"'tis the {_at(_SHORT, n)}'s, isn't it", _at(_NAMES, n)]),
    ("quotes in fields", ["id", "size", "text"], lambda n, _: [n, f'{n}"', f'the "{_at(_SHORT, n)}", {n}\' long']),
    (
        "newlines",
        ["id", "address", "note"],
        lambda n, s: [n, f"{_at(_NAMES, n)}\nMain St {n}\n{_at(_CITIES, n)}", s[:50]],
    ),
    ("newlines, all else alike", ["id", "text"], lambda n, s: [n, "\n".join(s[:90].split())]),
    (
        "blanks around fields",
        ["id  ", "  name ", " city"],
        lambda n, _: [f"{n:<6}", f"  {_at(_SHORT, n)}", f" {_at(_CITIES, n)}"],
    ),
    (
        "many empty fields",
        [f"c{n}" for n in range(8)],
        lambda n, s: [n, "", "", s[:20] if n % 5 == 0 else "", "", "", "", ""],
    ),
    ("numbers", ["a", "b"], lambda n, _: [n, n * 7919]),
    ("codes", ["sku", "bin"], lambda n, _: [f"A-{n:05}/X", f"{n}:{n + 1}|{n + 2}"]),
    ("paths", ["id", "path", "size"], lambda n, _: [n, f"C:\\data\\{_at(_SHORT, n)}\\", n * 3]),
    ("logs", ["ts", "level", "text"], lambda n, s: [f"10:{n % 60:02}:01,{n % 1000:03}", "WARN", f"{n},5 s; {s[:60]}"]),
    ("code", ["id", "line"], lambda n, _: [n, f"if (a[{n}] || b) {{ f(\"x;y\", 'z'); }}"]),
    ("HTML", ["id", "html"], lambda n, s: [n, f"<a href=\"/x?a={n}&amp;b=2;\" title='{_at(_SHORT, n)}'>{s[:40]}</a>"]),
]


def _without_quotes(delimiter: str, rows: int) -> Iterator[Labelled]:
    plain: list[Row] = [
        ["id", "size", "text"],
        *([n, f'{n}" wide', f'"{_at(_SHORT, n)}" - it\'s'] for n in range(rows)),
    ]
    if delimiter != ",":
        text = "".join(delimiter.join(map(str, row)) + "\n" for row in plain)
        yield Labelled("no quoting", NAMES[delimiter], text, Dialect(delimiter, ""))
    texts: list[Row] = [
        ["id", "text", "more"],
        *([n, f"a{delimiter}b {n}", f"{_at(_SHORT, n)} \\ x"] for n in range(rows)),
    ]
    yield written("escapes, no quotes", "delimiters", texts, Dialect(delimiter, "", "\\"))
    said: list[Row] = [["id", "text", "more"], *([n, f'say "{_at(_SHORT, n)}", {n}', "x;y"] for n in range(rows))]
    for quote_all in (False, True):
        yield written("escaped quotes", f"all {quote_all}", said, Dialect(delimiter, '"', "\\"), quote_all=quote_all)
    ends: list[Row] = [["id", "text", "more"], *([n, f'{_at(_SHORT, n)} "{n}"', "x,y|z"] for n in range(rows))]
    for quote in ('"', "'"):
        yield written("escaped quotes at the end", quote, ends, Dialect(delimiter, quote, "\\"), quote_all=True)


def _late(delimiter: str, rows: int, texts: list[str]) -> Iterator[Labelled]:
    for quote in ('"', "'"):
        table: list[Row] = [["id", "text", "n"], *([n, texts[n] if n > rows * 0.8 else "", n * 2] for n in range(rows))]
        yield written("quotes only in later records", quote, table, Dialect(delimiter, quote))


def _short(delimiter: str) -> Iterator[Labelled]:
    for name, table in tables(2).items():
        rows = table.astype(object).where(table.notna(), "").values.tolist()
        yield written("header only", name, [table.columns], Dialect(delimiter))
        yield written("two records", name, [table.columns, *rows], Dialect(delimiter), end="\r\n")
        yield written("no header", name, rows, Dialect(delimiter), end="\r")


def _framed(delimiter: str, rows: int) -> Iterator[Labelled]:
    for name, table in tables(rows).items():
        if name == "manual":
            continue
        dialect, records = Dialect(delimiter), table.astype(object).where(table.notna(), "").values.tolist()
        body = dialect.write([table.columns, *records])
        notice = "Copyright 2024, The Authors; all rights reserved\nLicensed under MIT, see LICENSE\n\n"
        yield Labelled("a preamble", f"{name}, {NAMES[delimiter]}", notice + body, dialect)
        total = dialect.write([["Total", len(records)], ["Source: A, B; C"]])
        yield Labelled("a footer", f"{name}, {NAMES[delimiter]}", body + total, dialect)
        trailing = "".join(f"{line}{delimiter}\n" for line in body.splitlines())
        yield Labelled("trailing delimiters", f"{name}, {NAMES[delimiter]}", trailing, dialect)
        short = [row[: 2 + n % 2] if n % 10 == 5 else row for n, row in enumerate(records)]
        yield written("ragged", name, [table.columns, *short], dialect)


def _single_columns(sentences: list[str]) -> Iterator[Labelled]:
    values: dict[str, list[str]] = {
        "prose": sentences,
        "names": [_at(_NAMES, n) for n in range(len(sentences))],
        "words": [_at(_SHORT, n) for n in range(len(sentences))],
        "numbers": [_price(n) for n in range(len(sentences))],
    }
    for name, lines in values.items():
        text = "".join(f"{line}\n" for line in ["text", *lines])
        yield Labelled("a single column", name, text, Dialect(_NONE, ""))
