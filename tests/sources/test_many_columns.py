"""Tables of very many columns: their names are dealt with in time in proportion to their number."""

from __future__ import annotations

import pytest

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
    assert "'column 1' became 'column_1', 'column_1_1'" in warning
    assert Compared.times < 20 * COLUMNS


def test_given_types_are_found_by_name() -> None:
    old = names(each=1)
    assert list(given_types({"column 7": "string"}, old, [f"c{number}" for number in range(COLUMNS)])) == ["c7"]
    assert Compared.times < 20 * COLUMNS


@pytest.mark.parametrize(
    "names",
    [["名" * number for number in range(1, 900)], ["x"] * 900, ["a b", "a_b"] * 900],
    ids=["other scripts", "one name", "taken names"],
)
def test_a_warning_lists_some_of_very_many_names(names: list[str]) -> None:
    warnings = accept_names("t.csv", names).warnings
    assert warnings
    assert all(len(warning) < 100_000 and " more" in warning for warning in warnings)


def test_a_warning_lists_some_of_very_many_names_that_differ_by_case_only() -> None:
    (warning,) = accept_names("t.csv", [f"{letter}{number}" for number in range(1_000) for letter in "aA"]).warnings
    assert "'A199' became 'A199_1', since 'a199' comes first; and 800 more." in warning
    assert len(warning) < 20_000
