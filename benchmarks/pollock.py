"""The labelled files of the Pollock benchmark: 100 that were found on the Web, and 2,290 that were spoiled on purpose.

https://github.com/HPI-Information-Systems/Pollock; nothing of it is kept here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from csv_corpus import NAMES, Dialect, Labelled

__all__ = ["pollock"]


def pollock(folder: Path) -> Iterator[Labelled]:
    """Return the files of a checkout whose delimiter is one of the four, as text."""
    for part in ("survey_sample", "polluted_files"):
        for path in sorted((folder / part / "csv").iterdir()):
            about = json.loads((folder / part / "parameters" / f"{path.name}_parameters.json").read_bytes())
            escape = "" if about["escapechar"] == about["quotechar"] else about["escapechar"]
            text = path.read_bytes().decode(about["encoding"] or "utf-8", errors="replace")
            if about["delimiter"] in NAMES and "\0" not in text:
                yield Labelled(
                    f"Pollock, {part}", path.name, text, Dialect(about["delimiter"], about["quotechar"], escape)
                )
