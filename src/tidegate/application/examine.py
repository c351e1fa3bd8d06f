"""Examine a bundle, with nothing but the bundle, a public key, and the anchors one has kept.

Every check runs on what is there, also behind one that failed, so that a forgery is named from every side:

    manifest      it is signed by the key, and says what this is
    members       they are exactly those of the manifest, by digest
    chain         each event is canonical, next in sequence, and carries the hash of the one before
    head          the head signed at the export is where the chain ends
    anchors       the heads that were kept elsewhere lie on the chain (only if some were)
    state         the events fold without contradiction, to what the manifest says
    packets       the version's packets are here, as the chain sealed them
    attestations  every packet of the chain has its digest and is signed by the key
    approvers     whoever acted was entitled to; approvers are distinct and had no part in it
    policy        what was decided was decided by the policy then in force, about exactly what was applied
    acts          everything else is as the rules allow
    texts         names and reasons are what the chain commits to (only if they are in the bundle)

Not shown: that figures were measured, and that an actor is who the chain says (see `lawfulness`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tidegate.application import bundle as its
from tidegate.application import bundle_checks as checks
from tidegate.application.anchors import Anchor, anchor_faults, read_anchor
from tidegate.application.attest import UNSIGNED, Attested, attested
from tidegate.application.bundle_checks import Check, Members
from tidegate.application.chain import Chain, first_line, read_chain
from tidegate.application.history import concerning, lines, names
from tidegate.application.lawfulness import Breach, judged
from tidegate.application.ports import Expressions, Policies, Verifier
from tidegate.domain.errors import UNFIT, BadInput
from tidegate.domain.state import ApprovalRow, PromotionRow, VersionRow

#: Which rules say that somebody was not entitled, and which that something else was decided, or otherwise.
_ENTITLED = {"A1", "A2", "P4"}
_DECIDED = {"P2", "P3", "P6", "P7"}


@dataclass(frozen=True)
class Means:
    """What an examination needs from outside: no ledger, no project, no key of its own."""

    verifier: Verifier
    policies: Policies
    expressions: Expressions


@dataclass(frozen=True)
class Report:
    """What came of an examination. ``notes`` is what a reader must know even where every check holds."""

    about: Mapping[str, Any]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    timeline: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Return every sentence of every check that does not hold, with the check's name in front."""
        return tuple(f"{check.name}: {fault}" for check in self.checks for fault in check.faults)


def examine(members: Members, key: str, kept: Sequence[Anchor], means: Means) -> Report:
    """Return what a bundle shows to whoever holds this key, and these anchors.

    Raises:
        BadInput: ``key`` is no Ed25519 public key in PEM.
    """
    means.verifier.verify(b"", "", key)  # a key that is none is its holder's mistake, no fault of the bundle
    said = checks.stated(members)
    about: Mapping[str, Any] = said.get("predicate", {})
    chain = read_chain(members.get(its.CHAIN, b""))
    if its.CHAIN not in members:
        chain.faults.append(f"{its.CHAIN} is missing")
    held = attested(chain.events, means.verifier, key)
    breaches = judged(chain.events, means.policies, means.expressions)
    anchors, broken = _anchors(members, kept)
    texts, unreadable = checks.opened_texts(members, chain)
    told = f"{len(chain.events)} events, in sequence, each carrying the hash of the one before"
    found = [
        _guarded("manifest", lambda: checks.manifest(members, said, key, means.verifier)),
        _guarded("members", lambda: checks.by_digest(members, said)),
        Check("chain", told, tuple(chain.faults)),
        _guarded("head", lambda: _head(members, key, chain, means.verifier)),
    ]
    if anchors or broken:
        found.append(_guarded("anchors", lambda: _on_chain(anchors, broken, key, chain, means.verifier)))
    found += [
        _guarded("state", lambda: _state(chain, about)),
        _guarded("packets", lambda: checks.packets(members, chain, about)),
        Check("attestations", _signed(held), held.faults),
        *(_guarded(name, partial(_judged, name, breaches, chain, about)) for name in _JUDGED),
    ]
    if about.get("texts") is True or its.TEXTS in members:
        found.append(_guarded("texts", lambda: checks.texts(members, chain, texts, unreadable)))
    return Report(about, tuple(found), _notes(kept, chain), tuple(_timeline(chain, about, texts)))


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """Run a check; what it trips over was written by nobody of ours, and is a fault like any other."""
    try:
        return check()
    except UNFIT as error:
        return Check(
            name, "", (f"it cannot be checked: what is there is of no known form ({first_line(error)})",)
        )


def _head(members: Members, key: str, chain: Chain, verifier: Verifier) -> Check:
    if its.HEAD not in members:
        return Check("head", "", (f"{its.HEAD} is missing",))
    head = read_anchor(its.HEAD, members[its.HEAD])
    faults = anchor_faults(verifier, head, key, chain.end, chain.hashes)
    if not faults and head.sequence < chain.end:
        faults = [f"{chain.end - head.sequence} event(s) lie behind the signed head: nobody signed for them"]
    when, trust = head.statement.get("recorded_at"), head.statement.get("assurance")
    holds = f"signed at event {head.sequence}, where the chain ends, recorded {when}, assurance {trust}"
    return Check("head", holds, tuple(faults))


