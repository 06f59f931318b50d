"""Plans and reports as text."""

from __future__ import annotations

import kumo_async


def test_a_plan_shows_the_types_of_the_first_columns_and_has_all() -> None:
    types = {f"c{number}": "int64" for number in range(40)}
    plan = kumo_async.UploadPlan(
        table="t",
        file_type="csv",
        path="t.csv",
        size=1,
        columns=tuple(types),
        partition_size=None,
        rows=None,
        column_types=types,
    )
    assert str(plan).endswith("c28 int64, c29 int64, and 10 more")
    assert plan.to_dict()["column_types"] == types
