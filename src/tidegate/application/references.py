"""What other datasets list: the values that a gate compares a drop's columns with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.application.platform import Platform
from tidegate.application.ports import StateReader
from tidegate.application.revisions import in_force
from tidegate.domain.contract import Contract, Reference


@dataclass(frozen=True)
class Listing:
    """Where the values of one reference are listed: the other dataset's contract, and its batches in force."""

    reference: Reference
    contract: Contract
    batches: tuple[str, ...]


def listings(platform: Platform, state: StateReader, contract: Contract) -> tuple[Listing, ...]:
    """Return one listing per name that the contract refers to, without those of datasets with no batch yet.

    A gate that is not given a name cannot measure the checks on it, and stops the drop (G1).

    Raises:
        BadInput: a dataset that is referred to is under no contract.
    """
    found: dict[str, Listing] = {}
    for reference in contract.references:
        batches = tuple(sorted({row.batch for row in in_force(state, reference.dataset)}))
        if batches and reference.name not in found:
            found[reference.name] = Listing(reference, platform.contracts.load(reference.dataset), batches)
    return tuple(found.values())


def unlisted(platform: Platform, state: StateReader, contract: Contract) -> tuple[str, ...]:
    """Return the datasets that the contract refers to and that have no accepted batch yet."""
    known = {listing.reference.dataset for listing in listings(platform, state, contract)}
    return tuple(sorted({reference.dataset for reference in contract.references} - known))


def values(platform: Platform, listing: Listing) -> tuple[str, ...]:
    """Return every value listed, accepted or declared, as text and sorted.

    Raises:
        DependencyFailed: a batch's file is gone or was altered.
    """
    column = listing.reference.listed_in
    accepted = platform.batches.values(listing.reference.dataset, listing.batches, column)
    rows = (row for table in listing.contract.declared.values() for row in table)
    declared = {str(row[column]) for row in rows if row.get(column) is not None}
    return tuple(sorted({*accepted, *declared}))


def listing_facts(found: tuple[Listing, ...]) -> Mapping[str, Any]:
    """Return what the ledger keeps of the lists that a drop was judged against."""
    return {
        listing.reference.name: {"contract": listing.contract.digest, "batches": list(listing.batches)}
        for listing in found
    }