def _anchors(members: Members, kept: Sequence[Anchor]) -> tuple[list[Anchor], list[str]]:
    """Return the anchors that came with the bundle and those its reader has kept, and what is no anchor."""
    found, broken = [], []
    for name in sorted(each for each in members if each.startswith(its.ANCHORS)):
        try:
            found.append(read_anchor(name, members[name]))
        except BadInput as error:
            broken.append(error.sentence)
    return [*found, *kept], broken


def _on_chain(
    anchors: Sequence[Anchor], broken: list[str], key: str, chain: Chain, verifier: Verifier
) -> Check:
    faults = [*broken]
    for each in anchors:
        faults += anchor_faults(verifier, each, key, chain.end, chain.hashes)
    at = ", ".join(str(each.sequence) for each in anchors)
    return Check(
        "anchors", f"the chain goes through {len(anchors)} kept, signed at event {at}", tuple(faults)
    )


def _state(chain: Chain, about: Mapping[str, Any]) -> Check:
    subject = f"{about.get('model')} version {about.get('version')}"
    row = _version(chain, about)
    faults = [*chain.unfit]
    if row is None:
        faults.append(f"the chain knows no {subject}")
    last = chain.events[-1].hash if chain.events else ""
    for name, found in (
        ("stage", row.stage if row else ""),
        ("events", len(chain.events)),
        ("head", last),
    ):
        if about.get(name) != found:
            faults.append(f"the manifest gives as {name} {about.get(name)}, the chain {found or 'none'}")
    return Check("state", f"{subject} stands in {row.stage if row else 'no stage'}", tuple(faults))


def _signed(held: Attested) -> str:
    told = f"{held.signed} packet(s) of the chain are signed by the key"
    return f"{told}; {len(held.unsigned)} {UNSIGNED}" if held.unsigned else told


_JUDGED = ("approvers", "policy", "acts")


def _judged(name: str, breaches: Sequence[Breach], chain: Chain, about: Mapping[str, Any]) -> Check:
    """Sort what the rules say into who decided, by which policy, and everything else."""
    faults = [each for each in breaches if _sort(each) == name]
    if name == "approvers":
        of_it = {
            "model": about.get("model"),
            "version": about.get("version"),
            "outcome": "approve",
            "revoked": False,
        }
        given = [_voice(chain, row) for row in chain.view.select(ApprovalRow, **of_it)]
        who = (
            f"this version was approved by {', '.join(given)}"
            if given
            else "nobody had to approve this version"
        )
        holds = f"everybody was entitled to what they did, no approver counted twice; {who}"
    elif name == "policy":
        holds = "every decision was by the policy then in force, about exactly what was applied"
    else:
        holds = f"{len(chain.events)} events, each as the rules allow"
    return Check(name, holds, tuple(map(str, faults)))


def _voice(chain: Chain, row: ApprovalRow) -> str:
    """Say who approved: as what, in whose place, and where it was no regular request."""
    asked = chain.view.get(PromotionRow, row.promotion)
    place = f" in the place of {row.for_whom}" if row.for_whom else ""
    way = " BY BREAK-GLASS" if asked is not None and asked.kind == "break_glass" else ""
    return f"{row.actor} as {row.role}{place}{way}"


def _sort(breach: Breach) -> str:
    return "approvers" if breach.rule in _ENTITLED else "policy" if breach.rule in _DECIDED else "acts"


def _timeline(chain: Chain, about: Mapping[str, Any], texts: Mapping[str, str]) -> list[str]:
    """Tell the version's history from the chain, as far as it can be told; never from the page in the bundle."""
    told: list[str] = []
    try:
        row = _version(chain, about)
        story = concerning(chain.events, chain.view, row.model, row.number) if row else ()
        told.extend(lines(story, names(chain.events, texts), texts))
    except UNFIT as error:
        told.append(f"(the rest cannot be told: {first_line(error)})")
    return told


def _notes(kept: Sequence[Anchor], chain: Chain) -> tuple[str, ...]:
    notes: list[str] = []
    newest = max((each.sequence for each in kept), default=0)
    if not kept:
        notes.append("no anchor of your own was given: an older bundle in this one's place would not show")
    elif newest < chain.end:
        left = f"{chain.end - newest} event(s) lie behind your newest anchor"
        notes.append(f"{left}: for them the bundle's own head speaks, which its maker signed")
    return tuple(notes)


def _version(chain: Chain, about: Mapping[str, Any]) -> VersionRow | None:
    model, version = about.get("model"), about.get("version")
    if isinstance(model, str) and isinstance(version, int):
        return chain.view.get(VersionRow, model, version)
    return None
