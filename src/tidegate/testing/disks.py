"""A disk that is really full: a small file system in memory, in a namespace that ends with its process (Linux).

done = namespaced(__file__, {"home": …})     in the test: starts its own file, which then
small_disk(home, 4 * 2**20)                  mounts the disk,
fill(home / "filler", room)                  leaves so many bytes of it, and sees what a command does
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = 4096


def namespaced(
    script: str, given: Mapping[str, Any], timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run a script with ``given`` as JSON, in a user and mount namespace of its own."""
    words = ["unshare", "-rm", sys.executable, script, json.dumps(given)]
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)


def small_disk(folder: Path, size: int) -> None:
    """Mount a disk of so many bytes; what it held is gone with the namespace."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)  # noqa: S607  # the system's


def fill(path: Path, room: int) -> None:
    """Fill the disk of a file that is removed to free it again, up to ``room`` bytes."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, PAGE):
            with contextlib.suppress(OSError):  # that is when it is full
                while file.write(bytes(size)) == size:
                    pass
        file.truncate(max(0, file.tell() // PAGE * PAGE - room))
    status = os.statvfs(path)
    assert abs(status.f_bavail * status.f_frsize - room) < 2 * PAGE


def files(folder: Path) -> set[str]:
    """Return the names of all files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
