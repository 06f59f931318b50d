"""The data of the demo: users and their orders, as real-looking as a random generator makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["DemoTable", "make_tables"]

_SEED = 501
_ORDERS_PER_USER = 4
_ROW_GROUPS = 40

_FIRST = ["Ada", "Alan", "Barbara", "Donald", "Edsger", "Frances", "Grace", "Hedy", "Katherine", "Margaret", "Radia"]
_LAST = ["Allen", "Backus", "Hopper", "Johnson", "Knuth", "Lamarr", "Liskov", "Lovelace", "O'Neil", "Perlman", "Wirth"]
_STREETS = ["Main St", "Oak Ave", "2nd St, Rear", 'Route "66"', "Calle Ñuñoa", "Königstraße"]
# Zip codes with leading zeros are the classic casualty of a CSV that is read and written again on its way.
_ZIPS = ["00501", "00544", "01001", "02139", "07030", "10001", "60601", "94105"]
_PLANS = ["free", "team", "business"]
_WISHES = [
    "Leave it at the door",
    "Ring twice, then wait",
    'Ask for "Sam"',
    "No calls, please",
    "Call\nbefore delivery",
]
_CATEGORIES = ["books", "garden", "grocery", "music", "sports", "toys"]


@dataclass(frozen=True)
class DemoTable:
    """A table of the demo and the file that it was written to.

    Attributes:
        name: The table's name.
        file_type: ``"parquet"`` or ``"csv"``.
        path: The file.
        data: What was written.
        amount: The column whose sum is compared.
    """

    name: str
    file_type: str
    path: Path
    data: pa.Table
    amount: str

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return self.path.stat().st_size


def make_tables(directory: Path, rows: int) -> list[DemoTable]:
    """Write `users.csv` and `orders.parquet` with `rows` orders into a directory. The same rows give the same files."""
    import numpy as np

    random = np.random.default_rng(_SEED)
    users = max(1, rows // _ORDERS_PER_USER)
    return [_write_csv(directory, _users(random, users)), _write_parquet(directory, _orders(random, rows, users))]


def _write_csv(directory: Path, data: pa.Table) -> DemoTable:
    from pyarrow import csv

    path = directory / "users.csv"
    csv.write_csv(data, path)
    return DemoTable("users", "csv", path, data, "credit")


def _write_parquet(directory: Path, data: pa.Table) -> DemoTable:
    from pyarrow import parquet

    path = directory / "orders.parquet"
    # A partition is made of whole row groups, so there must be some to divide.
    parquet.write_table(data, path, row_group_size=max(1, -(-data.num_rows // _ROW_GROUPS)))
    return DemoTable("orders", "parquet", path, data, "price")


def _users(random: np.random.Generator, count: int) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    numbers = pa.array(np.arange(1, count + 1))
    names = [f"{first} {last}" for first in _FIRST for last in _LAST]
    houses = [f"{number} {street}" for number in range(1, 400) for street in _STREETS]
    notes = [f"{wish}. {house}" if wish else None for wish in [*_WISHES, ""] for house in houses]
    return pa.table(
        {
            "user id": numbers,
            "name": _pick(random, names, count),
            "zip": _pick(random, _ZIPS, count),
            "address": _pick(random, houses, count),
            "signup_date": _days(random, count),
            "plan": _pick(random, _PLANS, count),
            "credit": _cents(random, count),
            "delivery_note": _pick(random, notes, count),
        }
    )


def _orders(random: np.random.Generator, count: int, users: int) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    return pa.table(
        {
            "order_id": pa.array(np.arange(1, count + 1)),
            "user id": pa.array(random.integers(1, users + 1, count)),
            "ordered_at": _moments(random, count),
            "category": _pick(random, _CATEGORIES, count),
            "quantity": pa.array(random.integers(1, 9, count)),
            "price": _cents(random, count),
            "gift": pa.array(random.random(count) < 0.1),
        }
    )


def _pick(random: np.random.Generator, values: list[Any], count: int) -> pa.Array[Any]:
    import pyarrow as pa

    return pa.array(values, pa.string()).take(random.integers(0, len(values), count))


def _days(random: np.random.Generator, count: int) -> pa.Array[Any]:
    import pyarrow as pa

    return pa.array(random.integers(17_000, 20_000, count, dtype="int32"), pa.int32()).cast(pa.date32())


def _moments(random: np.random.Generator, count: int) -> pa.Array[Any]:
    import pyarrow as pa

    begin, end = 1_640_995_200_000, 1_735_689_600_000  # the years 2022 to 2024, in milliseconds
    return pa.array(random.integers(begin, end, count)).cast(pa.timestamp("ms"))


def _cents(random: np.random.Generator, count: int) -> pa.Array[Any]:
    import pyarrow as pa

    return pa.array((random.lognormal(3.0, 1.0, count) * 100).round() / 100)
