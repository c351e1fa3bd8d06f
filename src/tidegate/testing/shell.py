"""Public commands on one home, run as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Shell:
    """Runs commands of ``project`` on ``home``, in processes of their own."""

    home: Path
    project: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a user who set nothing but the home."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        return {**plain, "TIDEGATE_HOME": str(self.home), "COLUMNS": "200", **more}

    def start(self, *words: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a command and return at once; what it prints is thrown away."""
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            [str(BIN / "tidegate"), *words],
            cwd=self.project,
            env=self.environment(**more),
            stdout=quiet,
            stderr=quiet,
        )

    def run(self, *words: str, timeout: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Whatever happens, nobody is shown a traceback."""
        done = subprocess.run(
            [str(BIN / "tidegate"), *words],
            cwd=self.project,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def json(self, *words: str, timeout: float = 300, **more: str) -> Any:
        """Run a command that must succeed and return what it printed with ``--json``."""
        done = self.run(*words, "--json", timeout=timeout, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def processes(self) -> list[str]:
        """Return the command lines of all processes that run for this home (Linux only)."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environment = (process / "environ").read_bytes().split(b"\0")
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it ended while we looked
            if f"TIDEGATE_HOME={self.home}".encode() in environment and words:
                found.append(words)
        return found
