"""How many digits the values of a decimal column need, which may be fewer than its type has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["Digits"]


@dataclass(frozen=True, slots=True)
class Digits:
    """The most digits that any of some values needs.

    Attributes:
        before: Digits before the decimal point.
        after: Digits after it, without zeros at the end.
    """

    before: int = 0
    after: int = 0

    def with_values(self, values: Any, most: int) -> Digits:
        """Return what these and some more values need.

        Args:
            values: An Arrow array of decimals.
            most: Once more digits than these are needed, no more values have to be looked at.

        Example:
            >>> import pyarrow as pa
            >>> from decimal import Decimal
            >>> Digits().with_values(pa.array([Decimal("12.500"), None], pa.decimal128(38, 3)), 18)
            Digits(before=2, after=1)
        """
        import pyarrow.compute as pc

        extremes = [value for value in pc.min_max(values).as_py().values() if value is not None]
        before = max([self.before, *map(_digits_before, extremes)])
        after = self.after
        while before + after <= most and not _exact(values, after):
            after += 1
        return Digits(before, after)

    def target(self, scale: int, most: int) -> Any:
        """Return the Arrow type of `most` digits that holds all values, None if there is none.

        Args:
            scale: The scale of the column's own type, which is kept where that is possible.
            most: Digits of the type.
        """
        import pyarrow as pa

        if self.before + self.after > most:
            return None
        return pa.decimal128(most, scale if self.before + scale <= most else self.after)


def _digits_before(value: Decimal) -> int:
    return max(0, value.adjusted() + 1) if value else 0


def _exact(values: Any, after: int) -> bool:
    """Say whether no value has more than so many digits after the decimal point."""
    import pyarrow.compute as pc

    kind = values.type
    if after >= kind.scale or after <= kind.scale - kind.precision:
        return bool(after >= kind.scale)  # Arrow refuses to round away as many digits as the type has
    cut_off = pc.round(values, after, round_mode="towards_zero")
    return pc.all(pc.equal(cut_off, values)).as_py() is not False
