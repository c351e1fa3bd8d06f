"""What a change of a dataset's columns means for those who rest on it.

More columns than promised, or a contract that promises more than it did, pass with a note. A contract that takes
away what a version on its way to prod was trained on is refused, as is a drop without a column: both name who
rests on the dataset.
"""

from __future__ import annotations

from tidegate.application.held import WAY_BACK, consumers
from tidegate.application.platform import Platform
from tidegate.application.ports import Contents, StateReader
from tidegate.application.revisions import in_force
from tidegate.domain.contract import Contract
from tidegate.domain.errors import BadInput
from tidegate.domain.evolution import evolved, promised

#: Faults of a drop that are changes of its columns.
_SCHEMA = {"columns", "mistyped-column"}
#: How many columns of a drop are named, and how much of each name: a drop may say anything there.
_MOST, _LENGTH = 10, 40


def unbroken(platform: Platform, state: StateReader, contract: Contract) -> tuple[str, ...]:
    """Return what the contract promises more than the batch before was accepted under.

    Raises:
        BadInput: it promises less, and somebody rests on that.
    """
    rows = [row for row in in_force(state, contract.dataset) if "columns" in row.report]
    if not rows:
        return ()
    last = max(rows, key=lambda row: row.sequence)
    found = evolved(last.report["columns"], promised(contract.columns, contract.delivered))
    if not found.breaks:
        return found.notes
    broken = "; ".join(found.breaks)
    if resting := _resting(platform, state, contract):
        raise BadInput(
            "breaking-contract",
            f"got version {contract.version} of the contract {contract.dataset}, in which {broken}, expected what "
            f"{_told(resting)} on",
            "restore it, or publish the change as a dataset of its own beside this one until they left",
            breaks=list(found.breaks),
            consumers=list(resting),
        )
    return (*found.notes, f"nobody rests on it: {broken}")


def left_out(contents: Contents) -> tuple[str, ...]:
    """Return a note on columns that the contract does not promise."""
    if not contents.unpromised:
        return ()
    shown = ", ".join(repr(name[:_LENGTH]) for name in contents.unpromised[:_MOST])
    more = " …" if len(contents.unpromised) > _MOST else ""
    return (f"left out, for the contract does not promise them: {shown}{more}",)


def named(platform: Platform, state: StateReader, contract: Contract, fault: BadInput) -> BadInput:
    """Return a fault of a drop's columns with those who rest on the dataset, where that can be told."""
    if fault.code not in _SCHEMA:
        return fault
    try:
        resting = _resting(platform, state, contract)
    except BadInput:  # who rests on it cannot be told now; what is wrong with the drop is no less true
        return fault
    if not resting:
        return fault
    return BadInput(
        fault.code,
        f"{fault.sentence}; {_told(resting)} on it",
        fault.hint,
        **{**fault.data, "consumers": list(resting)},
    )


def _told(resting: tuple[str, ...]) -> str:
    return f"{', '.join(resting)} {'rests' if len(resting) == 1 else 'rest'}"


def _resting(platform: Platform, state: StateReader, contract: Contract) -> tuple[str, ...]:
    """Return the versions whose rows or features are read from a dataset, like ``tides 2 (prod)``.

    Raises:
        BadInput: a model's or a feature's declaration cannot be read, so nobody can tell.
    """
    standing = [each for each in consumers(state) if each.stage != WAY_BACK]
    if not standing:
        return ()
    names = {contract.dataset, *(f"{contract.dataset}_{table}" for table in contract.declared)}
    views = {view for view, read in platform.features.reads().items() if names & read}
    declared = {
        name for name in platform.models.names() if contract.dataset in platform.models.spec(name).datasets
    }
    resting = [each for each in standing if each.model in declared or views & set(each.definitions)]
    return tuple(f"{each.model} {each.number} ({each.stage})" for each in resting)
