"""Run a command with loopback only, and read off afterwards whom it tried to reach (Linux).

    unshare -rn     a user and a network namespace of its own: there is no way out
    strace -f       every connect and every addressed send of it and all its children, as the kernel saw them

What no network can show, the trace does: an attempt that nobody answered was still an attempt.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

#: Calls that name a peer. `getaddrinfo` shows as a connect or a send to a name server.
CALLS = "connect,sendto,sendmsg,sendmmsg"
_UP = 'ip link set lo up && exec "$@"'
_PEER = re.compile(
    r"sin_port=htons\((?P<port>\d+)\), sin_addr=inet_addr\(\"(?P<four>[^\"]+)\"\)"
    r"|sin6_port=htons\((?P<port6>\d+)\).*?inet_pton\(AF_INET6, \"(?P<six>[^\"]+)\""
)
_DNS = "53"
#: Name services that are asked over a local socket: a lookup all the same. nscd is also asked for accounts.
_RESOLVER = re.compile(r"sun_path=\"[^\"]*(systemd/resolve|mdns|resolved)[^\"]*\"")
#: Loopback, and "any", which only a socket of our own is asked for.
_HOME = {"::1", "::ffff:127.0.0.1", "0.0.0.0", "::"}  # noqa: S104  # compared with, never bound


def why_not() -> str:
    """Return what is missing on this machine to isolate a command, or nothing."""
    missing = [name for name in ("unshare", "ip", "strace") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    try:
        tried = isolated(["true"], Path("/dev/null"))
        done = subprocess.run(tried, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a namespace cannot be had ({error})"
    return "" if done.returncode == 0 else f"a namespace cannot be had ({done.stderr.strip()[:120]})"


def isolated(words: Sequence[str], trace: Path) -> list[str]:
    """Return the command that runs ``words`` with loopback only, its network calls written to ``trace``."""
    traced = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        "signal=none",
        "-e",
        f"trace={CALLS}",
        "-o",
        str(trace),
    ]
    return ["unshare", "-rn", "sh", "-c", _UP, "sh", *traced, "--", *words]


def beyond_loopback(trace: Path) -> list[str]:
    """Return every peer beyond loopback, and every name server anywhere, that the trace names."""
    found: dict[str, None] = {}
    with trace.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if _RESOLVER.search(line):
                found["a resolver's socket"] = None
            for peer in _PEER.finditer(line):
                address = peer["four"] or peer["six"]
                port = peer["port"] or peer["port6"]
                at_home = address.startswith("127.") or address in _HOME
                if not at_home or port == _DNS:
                    found[f"{address} port {port}"] = None
    return list(found)


def loopback_calls(trace: Path) -> int:
    """Count the calls that named a peer on loopback: a trace without any saw nothing."""
    with trace.open(encoding="utf-8", errors="replace") as lines:
        return sum(1 for line in lines if 'inet_addr("127.' in line or '"::1"' in line)
