"""Commands for models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from tidegate.application import train as training
from tidegate.application.lower import lower
from tidegate.application.people import names
from tidegate.application.promote import climb, preview, void_approvals
from tidegate.application.requests import Asked, requests_of
from tidegate.application.standing import lifecycle
from tidegate.application.weighing import Outcome
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import EventType
from tidegate.domain.evidence import LOSSES
from tidegate.domain.lifecycle import Action, Allowed, Dossier, Waiting
from tidegate.domain.policy import Stage
from tidegate.domain.state import VersionRow
from tidegate.entrypoints.cli.common import (
    As,
    AsJson,
    Key,
    Reason,
    acting,
    after,
    err,
    out,
    platform,
    reading,
    say,
    table,
)

#: How many earlier refusals `why` repeats.
MOST_REFUSED = 2

Model = Annotated[str, typer.Argument(help="A model's name.")]
Version = Annotated[int, typer.Argument(help="A version's number.")]


def train(
    model: Model,
    known_by: Annotated[
        str | None, typer.Option(metavar="TIME", help="Train on what was known by then; default: now.")
    ] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Train, measure, convert to ONNX and register a version. The same inputs give the same version."""
    here = platform()
    who = acting(here, as_user)
    moment: datetime | None = utc_time(known_by) if known_by else None
    err.print(f"training {model} on what was known by {known_by or 'now'} …")
    row = training.train(here, who, model, moment)
    after(here)
    say(_shown(row), as_json, lambda: _render_version(row))


def versions(model: Model, as_user: As = None, as_json: AsJson = False) -> None:
    """List a model's versions: stage, metrics, identity."""
    here = platform()
    reading(here, as_user)
    rows = lifecycle(here.ledger.state(), model).versions.values()

    def render() -> None:
        for row in rows:
            _render_version(row)

    say([_shown(row) for row in rows], as_json, render)


