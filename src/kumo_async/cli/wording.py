"""Messages of the library in the words of the command line: where they name an argument, its option."""

from __future__ import annotations

import re

__all__ = ["as_typed"]

#: In this order, since the first are special cases of others. What has no option is marked as Python's.
_RULES = [
    (r"(?:options=)?UploadOptions\(convert='(\w+)'\)", r"--as \1"),
    (r"(UploadOptions\((?:verify_parts|partition_threshold)=[^)]*\))", r"(from Python) \1"),
    (r"csv=CsvOptions\(quoted_nulls=True\)", "--quoted-nulls"),
    (r"CsvOptions\.types, null_values and quoted_nulls", "--quoted-nulls, and types and null_values from Python,"),
    (r"(csv=CsvOptions\(types=[^)]*\))", r"(from Python) \1"),
    (r"csv=CsvOptions\(delimiter=\.\.\.\)", "--delimiter"),
    (r"csv=CsvOptions\(encoding=\.\.\.\)", "--encoding"),
    (r"csv=CsvOptions\(encoding='([^']*)'\)", r"--encoding \1"),
    (r"csv=CsvOptions\(escape='\\\\'\)", r"--escape '\\'"),
    (r"csv=CsvOptions\(\.\.\.\)", "--delimiter, --quote, --escape or --encoding"),
    (r"CsvOptions\(column_names=\.\.\.\)", "--column-names"),
    (r"CsvOptions\(header=False\) needs column_names", "--no-header needs --column-names"),
    (r"CsvOptions\.column_names must be a list of one name or more, each a str", "--column-names must name a column"),
    (r"CsvOptions\.column_names", "--column-names"),
    (r"CsvOptions\.header", "--no-header"),
    (r"CsvOptions\.(?!types|null_values)(\w+)", r"--\1"),
    (r"CsvOptions: ", ""),
    (r"\bencoding='([^']*)'", r"--encoding \1"),
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
