"""One upload in a process of its own; `upload.py` starts it. Both libraries have the same interface.

    python benchmarks/one_upload.py LIBRARY [URL KEY FILE_TYPE PATH]

Without a URL it only imports the library. It prints the peak of its memory as JSON: `VmHWM` belongs to this very
program, whereas `ru_maxrss` would also count whoever started it.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

__all__ = ["peak_rss"]


def peak_rss() -> int:
    """Return the peak of this process's resident memory in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Import, upload, and tell the peak."""
    library, *rest = sys.argv[1:]
    sdk = importlib.import_module(library)
    begin = time.perf_counter()
    if rest:
        url, key, file_type, path = rest
        sdk.init(url=url, api_key=key)
        sdk.FileUploadConnector(file_type=file_type).upload(name="table", path=path)
    print(json.dumps({"peak": peak_rss(), "seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    main()
