"""Messages of the library in the words of the command line: where they name an argument, its option."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable

__all__ = ["as_typed"]

_VALUE = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\[[^\[\]]*\]|\.\.\.|\w+"""
_ARGUMENT = re.compile(rf"\b(\w+)=({_VALUE})")
_NAMED = "delimiter|quote|escape|comment|short_rows|skip_rows|skip_initial_space|header|column_names|encoding"


def _typed(match: re.Match[str]) -> str:
    """Return the options of the command line for arguments of `CsvOptions`."""
    return " ".join(_option(name, value) for name, value in _ARGUMENT.findall(match.group().removeprefix("csv=")))


def _option(name: str, value: str) -> str:
    option = f"--{name.replace('_', '-')}"
    if value in ("...", "[...]", "True"):
        return option
    if value == "False":
        return f"--no-{name}"
    given = ast.literal_eval(value) if value[0] in "'\"[" else value
    text = ",".join(given) if isinstance(given, list) else "tab" if given == "\t" else str(given)
    # shlex would make five quotes of one apostrophe.
    typed = f'"{text}"' if text == "'" else shlex.quote(text)
    return f"{option} {typed}"


#: In this order, since the first are special cases of others. What has no option is marked as Python's.
_RULES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"(?:options=)?UploadOptions\(convert='(\w+)'\)", r"--as \1"),
    (r"use UploadOptions\(verify_parts=False\)", "use --no-verify-parts"),
    (r"(UploadOptions\(partition_threshold=[^)]*\))", r"(from Python) \1"),
    (r"csv=CsvOptions\(quoted_nulls=True\)", "--quoted-nulls"),
    (r"CsvOptions\.types, null_values and quoted_nulls", "--quoted-nulls, and types and null_values from Python,"),
    (r"(csv=CsvOptions\(types=[^)]*\))", r"(from Python) \1"),
    (rf"csv=CsvOptions\((?:(?:{_NAMED})=(?:{_VALUE})(?:, )?)+\)", _typed),
    (rf"\b(?:{_NAMED})=(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+|True)", _typed),
    (r"\bconvert='parquet'", "--as parquet"),
    (r"csv=CsvOptions\(\.\.\.\)", "--delimiter, --quote, --escape or --encoding"),
    (r"CsvOptions\(column_names=\.\.\.\)", "--column-names"),
    (r"CsvOptions\.column_names must be a list of one name or more, each a str", "--column-names must name a column"),
    (r"CsvOptions\.column_names", "--column-names"),
    (r"CsvOptions\.header", "--no-header"),
    (r"CsvOptions\.(?!types|null_values)(\w+)", lambda match: f"--{match[1].replace('_', '-')}"),
    (r"CsvOptions: ", ""),
    (r"\bencoding=(?=\W|$)", "--encoding"),
    (r"UploadOptions\.on_unsupported at '(\w+)'", r"--on-unsupported at \1"),
    (r"UploadOptions\.spool_dir", "TMPDIR"),
    (r"UploadOptions\.journal_dir", "XDG_STATE_HOME"),
    (r"\bpartition_size_mb=", "--partition-size-mb "),
    (r"\bpartition_size_mb\b", "--partition-size-mb"),
    (r"Use auto_partition=True to have it partitioned", "Leave --no-auto-partition out to have it partitioned"),
    (r"\bca_file=(?=['\"])", "--ca-file "),
    (r"\bca_file=", "--ca-file"),
    (r", call kumo_async\.init\(url=\.\.\., api_key=\.\.\.\)", ""),
    (r"init\(url='local:'\)", "--url local:"),
    (r", or what was given to init\(\)", ""),
    (r", or what headers= gave", ""),
    (r"\burl=(?=[\s).,]|$)", "--url"),
    (r"has_table\(\)", "`kumo-async ls`"),
    (r"\bGive (\w+)=(?=, by name or id)", r"Give --\1"),
    (r"the key goes into api_key", "the key goes into KUMO_API_KEY"),
    (r"^api_key must", "--api-key, or the first line of --key-file, must"),
    (r"^(host|store) (?=must|')", r"--\1 "),
    (r"Give either root or store", "Give either --root or --store"),
    (r"S3Options, or the variables", "the variables"),
]


def as_typed(message: str) -> str:
    """Return a message of the library in which arguments are named as they are typed.

    Example:
        >>> as_typed("Pass csv=CsvOptions(delimiter=...), or options=UploadOptions(convert='parquet').")
        'Pass --delimiter, or --as parquet.'
    """
    for pattern, words in _RULES:
        message = re.sub(pattern, words, message)
    return message
