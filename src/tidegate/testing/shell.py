"""Public commands on one home, run as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
#: What `Shell.several` starts: the command line's own entry, called for one command after the other.
_SEVERAL = """
import contextlib, io, json, os, sys
from tidegate.domain.errors import TidegateError
from tidegate.entrypoints.cli.app import app

printed = []
for words, more in json.loads(sys.argv[1]):
    os.environ.update(more)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            app([*words, "--json"], standalone_mode=False)
    except TidegateError as error:
        sys.exit(f"`{' '.join(words)}`: {error.sentence}")
    for name in more:
        del os.environ[name]
    printed.append(json.loads(said.getvalue()))
json.dump(printed, sys.stdout)
"""


@dataclass(frozen=True)
class Shell:
    """Runs commands of ``project`` on ``home``, in processes of their own."""

    home: Path
    project: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a user who set nothing but the home."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        return {**plain, "TIDEGATE_HOME": str(self.home), "COLUMNS": "200", **more}

    def start(self, *words: str, out: int = subprocess.DEVNULL, **more: str) -> subprocess.Popen[bytes]:
        """Start a command and return at once; what it prints goes to ``out``, by default nowhere."""
        return subprocess.Popen(
            [str(BIN / "tidegate"), *words],
            cwd=self.project,
            env=self.environment(**more),
            stdout=out,
            stderr=subprocess.DEVNULL,
        )

    def run(self, *words: str, timeout: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Whatever happens, nobody is shown a traceback."""
        return self._run([str(BIN / "tidegate"), *words], timeout, more)

    def json(self, *words: str, timeout: float = 300, **more: str) -> Any:
        """Run a command that must succeed and return what it printed with ``--json``."""
        return self.json_of([str(BIN / "tidegate"), *words, "--json"], timeout=timeout, **more)

    def several(self, *commands: tuple[Sequence[str], Mapping[str, str]], timeout: float = 900) -> list[Any]:
        """Run commands that must succeed one after the other in one process; return what each printed as JSON.

        The tools are imported once, which is most of what a short command takes.
        """
        told = json.dumps([(list(words), dict(more)) for words, more in commands])
        return list(self.json_of([sys.executable, "-P", "-c", _SEVERAL, told], timeout=timeout))

    def json_of(self, words: Sequence[str], timeout: float = 300, **more: str) -> Any:
        """Run a whole command line that must succeed, and return the JSON it printed."""
        done = self._run(words, timeout, more)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def _run(
        self, words: Sequence[str], timeout: float, more: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            words,
            cwd=self.project,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def processes(self) -> list[str]:
        """Return the command lines of all processes that run for this home (Linux only)."""
        return list(self.running().values())

    def running(self) -> dict[int, str]:
        """Return all processes that run for this home, by their number (Linux only)."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environment = (process / "environ").read_bytes().split(b"\0")
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it ended while we looked
            if f"TIDEGATE_HOME={self.home}".encode() in environment and words:
                found[int(process.name)] = words
        return found
