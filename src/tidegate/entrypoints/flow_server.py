"""Prefect's API server for flows that run in this process.

Prefect would start one by itself, but that one outlives a killed parent. This one listens on a socket
that it inherits (no port is guessed twice) and reads a pipe from its parent: when the parent ends, however
it ends, the pipe closes and the server ends too.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tidegate.domain.errors import DependencyFailed

#: How long a first start may take on a slow machine; it creates and migrates Prefect's database.
START_SECONDS = 120.0
_LOG = "flow-server.log"
#: What its database and that one's log take. Where less is left, its own log has no room to say so.
SCARCE = 8 * 2**20


class FlowServer:
    """A server process, and the address it answers at."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._home, self._answered = home, False
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        with (home / _LOG).open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [sys.executable, "-m", __name__, str(listening.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(listening.fileno(),),
                env={**os.environ, "PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"},
            )
        listening.close()
        atexit.register(self.stop)

    def wait(self) -> None:
        """Wait until it answers; once it has answered, only its death is news.

        Raises:
            DependencyFailed: it ended, or did not answer in time.
        """
        if self._answered and self._process.poll() is None:
            return
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urlopen(f"{self.url}/health", timeout=5) as answer:  # noqa: S310  # our own loopback address
                    if answer.status == 200:  # noqa: PLR2004  # HTTP's OK
                        self._answered = True
                        return
            except (URLError, TimeoutError, ConnectionError):
                time.sleep(0.05)
        code = self._process.poll()
        self.stop()
        late = f"it did not answer within {START_SECONDS:.0f} s"
        what = late if code is None else f"it ended with {code} before it answered"
        raise server_failed(self._home, what, f"see {self._home / _LOG}")

    def stop(self) -> None:
        """End it and wait for its end; ending it twice is no error."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def server_failed(home: Path, what: str, hint: str = "see what its own log says") -> DependencyFailed:
    """Return the sentence for a server that failed; where its disk is as good as full, that is what it says."""
    left = shutil.disk_usage(home).free
    if left < SCARCE:
        return DependencyFailed(
            "disk-full",
            f"got Prefect's server failing ({what}) with {left // 1024:,} KiB left, no space left on the disk for "
            "its database, expected some MiB",
            "free some space and run the same again; what was committed stays",
        )
    return DependencyFailed(
        "no-flow-server",
        f"got Prefect's server failing ({what}), expected it to answer",
        hint,
    )


@cache
def flow_server(home: Path) -> FlowServer:
    """Start this process's one server, without waiting for it to answer."""
    return FlowServer(home)


def _serve(descriptor: int) -> None:
    def end_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    import uvicorn

    uvicorn.run(
        "prefect.server.api.server:create_app", factory=True, fd=descriptor, log_level="error", lifespan="on"
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
