"""One upload of kumo_async with other sizes than its defaults, in a process of its own; `part_size.py` starts it.

python benchmarks/tuned_upload.py '{"url": …, "key": …, "path": …, "uvloop": true, "block": 262144, "options": {…}}'
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from one_upload import peak_rss

__all__: list[str] = []


def main() -> None:
    """Upload as the argument says, and tell the peak of the memory."""
    tuning: dict[str, Any] = json.loads(sys.argv[1])
    if not tuning["uvloop"]:
        sys.modules["uvloop"] = None  # type: ignore[assignment]
    import kumo_async
    from kumo_async.sources import files

    # The block size is no option: it has one best value, and this is how it was found.
    files.BLOCK_SIZE = tuning["block"]
    kumo_async.init(tuning["url"], tuning["key"])
    connector = kumo_async.FileUploadConnector(Path(tuning["path"]).suffix[1:])
    connector.upload("table", tuning["path"], options=kumo_async.UploadOptions(**tuning["options"]))
    print(json.dumps({"peak": peak_rss()}))


if __name__ == "__main__":
    main()
