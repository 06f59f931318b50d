"""What pyarrow raises for data that is not as it should be."""

from __future__ import annotations

__all__ = ["arrow_errors"]


def arrow_errors() -> tuple[type[Exception], ...]:
    """Return the types that an `except` around pyarrow has to name; which one comes depends on where the damage is.

    A function, since pyarrow is imported only where it is used.

    Example:
        >>> import io
        >>> import pyarrow.parquet as pq
        >>> try:
        ...     pq.read_schema(io.BytesIO(b"PAR1"))
        ... except arrow_errors() as error:
        ...     print(type(error).__name__)
        ArrowInvalid
    """
    import pyarrow as pa

    return (
        pa.ArrowException,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        NotImplementedError,
        OverflowError,
        MemoryError,
    )
