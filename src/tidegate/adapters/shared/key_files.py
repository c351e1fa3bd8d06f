"""Keys in files of mode 0600, each made once, on first use."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tidegate.adapters.shared.files import fill, partial
from tidegate.domain.errors import DependencyFailed


def read_or_make(file: Path, what: str, make: Callable[[], bytes]) -> bytes:
    """Return what a key's file holds; ``what`` names the key in a fault, ``make`` makes one where there is none.

    Raises:
        DependencyFailed: the file cannot be read or written.
    """
    try:
        if not file.exists():
            made = make()
            with partial(file) as part:
                fill(part, made)
                # If somebody else was first, theirs is the key: unlike a rename, no link replaces it.
                with suppress(FileExistsError):
                    os.link(part, file)
        return file.read_bytes()
    except OSError as error:
        raise DependencyFailed(
            "no-key",
            f"got the {what} key's file {file.name}, which cannot be used ({error.strerror})",
            "see who may read and write it",
        ) from error
