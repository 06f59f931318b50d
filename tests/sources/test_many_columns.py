"""Tables of very many columns: their names are dealt with in time in proportion to their number."""

from __future__ import annotations

from kumo_async.formats.csv_types import given_types
from kumo_async.sources.names import accept_names

COLUMNS = 2_000


class Compared(str):
    """A name that counts how often names are compared."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def names(*, each: int) -> list[str]:
    """Names of which each stands so often."""
    Compared.times = 0
    return [Compared(f"column {number // each}") for number in range(COLUMNS)]


def test_names_that_stand_several_times() -> None:
    (warning,) = accept_names("t.csv", names(each=2)).warnings
    assert "'column 7' became 'column_7', 'column_7_1'" in warning
    assert Compared.times < 20 * COLUMNS


def test_given_types_are_found_by_name() -> None:
    old = names(each=1)
    assert list(given_types({"column 7": "string"}, old, [f"c{number}" for number in range(COLUMNS)])) == ["c7"]
    assert Compared.times < 20 * COLUMNS
