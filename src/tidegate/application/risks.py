"""What is open about a version: what the facts say by themselves, and what its owner has declared.

A risk blocks nothing. It is sealed so that whoever approves has read it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tidegate.application.gating import let_in
from tidegate.domain.contract import OnRow
from tidegate.domain.counting import many
from tidegate.domain.evidence import Verdict
from tidegate.domain.state import BatchRow

#: How many slices a sentence names.
_NAMED = 5


def open_risks(
    packet: Mapping[str, Any], declared: Iterable[str], batches: Collection[BatchRow]
) -> dict[str, Any]:
    """Return the risks that the other sections of a packet, and the gate runs of its batches, show."""
    found = [{"kind": kind, "sentence": sentence} for kind, sentence in _found(packet, batches)]
    return {"declared": list(declared), "found": found}


def _found(packet: Mapping[str, Any], batches: Collection[BatchRow]) -> Iterator[tuple[str, str]]:
    yield from _data(packet["data"], packet["features"])
    yield from _judged(packet)
    yield from _compared(packet)
    if packet["code"].get("changed") == "true":
        yield "code", "it was trained from files that are not the commit that it names"
    yield from _waived(batches)
    yield from _kept(batches)


def _data(data: Mapping[str, Any], features: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "unread" in data:
        yield "training_set", f"what it learned from cannot be read any more: {data['unread']}"
    elif data["training_set"] != data["registered"]:
        found, expected = data["training_set"], data["registered"]
        yield "training_set", f"what it learned from is not what it was: got {found}, expected {expected}"
    if gone := data.get("erased"):
        yield (
            "erased",
            f"{gone['rows']} of the rows it learned from were erased since; it was not trained again",
        )
    if data["restated"]:
        yield "restated", f"{data['restated']} of the batches it learned from were restated since"
    if features["redefined"]:
        yield "redefined", f"defined otherwise since it learned from them: {', '.join(features['redefined'])}"


def _judged(packet: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    scheduled = packet["coverage"].get("scheduled", 0)
    measured = packet["coverage"].get("measured", scheduled)
    if missing := scheduled - measured:
        share = f"{missing:,} of the {scheduled:,} rows it was judged on ({missing / scheduled:.1%})"
        yield "unlabelled", f"{share} had no known outcome"
    untested = packet["untested_slices"]
    if untested.get("count"):
        few = [f"{name} ({rows})" for name, rows in untested["slices"].items()]
        rule = f"fewer than {untested['least_rows']} labelled rows, or rows of one day alone"
        yield "untested_slices", f"{untested['count']} slices have {rule}: {_named(few)}"


def _compared(packet: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    number = packet["champion"]["version"]
    if number:
        gain = packet["champion"]["gain"]
        if _below(gain):
            yield "champion", f"it is surely worse than version {number}: gain {_shown(gain)}"
        elif not _above(gain):
            yield "champion", f"it cannot be told from version {number}: gain {_shown(gain)}"
    worse = [
        f"{name} {_shown(gain)}"
        for name, gain in packet["slices_against_champion"].get("gains", {}).items()
        if _below(gain)
    ]
    if worse:
        yield "worse_slices", f"it is surely worse than version {number} on {_named(worse)}"
    canary = packet["canary"]
    if canary["verdict"] in {Verdict.INCONCLUSIVE, Verdict.ERROR}:
        yield "canary", f"its canary on {canary['period']} is {canary['verdict']} and {canary['standing']}"


def _waived(batches: Iterable[BatchRow]) -> Iterator[tuple[str, str]]:
    """Yield what waivers let through: it did not hold of the data, and somebody said that it need not."""
    let: dict[tuple[str, str, str], list[int]] = {}
    for batch in batches:
        for use in let_in(batch.report):
            seen = let.setdefault((batch.dataset, use.check, use.waiver), [0, 0])
            seen[0] += 1
            seen[1] += use.rows
    for (dataset, check, waiver), (count, rows) in sorted(let.items()):
        whole = many(count, "batch")
        of = f", {rows:,} rows" if rows else ""
        yield "waived", f"{dataset} {check} was waived by {waiver} for {whole} that it learned from{of}"


def _kept(batches: Iterable[BatchRow]) -> Iterator[tuple[str, str]]:
    """Yield the checks that failed on rows which were kept: findings, such as a name that another dataset lacks."""
    rows: dict[tuple[str, str, str], list[int]] = {}
    for batch in batches:
        for check in batch.report.get("checks", ()):
            if check["on_row"] == OnRow.KEEP and check["verdict"] != Verdict.PASSED:
                told = check["sentence"].rpartition(": ")[0] or check["sentence"]
                seen = rows.setdefault((batch.dataset, check["id"], told), [0, 0, 0])
                for place, count in enumerate((1, check["failing"], check["evaluated"])):
                    seen[place] += count
    for (dataset, check, told), (count, failing, evaluated) in sorted(rows.items()):
        whole = many(count, "batch")
        said = f"{failing:,} of {evaluated:,} rows" if failing else whole
        yield "findings", f"{dataset} {check}, {told}: not so of {said}, which were kept"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _below(gain: Mapping[str, Any]) -> bool:
    return gain["high"] is not None and gain["high"] < 0


def _above(gain: Mapping[str, Any]) -> bool:
    return gain["low"] is not None and gain["low"] > 0


def _shown(gain: Mapping[str, Any]) -> str:
    value, low, high = (gain[name] for name in ("value", "low", "high"))
    if value is None:
        return "not finite"
    return f"{value:.4g}" if low is None or high is None else f"{value:.4g} [{low:.4g}, {high:.4g}]"
