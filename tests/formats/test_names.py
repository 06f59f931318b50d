"""The naming rules, against the official SDK's own functions where its rule is the documented one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kumoai.connector.utils import _sanitize_columns  # starts a thread for good, so before any test does

from kumo_async.errors import ConfigurationError
from kumo_async.formats.names import MAX_TABLE_NAME, check_table_name, clean_names, number_case_twins

# Few letters, so that names repeat, meet each other's suffixes and become empty.
names = st.lists(
    st.one_of(st.text("aAb_1 .", max_size=4), st.text(max_size=6), st.sampled_from(["a_1", "auto_named_0"]))
)


def _is_legal(name: str) -> bool:
    outer = name.strip("_") == name
    return outer and name != "" and all(letter == "_" or (letter.isascii() and letter.isalnum()) for letter in name)


@given(names)
def test_cleaned_names_are_legal_and_different(given_names: list[str]) -> None:
    cleaned = clean_names(given_names)

    assert len(cleaned) == len(given_names) == len(set(cleaned))
    assert all(map(_is_legal, cleaned))
    assert clean_names(cleaned) == cleaned


@given(names.map(lambda found: [name.replace(",", "").replace("\t", "") for name in found]))
def test_names_are_those_of_the_official_sdk(given_names: list[str]) -> None:
    assert clean_names(given_names) == _sanitize_columns(given_names)[0]


def test_comma_and_tab_become_underscores_as_documented() -> None:
    assert clean_names(["a,b", "a\tb"]) == ["a_b", "a_b_1"]


@pytest.mark.parametrize(
    ("given_names", "cleaned"),
    [
        (["__index_level_0__", "_x", "x"], ["index_level_0", "x", "x_1"]),
        (["", " ", "имя"], ["auto_named_0", "auto_named_1", "auto_named_2"]),
        (["auto_named_0", ""], ["auto_named_0", "auto_named_0_1"]),
        (["a", "a", "a_1"], ["a", "a_2", "a_1"]),
        (["a.b", "a b", "a-b"], ["a_b", "a_b_1", "a_b_2"]),
    ],
)
def test_rule_by_example(given_names: list[str], cleaned: list[str]) -> None:
    assert clean_names(given_names) == cleaned


@pytest.mark.parametrize(
    "many",
    [["a"] * 20_000, [""] * 20_000, [*(f"a_{n}" for n in range(10_000)), *["a"] * 10_000]],
    ids=["one name", "no name", "suffixes taken"],
)
def test_twenty_thousand_columns_take_no_time(many: list[str]) -> None:
    start = time.process_time()
    assert len(set(clean_names(many))) == 20_000
    assert time.process_time() - start < 1


@given(names)
def test_numbered_names_differ_whatever_their_case(given_names: list[str]) -> None:
    cleaned = clean_names(given_names)
    numbered = number_case_twins(cleaned)

    assert len({name.lower() for name in numbered}) == len(numbered) == len(cleaned)
    assert all(map(_is_legal, numbered))
    assert number_case_twins(numbered) == numbered
    first_of_its_kind = {name.lower(): name for name in reversed(cleaned)}
    assert all(name in numbered for name in first_of_its_kind.values())


@pytest.mark.parametrize(
    ("cleaned", "numbered"),
    [
        (["id", "name", "ID", "Name", "iD"], ["id", "name", "ID_1", "Name_1", "iD_2"]),
        (["a", "A", "a_1"], ["a", "A_2", "a_1"]),
        (["a", "A_1", "A"], ["a", "A_1", "A_2"]),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_names_that_differ_by_case_only_are_numbered(cleaned: list[str], numbered: list[str]) -> None:
    assert number_case_twins(cleaned) == numbered


@pytest.mark.parametrize("name", ["users", "a", "_x", "0", "users-2024.v2", "parquet", "a..b", "x" * MAX_TABLE_NAME])
def test_table_names_that_are_fine(name: str) -> None:
    check_table_name(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty"),
        (None, "NoneType"),
        (b"users", "bytes"),
        ("../x", "'/' as character 3"),
        ("a/b", "'/' as character 2"),
        ("a\\b", "character 2"),
        ("a b", "' ' as character 2"),
        ("a\nb", r"'\\n' as character 2"),
        ("a\x00", "character 2"),
        ("🦆", "character 1"),
        ("naïve", "character 3"),
        (".", "starts with"),
        ("..", "starts with"),
        (".hidden", "starts with"),
        ("-rf", "starts with"),
        ("users.", "ends with"),
        ("users.parquet", "Use 'users'"),
        ("users.CSV", "Use 'users'"),
        ("users.parquet/part_0001.parquet", "character 14"),
        ("x" * 300, "300 characters"),
    ],
)
def test_table_names_that_are_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        check_table_name(name)
    assert len(str(caught.value)) < 400
