"""No egress, measured from outside: the whole year without a network, and every call to a peer traced."""

import os
import subprocess
import sys

import pytest

from tidegate.testing.isolation import beyond_loopback, isolated, loopback_calls, why_not

ATTEMPT = """
import socket
for act in (
    lambda: socket.create_connection(("192.0.2.7", 443), timeout=1),
    lambda: socket.getaddrinfo("telemetry.example", 443),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("198.51.100.9", 9)),
    lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
):
    try:
        act()
    except OSError:
        continue
"""


@pytest.fixture(scope="module")
def possible():
    reason = why_not()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"the measurement is promised in CI: {reason}")
    if reason:
        pytest.skip(reason)


def test_an_attempt_to_reach_out_is_seen(possible, tmp_path):
    """The measurement can fail: connects, lookups and datagrams all show, though nothing can answer."""
    trace = tmp_path / "trace"
    subprocess.run(isolated([sys.executable, "-c", ATTEMPT], trace), check=True, timeout=60)
    found = beyond_loopback(trace)
    assert "192.0.2.7 port 443" in found
    assert "198.51.100.9 port 9" in found
    assert any(peer.endswith("port 53") for peer in found), "the lookup was not seen"
    assert loopback_calls(trace) == 1


@pytest.mark.slow
def test_the_whole_year_reaches_nobody(possible, played):
    trace = played[0].home.parent / "network.trace"
    assert trace.exists(), "the demo was not played in isolation"
    assert loopback_calls(trace) > 10, "the trace saw nothing of Prefect's own server on loopback"
    assert beyond_loopback(trace) == []
