"""Commands that change the policy in force: propose another one, decide on it, list what was proposed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.application.change_policy import STREAM, Changed, decide_change, waits_for
from tidegate.application.change_policy import propose as propose_policy
from tidegate.application.people import names
from tidegate.bootstrap import Tidegate
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.lifecycle import Reason as Because
from tidegate.domain.state import PolicyRow, ProposalDecisionRow, ProposalRow
from tidegate.entrypoints.cli.common import (
    As,
    AsJson,
    Key,
    Reason,
    acting,
    after,
    out,
    platform,
    printable,
    reading,
    say,
)

Given = Annotated[Path, typer.Argument(metavar="FILE", help="A policy file.")]
Proposal = Annotated[str, typer.Argument(metavar="ID", help="A proposal's id, like C-1.")]


def propose(
    file: Given, reason: Reason, as_user: As = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Ask that a policy be put in force. People who do not benefit decide; the policy in force says how many."""
    here = platform()
    read = here.policies.read(file)
    _say(here, propose_policy(here, acting(here, as_user, key), read, reason), as_json)


def approve(
    proposal: Proposal, reason: Reason, as_user: As = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Approve a proposed policy; with the last approval needed it is in force at once."""
    here = platform()
    done = decide_change(here, acting(here, as_user, key), proposal, Action.APPROVE, reason)
    _say(here, done, as_json)


def reject(
    proposal: Proposal, reason: Reason, as_user: As = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Reject a proposed policy. What is in force stays."""
    here = platform()
    done = decide_change(here, acting(here, as_user, key), proposal, Action.REJECT, reason)
    _say(here, done, as_json)


def list_(as_user: As = None, as_json: AsJson = False) -> None:
    """List the policies that were in force, and every proposal with who decided what on it."""
    here = platform()
    reading(here, as_user)
    state = here.ledger.state()
    adopted = sorted(state.select(PolicyRow), key=lambda row: row.sequence)
    policies = [
        {
            "name": row.name,
            "version": row.version,
            "digest": row.digest,
            "in_force": row.in_force,
            "sequence": row.sequence,
        }
        for row in adopted
    ]
    proposed = sorted(state.select(ProposalRow), key=lambda row: row.sequence)
    proposals = [_shown(here, Changed(row, waits_for(here, state, row))) for row in proposed]

    def render() -> None:
        for row in adopted:
            standing = "in force" if row.in_force else "was in force"
            since = f"({short(row.digest)}) {standing} since event {row.sequence}"
            out.print(printable(f"{row.name} {row.version} {since}"), markup=False)
        for told in proposals:
            _render(here, told)
        if not proposals:
            out.print("nobody has proposed another one")

    say({"policies": policies, "proposals": proposals}, as_json, render)


def render_reasons(reasons: tuple[Because, ...]) -> None:
    """Print reasons, each with its rule and its next step."""
    for reason in reasons:
        out.print(f"  {reason.rule}  {printable(reason.sentence)}", markup=False)
        out.print(f"      next: {reason.next_step}", markup=False)


def short(digest: str) -> str:
    """Return a digest as people are shown it."""
    return digest.rpartition(":")[2][:12]


def _shown(here: Tidegate, changed: Changed) -> dict[str, Any]:
    row = changed.proposal
    decisions = here.ledger.state().select(ProposalDecisionRow, proposal=row.id)
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "digest": row.digest,
        "base": row.base,
        "proposer": row.proposer,
        "status": row.status,
        "reason": _reason(here, row.id),
        "decisions": [
            {"actor": each.actor, "role": each.role, "outcome": each.outcome}
            for each in sorted(decisions, key=lambda each: each.sequence)
        ],
        "waits": [reason.as_dict() for reason in changed.waits],
    }


def _reason(here: Tidegate, proposal: str) -> str | None:
    """Return why somebody proposed it; None where that text was erased."""
    for event in here.ledger.events(stream=STREAM):
        if event.type is EventType.POLICY_PROPOSED and event.payload["id"] == proposal:
            return here.ledger.text(event.payload["texts"]["reason"])
    return None


def _say(here: Tidegate, changed: Changed, as_json: bool) -> None:
    after(here)
    told = _shown(here, changed)
    say(told, as_json, lambda: _render(here, told))


def _render(here: Tidegate, told: dict[str, Any]) -> None:
    called = names(here.ledger)
    about = f"policy {told['name']} {told['version']} ({short(told['digest'])})"
    by = called.get(told["proposer"], told["proposer"])
    out.print(printable(f"{told['id']}: {about}, proposed by {by}: {told['status']}"), markup=False)
    if told["reason"]:
        out.print(f"  “{told['reason']}”", markup=False)
    for each in told["decisions"]:
        who = called.get(each["actor"], each["actor"])
        out.print(f"  {who}, as {each['role']}: {each['outcome']}", markup=False)
    render_reasons(tuple(Because(**reason) for reason in told["waits"]))
