"""What ``tidegate doctor`` looks at."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from tidegate.adapters.shared.files import partials, sweep
from tidegate.application.erased import unfinished
from tidegate.application.features import not_online, registered_views, trusted
from tidegate.application.outbox import standings
from tidegate.application.projection import SINK
from tidegate.application.reconcile import reconcile
from tidegate.application.runs import ran_ahead, schedule_status
from tidegate.application.unclaimed import sweep_rows
from tidegate.bootstrap import Tidegate
from tidegate.domain.counting import many
from tidegate.domain.errors import TidegateError
from tidegate.domain.state import BatchRow, PolicyRow, VersionRow

TOOLS = ("prefect", "great-expectations", "feast", "mlflow", "evidently")


@dataclass(frozen=True)
class Finding:
    """One thing that was examined."""

    what: str
    ok: bool
    sentence: str
    hint: str = ""


def examine(here: Tidegate) -> list[Finding]:
    """Examine everything; what cannot be examined is a finding too, and stops nothing."""
    findings = []
    for what, look in _LOOKS.items():
        try:
            findings += [Finding(what, ok, sentence, hint) for ok, sentence, hint in look(here)]
        except TidegateError as error:
            findings.append(Finding(what, False, error.sentence, error.hint))
    return findings


Look = Iterator[tuple[bool, str, str]]


def _tools(_: Tidegate) -> Look:
    required = {
        line.split("==")[0].split("[")[0]: line.split("==")[1].split(";")[0].strip()
        for line in metadata.requires("tidegate") or []
        if "==" in line
    }
    for tool in TOOLS:
        found, wanted = metadata.version(tool), required.get(tool, "")
        yield (
            found == wanted,
            f"{tool} {found}, tried with {wanted}",
            "" if found == wanted else "run make demo again",
        )


def _keys(here: Tidegate) -> Look:
    _ = here.signer.public_key
    private = [here.settings.home / "keys" / "ledger.pem", *(here.settings.home / "tokens").glob("*")]
    loose = [path.name for path in private if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    hint = f"chmod 600 {' '.join(loose)}" if loose else ""
    yield (
        not loose,
        f"{', '.join(loose)} readable by others" if loose else "readable by this account only",
        hint,
    )


def _files(here: Tidegate) -> Look:
    swept = sweep(here.settings.home, here.clock.recorded())
    sentence = (
        f"removed {len(swept)} that killed commands had left half-written"
        if swept
        else "none is half-written"
    )
    young = len(partials(here.settings.home))
    yield True, sentence + (f"; {young} being written, or removed in an hour" if young else ""), ""
    if rows := sweep_rows(here):
        yield True, f"removed {rows} with rows that killed commands had not recorded", ""


def _ledger(here: Tidegate) -> Look:
    faults = here.ledger.verify()
    hint = "run `tidegate audit verify` and restore a backup" if faults else ""
    yield not faults, faults[0] if faults else "chain and state are sound", hint


def _policy(here: Tidegate) -> Look:
    on_disk = here.policies.load()
    in_force = here.ledger.state().select(PolicyRow, in_force=True)[0]
    same = on_disk.digest == in_force.digest
    sentence = f"{in_force.name} {in_force.version} is in force" + (
        "" if same else "; the file on disk differs"
    )
    hint = (
        ""
        if same
        else "`tidegate policy diff` shows in what; `tidegate policy propose FILE --reason …` asks for it (P6)"
    )
    yield same, sentence, hint


def _contracts(here: Tidegate) -> Look:
    for dataset in here.contracts.datasets():
        contract = here.contracts.load(dataset)
        yield True, f"{dataset} {contract.version}: {len(contract.checks)} checks", ""


def _batches(here: Tidegate) -> Look:
    rows = [row for row in here.ledger.state().select(BatchRow) if row.batch]
    for row in rows:
        here.batches.path(row.dataset, row.batch)
    yield True, f"{len(rows)} accepted batches have their digests", ""
    there = len(unfinished(here))
    told = f"{there} erased files are still there" if there else "no erased file is there"
    yield not there, told, "run `tidegate subject finish`" if there else ""


def _features(here: Tidegate) -> Look:
    rows = registered_views(here, here.ledger.state())
    trusted(here, here.ledger.state())
    yield True, f"{many(len(rows), 'view')} with the sources they were built with", ""
    if any(row.online_until for row in rows):
        other = not_online(rows, here.features.windows())
        told = f"the online store has not what the record says of {', '.join(other)}"
        hint = "run `tidegate run materialize`: it brings online what is missing" if other else ""
        yield not other, told if other else f"{many(len(rows), 'view')} online as recorded", hint
        if not other:
            services = here.features.registered({}).services
            # Of nobody, but all the way: views must lie where Feast has them registered.
            for service in services:
                here.features.answers(service, [], here.clock.now())
            yield True, f"{many(len(services), 'service')} asked, as registered", ""


def _registry(here: Tidegate) -> Look:
    state = here.ledger.state()
    repaired = reconcile(here, here.who)
    for row in state.select(VersionRow):
        here.registry.fetch(row.model, row.number, row.artifact)
    for each in repaired:
        facts = "; ".join(each.incident.facts)
        hint = each.wishes[0] if each.wishes else "find out who moved it: the ledger decides, aliases follow"
        yield False, f"repaired, and recorded as {each.incident.id}: {facts}", hint
    if not repaired:
        yield True, f"aliases follow the ledger (projected to event {here.ledger.cursor(SINK)})", ""


def _schedules(here: Tidegate) -> Look:
    found = schedule_status(here, here.clock.now())
    hint = "set the clock right; what was recorded ahead of it is run again when it comes"
    jumped = [item for item in found if item["ahead"]]
    for item in jumped:
        yield False, ran_ahead(item), hint
    if not jumped:
        yield True, f"{len(found)} schedules, no run recorded ahead of the clock", ""


def _sinks(here: Tidegate) -> Look:
    for each in standings(here):
        told = f"{each.sink} was told up to event {each.sequence}"
        again = "reconcile" if each.sink == SINK else f"outbox drain {each.sink}"
        hint = f"tidegate {again} --as NAME" if each.error else ""
        yield not each.error, f"{told}; {each.error}" if each.error else told, hint


_LOOKS: dict[str, Callable[[Tidegate], Look]] = {
    "tools": _tools,
    "keys": _keys,
    "files": _files,
    "ledger": _ledger,
    "policy": _policy,
    "contracts": _contracts,
    "batches": _batches,
    "features": _features,
    "registry": _registry,
    "schedules": _schedules,
    "sinks": _sinks,
}
