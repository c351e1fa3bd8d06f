"""Commands for policies: try one on its tests, on the past and on a version. Nothing here writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.application.as_if import PASSED, REFUSED, WAITED, outcome
from tidegate.application.backtest import Replayed
from tidegate.application.backtest import backtest as replay
from tidegate.application.judgement import coverage
from tidegate.application.proposal import staff
from tidegate.application.recording import refused
from tidegate.application.simulate import simulate as try_on
from tidegate.application.standing import policy_in_force
from tidegate.bootstrap import Tidegate
from tidegate.domain.counting import many
from tidegate.domain.lifecycle import Action, Allowed, Reason
from tidegate.domain.policy import Policy
from tidegate.domain.policy_change import understaffed
from tidegate.domain.policy_diff import differences
from tidegate.entrypoints.cli import policy_changes
from tidegate.entrypoints.cli.common import As, AsJson, out, platform, printable, reading, say, table
from tidegate.entrypoints.cli.models import Model, Version
from tidegate.entrypoints.cli.policy_changes import Given, render_reasons, short

policy = typer.Typer(
    no_args_is_help=True,
    help="What must be shown before a version rises: try a policy, and change the one in force.",
)

File = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="A policy file; default: models/policy/policy.yaml.")
]


@policy.command("check")
def check(file: File = None, as_user: As = None, as_json: AsJson = False) -> None:
    """Read a policy and name all its faults at once; beside a ledger, say whether people could meet it."""
    here = platform()
    read = _read(here, file)
    told: dict[str, Any] = {**_named(read), "in_force": False, "reasons": []}
    lacking: list[Reason] = []
    if here.opened():
        reading(here, as_user)
        state = here.ledger.state()
        lacking = understaffed(read, staff(state))
        in_force = policy_in_force(here, state).digest == read.digest
        told |= {"in_force": in_force, "reasons": [reason.as_dict() for reason in lacking]}

    def render() -> None:
        gates = sum(len(stages) for stages in read.gates.values())
        counts = (
            f"{many(len(read.demands()), 'demand')}, {many(gates, 'gate')}, {many(len(read.tests), 'test')}"
        )
        out.print(f"{_called(read)} is sound: {counts}", markup=False)
        if told["in_force"]:
            out.print("it is the one in force")

    if lacking:
        raise refused("check", lacking, **_named(read))
    say(told, as_json, render)


@policy.command("test")
def run_tests(file: File = None, as_json: AsJson = False) -> None:
    """Run a policy's own tests, and name every rule that no test exercises."""
    read = _read(platform(), file)
    gaps = coverage(read)
    rows = [
        {
            "tier": str(tier),
            "to": str(to),
            "tests": sum((each.tier, each.to) == (tier, to) for each in read.tests),
            "rules": len(gate.rules()),
            "exercised": len(gate.rules()) - sum((gap.tier, gap.to) == (tier, to) for gap in gaps),
        }
        for tier, gates in read.gates.items()
        for to, gate in gates.items()
    ]

    def render() -> None:
        out.print(
            f"{_called(read)}: {many(len(read.tests), 'test')}, and it judges as all of them say",
            markup=False,
        )
        shown = table("tier", "into", "tests", "rules", "exercised")
        for row in rows:
            shown.add_row(*map(str, row.values()))
        out.print(shown)
        for gap in gaps:
            out.print(f"  line {gap.line}: {gap.rule!r} {gap.where}: {gap.lacks}", markup=False)

    untried = [{"line": gap.line, "rule": gap.rule, "where": gap.where, "lacks": gap.lacks} for gap in gaps]
    say({**_named(read), "tests": len(read.tests), "gates": rows, "untried": untried}, as_json, render)


