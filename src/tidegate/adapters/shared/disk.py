"""How a tool says that the disk is full: as the system's own error, or in the words of its database."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from tidegate.domain.errors import DependencyFailed

_FULL = {errno.ENOSPC, errno.EDQUOT}
#: SQLite's words, and the system's where a tool has wrapped its error in one of its own.
_SAID = ("database or disk is full", "no space left on device", "disk quota exceeded")


def disk_full(error: BaseException, whose: str) -> DependencyFailed | None:
    """Return the sentence for a full disk if that is what failed, None if it was something else.

    What a tool raises last may be that it could not even undo what it had begun: the cause is looked for behind it.
    """
    if not any(_says_so(each) for each in _behind(error)):
        return None
    return DependencyFailed(
        "disk-full",
        f"got no space left on the disk of {whose}, expected room to write",
        "free some space and run the same again; what was committed stays",
    )


def _says_so(error: BaseException) -> bool:
    text = str(error).lower()
    return getattr(error, "errno", None) in _FULL or any(words in text for words in _SAID)


def _behind(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
