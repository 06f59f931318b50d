r"""Which types keep a text of a CSV file: those whose value, printed in a usual notation, is the text again.

What a text is decides by itself, character by character, and not what a reader would make of it: `32E0134` could be
read as a number, and `55E0001` and `550` as the same one, but nothing prints a number like that. So each type has its
notations, and a text in any other one is text:

* a bool is ``true``, ``True``, ``TRUE``, or false in one of these forms;
* an int64 is its digits: no leading zero, no plus sign, no ``-0``;
* a double is a decimal number without leading zeros and plus sign, or in scientific notation with one digit before
  the point that is not 0: `exponents <_EXPONENT>` are those of C, Java, JavaScript and Rust. The text is the double
  printed with as many digits as the text has: so ``0.10`` is one, and ``0.10000000000000001`` as ``%.17g`` prints it,
  while of ``0.30000000000000002`` a digit would change. An integer over 64 bits is not one;
* dates and timestamps are those of ISO 8601 with hyphens and colons; a timestamp with a zone is in UTC: of ``+02:00``
  only the instant would be left.

All of this is done for many texts at once, in linear time whatever they are: by regular expressions that do not
backtrack, and one by one only for numbers of 16 digits or more, or with three digits in the exponent.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache, partial
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Masks = NDArray[np.uint16]

__all__ = ["EVERY", "STRING", "every_type", "looks_written", "possible_types"]

BOOL, INT, DOUBLE, DATE, SECONDS, NANOSECONDS, UTC_SECONDS, UTC_NANOSECONDS, STRING = (1 << bit for bit in range(9))
EVERY: Final = (1 << 9) - 1
"""The mask of all types, as a field without a value has it."""

_MOST_DIGITS: Final = 15  # that every double keeps, where its exponent has less than three
_MOST_INTEGER_DIGITS: Final = 18  # that every int64 keeps
_MOST_BOUNDED: Final = 99  # characters, so that zeros do not make up for that
_MOST_PRINTED: Final = 1_100  # characters: no double has more when all of its digits are printed
_LARGEST, _LEAST = "9223372036854775807", "-9223372036854775808"

#: C prints a sign and two digits or more, JavaScript and Rust no leading zeros, Java a point before an E without sign.
#: Without point and sign, `1E2` is rather an id.
_EXPONENT: Final = r"(?:[eE][-+][0-9]{1,3}|e(?:0|[1-9][0-9]{0,2}))"
_JAVA: Final = r"\.[0-9]+E-?(?:0|[1-9][0-9]{0,2})"
_NORMALIZED: Final = rf"-?[1-9](?:(?:\.[0-9]*)?{_EXPONENT}|{_JAVA})"
_ZERO: Final = r"-?0(?:(?:\.0*)?(?:[eE][-+]0{1,3}|e0)|\.0+E0)"
_NO_NUMBER: Final = r"-?(?:nan|NaN|NAN|[iI]nf(?:inity)?|INF(?:INITY)?)"

_SHORT_INTEGER: Final = rf"^(?:0|-?[1-9][0-9]{{0,{_MOST_DIGITS - 1}}})$"
_CERTAIN_INTEGER: Final = rf"^(?:0|-?[1-9][0-9]{{0,{_MOST_INTEGER_DIGITS - 1}}})$"
_PLAIN: Final = r"^-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)$"
_NOT_INTEGER: Final = rf"^(?:-?(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)|{_NORMALIZED}|{_ZERO})$"
_WITHOUT_DIGITS: Final = rf"^{_NO_NUMBER}$"
_INTEGER: Final = r"^-?[1-9][0-9]*$"
_FEW_IN_EXPONENT: Final = r"^[^eE]*(?:[eE][-+]?[0-9]{1,2})?$"

_DAY: Final = (
    r"[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29"
)
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"
_MOMENT: Final = rf"^(?:{_DAY})(?:[ T]{_TIME}(?:Z|\+00(?::?00)?)?)?$"
_IS_UTC: Final = r"(?:Z|\+00(?::?00)?)$"
_DAY_LENGTH: Final = len("2020-02-29")
#: In nanoseconds, and where the whole seconds are to be held by themselves.
_LEAST_MOMENT, _LARGEST_MOMENT = "1677-09-21 00:12:44.000000000", "2262-04-11 23:47:16.854775807"
_FIRST_DAY, _FIRST_WHOLE_DAY, _LAST_DAY = "1677-09-21", "1677-09-22", "2262-04-11"

_BOOL: Final = r"^(?:true|True|TRUE|false|False|FALSE)$"
_WRITTEN: Final = "0123456789.,:+-/_ eETZ"


@cache
def every_type() -> tuple[Any, ...]:
    """Return the types that come into question, the first choice first; any value is a string.

    The bit of each in a mask is that of its position.
    """
    import pyarrow as pa

    stamps = [pa.timestamp(unit, zone) for zone in (None, "UTC") for unit in ("s", "ns")]
    return (pa.bool_(), pa.int64(), pa.float64(), pa.date32(), *stamps, pa.string())


def possible_types(texts: Any, among: int = EVERY) -> Masks:
    """Return for each text the types that keep it; every type for null.

    Args:
        texts: An array of strings.
        among: The types that matter; whether others keep a text is not looked into.

    Example:
        >>> import pyarrow as pa
        >>> masks = possible_types(pa.array(["501", "00501", None]))
        >>> [[str(kind) for bit, kind in enumerate(every_type()) if mask >> bit & 1][:3] for mask in masks.tolist()]
        [['int64', 'double', 'string'], ['string'], ['bool', 'int64', 'double']]
    """
    import pyarrow.compute as pc

    found = np.full(len(texts), STRING, np.uint16)
    empty = _bits(pc.is_null(texts))
    found[empty] = EVERY
    at, rest = np.flatnonzero(~empty), texts.drop_null() if texts.null_count else texts
    for kinds, judge in _JUDGES:
        if not len(rest):
            break
        if not kinds & among:
            continue
        masks = judge(rest, among)
        found[at] |= masks
        if (left := masks == 0).any():
            at, rest = at[left], rest.filter(_array(left))
        else:
            break
    return found


def looks_written(text: str) -> bool:
    """Whether a text has the characters of numbers and dates alone, so that it could be taken for one.

    Example:
        >>> looks_written("00501"), looks_written("32E0134"), looks_written("5th Avenue")
        (True, True, False)
    """
    return text[:1] not in "eETZ_" and not text.strip(_WRITTEN) and any(character in "0123456789" for character in text)


def _match(texts: Any, pattern: str) -> Flags:
    import pyarrow.compute as pc

    return _bits(pc.match_substring_regex(texts, pattern))


def _bits(flags: Any) -> Flags:
    bits: Flags = flags.to_numpy(zero_copy_only=False)
    return bits


def _array(flags: Flags) -> Any:
    import pyarrow as pa

    return pa.array(flags)


def _lengths(texts: Any) -> NDArray[np.int32]:
    import pyarrow.compute as pc

    lengths: NDArray[np.int32] = pc.binary_length(texts).to_numpy(zero_copy_only=False)
    return lengths


def _masks(flags: Flags, mask: int) -> Masks:
    return flags * np.uint16(mask)


def _where(flags: Flags, proof: Callable[[Any], Flags], texts: Any) -> Flags:
    """Ask for a proof where a flag is set alone; elsewhere there is none."""
    if flags.all():
        return proof(texts)
    found = np.zeros_like(flags)
    if flags.any():
        found[flags] = proof(texts.filter(_array(flags)))
    return found


def _short_integers(texts: Any, among: int) -> Masks:
    return _masks(_match(texts, _SHORT_INTEGER if among & DOUBLE else _CERTAIN_INTEGER), (INT | DOUBLE) & among)


def _short_decimals(texts: Any, among: int) -> Masks:  # noqa: ARG001
    return _masks((_lengths(texts) <= _MOST_DIGITS) & _match(texts, _PLAIN), DOUBLE)


def _long_integers(texts: Any, among: int) -> Masks:
    lengths = _lengths(texts)
    integers = (lengths > _MOST_DIGITS) & (lengths <= len(_LEAST)) & _match(texts, _INTEGER)
    fitting = _where(integers, _fit_int64, texts)
    doubles = _where(fitting, _are_doubles_too, texts) if among & DOUBLE else fitting & False
    return _masks(fitting, INT) | _masks(doubles, DOUBLE)


def _fit_int64(integers: Any) -> Flags:
    import pyarrow.compute as pc

    # Of two with as many digits the order of the texts is that of the numbers without their signs.
    negative, lengths = _bits(pc.starts_with(integers, "-")), _lengths(integers)
    low = (lengths < len(_LEAST)) | _bits(pc.less_equal(integers, _LEAST))
    high = (lengths < len(_LARGEST)) | ((lengths == len(_LARGEST)) & _bits(pc.less_equal(integers, _LARGEST)))
    fitting: Flags = np.where(negative, low, high)
    return fitting


def _are_doubles_too(integers: Any) -> Flags:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = integers.cast(pa.int64()).to_numpy()
    with np.errstate(invalid="ignore"):  # the largest are over 64 bits as doubles
        exact: Flags = values.astype(np.float64).astype(np.int64) == values
    # Where the last digit is no zero, all of them are printed, and only the very number will do.
    return exact | _where(~exact & _bits(pc.ends_with(integers, "0")), _are_printed, integers)


def _other_doubles(texts: Any, among: int) -> Masks:  # noqa: ARG001
    """Judge numbers with many digits or with an exponent, and what has no digits; integers were judged before."""
    numbers = _match(texts, _NOT_INTEGER)
    others = _where(~numbers, partial(_match, pattern=_WITHOUT_DIGITS), texts)
    return _masks(others | _where(numbers, _are_doubles, texts), DOUBLE)


def _are_doubles(numbers: Any) -> Flags:
    # From the fastest proof to the slowest, each for what the ones before have left.
    bounded = _lengths(numbers) <= _MOST_BOUNDED
    found = _where(bounded, _are_shortest, numbers)
    found |= _where(bounded & ~found, _have_few_digits, numbers)
    return found | _where(~found, _are_printed, numbers)


def _are_shortest(numbers: Any) -> Flags:
    import pyarrow as pa
    import pyarrow.compute as pc

    return _bits(pc.equal(numbers.cast(pa.float64()).cast(pa.string()), numbers))


def _have_few_digits(numbers: Any) -> Flags:
    import pyarrow.compute as pc

    digits = pc.ascii_trim(pc.replace_substring_regex(numbers, "[eE].*|[-.]", ""), "0")
    return (_lengths(digits) <= _MOST_DIGITS) & _match(numbers, _FEW_IN_EXPONENT)


def _are_printed(numbers: Any) -> Flags:
    distinct = numbers.dictionary_encode()
    found = np.array([_is_printed(text) for text in distinct.dictionary.to_pylist()], np.bool_)
    printed: Flags = found[distinct.indices.to_numpy()]
    return printed


def _is_printed(text: str) -> bool:
    """Say whether a number is a double, printed with as many digits as the text has or with as few as tell it."""
    if len(text) > _MOST_PRINTED:
        return False
    value, (mantissa, is_scientific, _) = float(text), text.partition("e")
    # What C prints takes least time as the very text, and is most of what comes here.
    if text == (f"{value:.{len(mantissa.lstrip('-')[2:])}e}" if is_scientific else f"{value:.17g}"):
        return isfinite(value)
    digits = text.upper().partition("E")[0].replace(".", "").strip("-0")
    if not digits or not isfinite(value):
        return not digits
    return Decimal(text) in (Decimal(f"{value:.{len(digits) - 1}e}"), Decimal(repr(value)))


def _moments(texts: Any, among: int) -> Masks:  # noqa: ARG001
    import pyarrow.compute as pc

    moments = _match(texts, _MOMENT) & ~_bits(pc.starts_with(texts, "0000"))  # before the year 1 is -1
    if moments.all():
        return _moment_masks(texts)
    found = _masks(moments, 0)
    if moments.any():
        found[moments] = _moment_masks(texts.filter(_array(moments)))
    return found


def _moment_masks(moments: Any) -> Masks:
    import pyarrow.compute as pc

    days = _lengths(moments) == _DAY_LENGTH
    utc = ~days & _where(~days, partial(_match, pattern=_IS_UTC), moments)
    whole = days | ~_bits(pc.match_substring(moments, "."))
    nanoseconds = _fit_nanoseconds(moments)
    naive = _masks(whole, SECONDS) | _masks(nanoseconds, NANOSECONDS)
    zoned = _masks(whole, UTC_SECONDS) | _masks(nanoseconds, UTC_NANOSECONDS)
    return _masks(days, DATE) | np.where(utc, zoned, naive)


def _fit_nanoseconds(moments: Any) -> Flags:
    """Say which moments 64 bits of nanoseconds since 1970 hold; those of two days do so in part."""
    import pyarrow.compute as pc

    # The order of texts is that of days.
    found = _bits(pc.greater_equal(moments, _FIRST_WHOLE_DAY)) & _bits(pc.less(moments, _LAST_DAY))
    edges = _where(~found, partial(_match, pattern=rf"^(?:{_FIRST_DAY}|{_LAST_DAY})"), moments)
    return found | _where(edges, _fit_edges, moments)


def _fit_edges(moments: Any) -> Flags:
    return np.array([_LEAST_MOMENT <= _padded(text) <= _LARGEST_MOMENT for text in moments.to_pylist()], np.bool_)


def _padded(moment: str) -> str:
    """Write a moment with all that can be left out, so that the order of texts is that of moments."""
    day, time = moment[:_DAY_LENGTH], re.sub(r"[Z+].*", "", moment[_DAY_LENGTH + 1 :])
    return f"{day} {time}{'00:00:00.000000000'[len(time) :]}"


def _bools(texts: Any, among: int) -> Masks:  # noqa: ARG001
    return _masks(_match(texts, _BOOL), BOOL)


#: What tells types of a text, from the most frequent notation to the rarest, each for what those before left.
_JUDGES: Final[tuple[tuple[int, Callable[[Any, int], Masks]], ...]] = (
    (INT, _short_integers),
    (DOUBLE, _short_decimals),
    (INT | DOUBLE, _long_integers),
    (DOUBLE, _other_doubles),
    (DATE | SECONDS | NANOSECONDS | UTC_SECONDS | UTC_NANOSECONDS, _moments),
    (BOOL, _bools),
)
