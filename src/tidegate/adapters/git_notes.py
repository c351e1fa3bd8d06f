"""Notes beside the commits of a git repository, under a ref of their own: ``refs/notes/tidegate``.

``git push REMOTE refs/notes/tidegate`` takes them to where this machine cannot rewrite them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tidegate.domain.errors import BadInput, DependencyFailed

REF = "tidegate"
#: What all notes together may hold: a line is an anchor of some 400 bytes.
MOST_BYTES = 64 * 1024 * 1024

#: A note is nobody's work: it is written under this name, whoever's machine it is, and runs nobody's hooks.
_SETTINGS = ("user.name=tidegate", "user.email=tidegate@localhost", f"core.hooksPath={os.devnull}")


class GitNotes:
    """The notes of the repository at ``folder``, by the ``git`` of this machine."""

    def __init__(self, folder: Path) -> None:
        """Find the repository.

        Raises:
            BadInput: there is none. DependencyFailed: there is no git on this machine.
        """
        self._folder = folder
        try:
            found = self._git("rev-parse", "--path-format=absolute", "--git-common-dir")
        except DependencyFailed as error:
            if error.code == "no-git":
                raise
            raise BadInput(
                "no-repository", f"got {folder}, expected the folder of a git repository", "name another"
            ) from error
        self.place = Path(found.decode().strip()).resolve()

    def append(self, line: str) -> str:
        """Add a line to the note of the newest commit, and return that commit.

        Raises:
            BadInput: there is no commit yet. DependencyFailed: it cannot be written.
        """
        try:
            commit = self._git("rev-parse", "--verify", "HEAD^{commit}").decode().strip()
        except DependencyFailed as error:
            raise BadInput(
                "no-commit", "got a repository without a commit, expected one to note it on", "commit first"
            ) from error
        self._git("notes", f"--ref={REF}", "append", "-F", "-", commit, said=line.encode())
        return commit

    def lines(self) -> Mapping[str, tuple[str, ...]]:
        """Return the lines noted, by commit; none where nobody noted any.

        Raises:
            DependencyFailed: they cannot be read, or are too many.
        """
        pairs = [line.split() for line in self._git("notes", f"--ref={REF}", "list").decode().splitlines()]
        notes = [note for note, _ in pairs]
        asked = "\n".join(notes).encode() + b"\n"
        sizes = self._git("cat-file", "--batch-check=%(objectsize)", said=asked).split() if notes else []
        if not all(map(bytes.isdigit, sizes)):
            raise DependencyFailed(
                "git-failed", "got a note whose object is missing, expected it", "run `git fsck` there"
            )
        if sum(map(int, sizes)) > MOST_BYTES:
            raise DependencyFailed(
                "notes-too-large",
                f"got notes of more than {MOST_BYTES} bytes, expected a line for each anchor",
                f"see `git notes --ref={REF} list`",
            )
        bodies = _bodies(self._git("cat-file", "--batch", said=asked)) if notes else iter(())
        return {
            commit: tuple(line for line in body.split("\n") if line.strip())
            for (_, commit), body in zip(pairs, bodies, strict=True)
        }

    def _git(self, *words: str, said: bytes = b"") -> bytes:
        settings = [part for each in _SETTINGS for part in ("-c", each)]
        # What names a repository in the environment (a hook that calls us) must not lead to another one.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        try:
            done = subprocess.run(  # noqa: S603  # no shell, and a folder is never an option behind -C
                ["git", "-C", str(self._folder), *settings, *words],  # noqa: S607  # the one on the PATH
                input=said, env={**plain, "LC_ALL": "C"}, capture_output=True, timeout=60, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DependencyFailed(
                "no-git", f"git did not answer ({type(error).__name__})", "install git"
            ) from error
        if done.returncode:
            told = (done.stderr.decode(errors="replace").strip() or "nothing").splitlines()[0]
            raise DependencyFailed(
                "git-failed", f"git {words[0]} ended with {done.returncode}: {told}", "see what git says"
            )
        return done.stdout


def _bodies(batch: bytes) -> Iterator[str]:
    """Read what ``git cat-file --batch`` printed: a line with each object's size, the object, a line's end."""
    at = 0
    while at < len(batch):
        end = batch.index(b"\n", at)
        size = int(batch[at:end].split()[2])
        yield batch[end + 1 : end + 1 + size].decode(errors="replace")
        at = end + 1 + size + 1
