"""Merkle roots of segment logs (RFC 6962, section 2.1).

High-volume records (quarantined rows, served decisions) stay out of the chain; the chain holds the
root of each segment, so that a changed, dropped or added record changes an event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_LEAF, _NODE = b"\x00", b"\x01"


def merkle_root(records: Iterable[bytes]) -> str:
    """Return ``sha256:<hex>`` of the Merkle tree head over ``records`` in their order.

    The empty tree's head is the SHA-256 of nothing, as the RFC has it. Time is linear and memory
    logarithmic in the number of records: whole subtrees are folded as soon as they are complete.
    """
    peaks: list[tuple[int, bytes]] = []  # (height, hash), strictly falling heights
    for record in records:
        height, node = 0, hashlib.sha256(_LEAF + record).digest()
        while peaks and peaks[-1][0] == height:
            node = hashlib.sha256(_NODE + peaks.pop()[1] + node).digest()
            height += 1
        peaks.append((height, node))
    if not peaks:
        return "sha256:" + hashlib.sha256(b"").hexdigest()
    _, root = peaks.pop()
    while peaks:
        root = hashlib.sha256(_NODE + peaks.pop()[1] + root).digest()
    return "sha256:" + root.hex()