def promote(
    model: Model,
    version: Version,
    to: Annotated[
        Stage | None,
        typer.Option(help="How far up, stage by stage; default: to canary, from there into prod."),
    ] = None,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask for the stages above, one after the other, until one waits for people. Canary comes before prod."""
    here = platform()
    outcome = climb(here, acting(here, as_user, key), model, version, to)
    after(here)
    say_outcome(outcome, as_json)


def rollback(
    model: Model,
    reason: Reason,
    stop: Annotated[
        bool, typer.Option("--stop", help="Take prod out of service without a replacement.")
    ] = False,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Restore the previous approved version at once. It waits for nobody."""
    here = platform()
    action = Action.STOP if stop else Action.ROLL_BACK
    outcome = lower(here, acting(here, as_user, key), model, action, reason)
    after(here)
    say_outcome(outcome, as_json)


def demote(
    model: Model,
    version: Version,
    to: Annotated[Stage, typer.Option(help="How far down.")],
    reason: Reason,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Take a version in staging or canary down. It waits for nobody."""
    here = platform()
    outcome = lower(here, acting(here, as_user, key), model, Action.DEMOTE, reason, version, to)
    after(here)
    say_outcome(outcome, as_json)


def retire(
    model: Model,
    version: Version,
    reason: Reason,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Retire a version that is not in prod, for good."""
    here = platform()
    outcome = lower(here, acting(here, as_user, key), model, Action.RETIRE, reason, version)
    after(here)
    say_outcome(outcome, as_json)


def why(model: Model, version: Version, as_user: As = None, as_json: AsJson = False) -> None:
    """Explain where a version stands: what opens its next gate, what blocks it, and what was refused."""
    here = platform()
    reading(here, as_user)
    decision, dossier, policy = preview(here, model, version)
    row = here.ledger.state().get(VersionRow, model, version)
    stage = row.stage if row else ""
    found = () if isinstance(decision, Allowed) else decision.reasons
    void = void_approvals(here, model, version, dossier, policy)
    asked = requests_of(here, model, version)
    known = names(here.ledger)
    refused = [
        {
            "sequence": event.sequence,
            "actor": event.actor,
            "action": event.payload["action"],
            "reasons": event.payload["reasons"],
        }
        for event in here.ledger.events(stream=f"model/{model}")
        if event.type is EventType.ACTION_REFUSED and event.payload["subject"].get("version") == version
    ]
    data: dict[str, Any] = {
        "model": model,
        "version": version,
        "stage": stage,
        "policy": {"name": policy.name, "version": policy.version, "digest": policy.digest},
        "packet": dossier.packet,
        "findings": [
            {"demand": each.demand, "verdict": str(each.verdict), "sentence": each.sentence}
            for each in dossier.findings
        ],
        "preconditions": [each.as_dict() for each in dossier.preconditions],
        "requests": [asdict(each) for each in asked],
        "waiting": isinstance(decision, Waiting),
        "reasons": [each.as_dict() for each in found],
        "void": [each.as_dict() for each in void],
        "refused": refused,
    }

    def render() -> None:
        out.print(f"{model} version {version} stands in [bold]{stage}[/bold]")
        out.print(
            f"policy {policy.name} {policy.version} ({_short(policy.digest)}), packet {_short(dossier.packet)}"
        )
        findings = table("demand", "verdict", "what was found")
        for each in dossier.findings:
            findings.add_row(each.demand, str(each.verdict), each.sentence)
        if findings.row_count:
            out.print(findings)
        for line in (*_holding(dossier), *_asked(asked, known)):
            out.print(line, markup=False)
        for reason in dict.fromkeys((*void, *found)):
            out.print(f"  {reason.rule}  {reason.sentence}", markup=False)
            out.print(f"      next: {reason.next_step}", markup=False)
        if not found:
            out.print(f"nothing blocks the next stage; next: tidegate promote {model} {version} --as …")
        for event in refused:
            out.print(
                f"refused before (event {event['sequence']}, {event['actor']}, {event['action']}):",
                markup=False,
            )
            for told in event["reasons"]:
                out.print(f"  {told['rule']}  {told['sentence']}", markup=False)

    say(data, as_json, render)


def _holding(dossier: Dossier) -> list[str]:
    """Say which preconditions hold at this moment; those that do not are reasons."""
    return [f"  holds now: {each.sentence}" for each in dossier.preconditions if each.holds]


def _asked(asked: Sequence[Asked], known: Mapping[str, str]) -> Iterator[str]:
    """Yield what was asked and said of the next stages: what is open, and every no and every yes taken back."""
    for each in asked:
        told = [
            said for said in each.said if each.status == "open" or said.outcome != "approve" or said.revoked
        ]
        if each.status != "open" and not told and each.status != "lapsed":
            continue
        way = " by break-glass" if each.kind == "break_glass" else ""
        requester = known.get(each.requester, each.requester)
        yield f"{each.id} into {each.target}{way}: {each.status}, asked for by {requester}"
        for said in told:
            place = f" in the place of {known.get(said.for_whom, said.for_whom)}" if said.for_whom else ""
            verb = {"approve": "approved", "reject": "rejected"}.get(said.outcome, said.outcome)
            back = ", taken back since" if said.revoked else ""
            reason = f": “{said.reason}”" if said.reason else ""
            yield f"  {known.get(said.actor, said.actor)} {verb}{place}{back}{reason}"


def say_outcome(outcome: Outcome, as_json: bool) -> None:
    """Print where a version stands now, and what it waits for."""
    data = {
        "model": outcome.model,
        "version": outcome.version,
        "stage": outcome.stage,
        "promotion": outcome.promotion,
        "waits": [each.as_dict() for each in outcome.waits],
    }

    def render() -> None:
        out.print(f"{outcome.model} version {outcome.version} stands in [bold]{outcome.stage}[/bold]")
        for each in outcome.waits:
            out.print(f"  {outcome.promotion} waits: {each.rule}  {each.sentence}", markup=False)
            out.print(f"      next: {each.next_step}", markup=False)

    say(data, as_json, render)


def _shown(row: VersionRow) -> dict[str, Any]:
    return {
        "model": row.model,
        "version": row.number,
        "stage": row.stage,
        "prediction": _prediction(row),
        "artifact": row.artifact,
        "training_set": row.training_set,
        "packet": row.packet,
        "metrics": row.facts["metrics"],
        "coverage": row.facts["coverage"],
        "parity": row.facts["parity"],
        "uri": row.links["uri"],
    }


def _render_version(row: VersionRow) -> None:
    out.print(
        f"{row.model} version {row.number} stands in {row.stage}; artifact {_short(row.artifact)} (ONNX)"
    )
    metrics, loss = row.facts["metrics"], LOSSES[_prediction(row)]
    told = {loss: f"{loss}, its loss", "skill": "skill beside the base rate"}
    for name in sorted(metrics, key=lambda name: (*(name != first for first in told), name)):
        if "_if_" not in name:  # what a metric would be under another assumption is in --json
            out.print(f"  {told.get(name, name)}: {_measure(metrics[name])} (n = {metrics[name]['n']})")
    out.print(f"  parity: {row.facts['parity']['sentence']}", markup=False)
    out.print(f"  MLflow: {row.links['uri']}", markup=False)


def _prediction(row: VersionRow) -> str:
    """Return what a version predicts; before there were two kinds it was not said, and was a probability."""
    return str(row.facts.get("prediction", "probability"))


def _measure(measure: Any) -> str:
    if not measure or measure["value"] is None:
        return "—"
    if measure["low"] is None:
        return f"{measure['value']:.4f}"
    return f"{measure['value']:.4f} [{measure['low']:.4f}, {measure['high']:.4f}]"


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:12]
