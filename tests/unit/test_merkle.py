from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain.merkle import merkle_root

steady = settings(deadline=None, max_examples=50)  # a slow machine is no fault

#: The eight leaves and their roots by which Certificate Transparency's implementations test each other.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def oracle(records):
    """RFC 6962, section 2.1, word for word."""
    if not records:
        return hashlib.sha256(b"").digest()
    if len(records) == 1:
        return hashlib.sha256(b"\x00" + records[0]).digest()
    split = 1
    while split * 2 < len(records):
        split *= 2
    return hashlib.sha256(b"\x01" + oracle(records[:split]) + oracle(records[split:])).digest()


@steady
@given(st.lists(st.binary(max_size=8), max_size=70))
def test_the_root_is_what_the_rfc_defines(records):
    assert merkle_root(records) == "sha256:" + oracle(records).hex()


@pytest.mark.parametrize("count", range(1, 9))
def test_the_root_is_the_published_one(count):
    assert merkle_root(bytes.fromhex(leaf) for leaf in LEAVES[:count]) == "sha256:" + ROOTS[count - 1]


def test_nothing_has_the_root_of_nothing():
    assert merkle_root([]) == "sha256:" + hashlib.sha256(b"").hexdigest()


@steady
@given(st.lists(st.binary(max_size=4), min_size=1, max_size=20), st.data())
def test_a_changed_dropped_added_or_moved_record_changes_the_root(records, data):
    at = data.draw(st.integers(0, len(records) - 1))
    root = merkle_root(records)
    assert merkle_root([*records[:at], records[at] + b"x", *records[at + 1 :]]) != root
    assert merkle_root(records[:at] + records[at + 1 :]) != root
    assert merkle_root([*records[:at], b"new", *records[at:]]) != root
    turned = [*records[at:], *records[:at]]
    assert (merkle_root(turned) == root) == (turned == records)


def test_a_record_that_looks_like_a_node_is_still_a_leaf():
    left, right = (hashlib.sha256(b"\x00" + leaf).digest() for leaf in (b"a", b"b"))
    assert merkle_root([b"\x01" + left + right]) != merkle_root([b"a", b"b"])


def test_records_are_taken_one_by_one():
    assert merkle_root(str(number).encode() for number in range(100_000)).startswith("sha256:")