@policy.command("diff")
def diff(file: File = None, as_user: As = None, as_json: AsJson = False) -> None:
    """Show in what a policy differs from the one in force."""
    here = platform()
    reading(here, as_user)
    read, in_force = _read(here, file), policy_in_force(here, here.ledger.state())
    found = differences(in_force, read)

    def render() -> None:
        same = read.digest == in_force.digest
        out.print(f"in force: {_called(in_force)}; compared with it: {_called(read)}", markup=False)
        for each in found:
            out.print(f"  {each.part}", markup=False)
            out.print(f"    - {each.before or 'nothing'}", markup=False)
            out.print(f"    + {each.after or 'nothing'}", markup=False)
        if not found:
            out.print("word for word the same" if same else "they say the same in other words or layout")

    told = {"in_force": _named(in_force), "policy": _named(read), "parts": [each.__dict__ for each in found]}
    say(told, as_json, render)


@policy.command("backtest")
def backtest(
    file: Given,
    everything: Annotated[bool, typer.Option("--all", help="Show what stays as it was too.")] = False,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Replay every recorded decision about promotions under a policy; show which flip, and what would have followed."""
    here = platform()
    reading(here, as_user)
    read = _read(here, file)
    found = replay(here, read)
    flips = [each for each in found if each.flips]

    def render() -> None:
        many = f"{len(found)} recorded decisions replayed under {_called(read)}"
        out.print(f"{many}: {len(flips)} would have gone otherwise", markup=False)
        for each in found if everything else flips:
            _render_replayed(each)

    told = {
        "policy": _named(read),
        "flips": len(flips),
        "decisions": [
            {**each.__dict__, "reasons": [reason.as_dict() for reason in each.reasons], "flips": each.flips}
            for each in found
        ],
    }
    say(told, as_json, render)


@policy.command("simulate")
def simulate(
    model: Model,
    version: Version,
    file: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="A policy file; default: models/policy/policy.yaml."),
    ] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Ask whether a version would pass its next gate now under a policy. Nothing is written."""
    here = platform()
    reading(here, as_user)
    found = try_on(here, model, version, _read(here, file))
    said = outcome(found.decision)
    reasons = () if isinstance(found.decision, Allowed) else found.decision.reasons
    told = {
        "model": model,
        "version": version,
        "policy": _named(found.policy),
        "outcome": said,
        "findings": [
            {"demand": each.demand, "verdict": str(each.verdict), "sentence": each.sentence}
            for each in found.dossier.findings
        ],
        "reasons": [reason.as_dict() for reason in reasons],
        "judges_later": list(found.too_late),
    }

    def render() -> None:
        would = {PASSED: "pass its next gate", WAITED: "wait for people", REFUSED: "be refused"}[said]
        out.print(f"{model} version {version} would {would} under {_called(found.policy)}", markup=False)
        shown = table("rule", "verdict", "what was found")
        for each in found.dossier.findings:
            shown.add_row(each.demand, str(each.verdict), each.sentence)
        if shown.row_count:
            out.print(shown)
        render_reasons(reasons)
        for name in found.too_late:
            told = f"once in force, {name} judges only what is measured after it (P7)"
            out.print(f"  note: {told}: this version would be evaluated again", markup=False)

    say(told, as_json, render)


for name, command in (
    ("propose", policy_changes.propose),
    ("approve", policy_changes.approve),
    ("reject", policy_changes.reject),
    ("list", policy_changes.list_),
):
    policy.command(name)(command)


def _read(here: Tidegate, file: Path | None) -> Policy:
    return here.policies.read(file) if file else here.policies.load()


def _named(read: Policy) -> dict[str, str]:
    return {"name": read.name, "version": read.version, "digest": read.digest}


def _called(read: Policy) -> str:
    return printable(f"{read.name} {read.version} ({short(read.digest)})")


def _render_replayed(each: Replayed) -> None:
    about = f"event {each.sequence}, {each.occurred_at[:10]}: {each.model} version {each.version}"
    change = f"{each.then} → {each.now}" if each.flips else each.then
    glass = " by break-glass" if each.action == Action.BREAK_GLASS else ""
    out.print(f"{about} into {each.target}{glass}: {change}", markup=False)
    for reason in each.reasons if each.flips else ():
        out.print(f"  {reason.rule}  {printable(reason.sentence)}", markup=False)
    for sentence in each.followed:
        out.print(f"  {sentence}", markup=False)
