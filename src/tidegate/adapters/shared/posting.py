"""Posting JSON over HTTP: one request, one status, nothing of the answer's body.

No redirect is followed: what was meant for one address is sent to no other. Plain HTTP is for this machine,
or for who says that a network of its own lies between.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from http.client import HTTPException
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import SplitResult, urlsplit

from tidegate.domain.errors import DependencyFailed

#: The other side wants to be told nothing any more.
GONE = 410


def checked(url: str, what: str, *, plain: bool = False) -> str:
    """Return the host of an address that may be posted to.

    ``plain`` lets HTTP without TLS leave this machine.

    Raises:
        DependencyFailed: it is no such address. The sentence leaves it out: it may hold a secret.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = SplitResult("", "", "", "", ""), ""
    fault = ""
    if not url:
        fault = "no address"
    elif parts.scheme not in {"http", "https"} or not host or re.search(r"[\x00-\x20\x7f-\U0010ffff]", url):
        fault = "something that is no http(s) address"
    elif parts.username is not None or parts.password is not None:
        fault = "an address with a user or password in it"
    elif parts.scheme == "http" and not plain and not loopback(host):
        fault = f"plain http to {host}"
    if fault:
        raise DependencyFailed(
            "sink-address",
            f"got {fault} for {what}, expected https://HOST/…",
            "mend the profile, or the variable",
        )
    return host


def loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def post(url: str, host: str, body: bytes, headers: Mapping[str, str], seconds: float) -> None:
    """Post ``body`` and return where it was taken (any 2xx).

    Raises:
        DependencyFailed: it was not, or nobody says so within ``seconds`` in all, names and TLS included.
    """
    answer: SimpleQueue[int | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answer.put(_status(url, host, body, headers, seconds))
        except Exception as error:  # noqa: BLE001  # raised below, where somebody waits for it
            answer.put(error)

    # A socket's own timeout is per packet, and none holds for looking a name up: only a thread can be left.
    Thread(target=ask, daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except Empty:
        found = TimeoutError()
    if isinstance(found, TimeoutError):
        raise _failed("sink-slow", f"no answer from {host} within {seconds:g} seconds", "an answer in time")
    if isinstance(found, (OSError, HTTPException)):
        raise _failed("sink-unreachable", f"no answer from {host} ({_why(found)})", "one") from found
    if isinstance(found, Exception):
        raise found
    if found == GONE:
        raise _failed("sink-gone", f"status 410 from {host}: it wants to be told nothing any more", "2xx")
    if not 200 <= found < 300:  # noqa: PLR2004  # HTTP's successes
        moved = "; redirects are not followed" if 300 <= found < 400 else ""  # noqa: PLR2004
        raise _failed("sink-refused", f"status {found} from {host}{moved}", "2xx")


def _status(url: str, host: str, body: bytes, headers: Mapping[str, str], seconds: float) -> int:
    """Return the answer's status."""
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:
            return None

    # What is meant for this machine is not shown to a proxy.
    handlers: list[Any] = [Stay, *([ProxyHandler({})] if loopback(host) else [])]
    opener: OpenerDirector = build_opener(*handlers)
    request = Request(url, body, dict(headers), method="POST")  # noqa: S310  # its scheme was checked
    try:
        with opener.open(request, timeout=seconds) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code
    except URLError as error:
        raise error.reason if isinstance(error.reason, Exception) else OSError(str(error.reason)) from error


def _failed(code: str, got: str, expected: str) -> DependencyFailed:
    return DependencyFailed(code, f"got {got}, expected {expected}", "see `tidegate outbox`")


def _why(error: Exception) -> str:
    """Return a cause in a few words of the system's own, never of the other side."""
    return getattr(error, "strerror", None) or type(error).__name__
