"""One plain sentence per event, for the log, the desk and the auditor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from tidegate.domain.counting import many, times
from tidegate.domain.events import Event, EventType
from tidegate.domain.freshness import spelled

Payload = Mapping[str, Any]


def sentence(event: Event, name_of: Callable[[str], str] = str) -> str:
    """Return what happened, in one sentence. ``name_of`` turns an actor id into what may be shown of it."""
    tell = _SENTENCES[event.type]
    who = name_of(event.actor)
    if event.on_behalf_of:
        who += f" for {name_of(event.on_behalf_of)}"
    return f"{who} {tell(event.payload)}"


def printable(text: str) -> str:
    """Return ``text`` with every character that a terminal would obey spelled out."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:10]


def _moves(payload: Payload) -> str:
    return ", ".join(f"version {move['version']}: {move['from']} → {move['to']}" for move in payload["moves"])


def _gated(payload: Payload) -> str:
    name = f"{payload['dataset']} {payload['period']}"
    if not payload["batch"]:
        stops = "; ".join(stop["sentence"] for stop in payload["report"]["stops"])
        return f"held back {name} whole ({many(payload['read'], 'row')}): {stops}"
    held = payload["quarantined"]
    told = f"accepted {name}: {many(payload['read'], 'row')} in, {payload['accepted']} on, {held} quarantined"
    if left_out := payload["report"].get("erased"):
        told += f", {left_out} left out whose subject was erased"
    if let := payload["report"].get("waived"):
        told += "; " + ", ".join(f"{use['check']} was waived by {use['waiver']}" for use in let)
    if stays := payload["report"].get("stays"):
        told += "; " + ", ".join(f"what {use['waiver']} let in of {use['check']} stays" for use in stays)
    if not payload["supersedes"]:
        return told
    touched = ", ".join(payload["touches"]["versions"]) or "no version"
    back = payload["report"].get("replays")
    does = f"puts {back['rows']} mended back into" if back else "restates"
    return f"{told}; it {does} the period, which {touched} had learned from"


def _pushed(payload: Payload) -> str:
    if not payload["parts"]:
        stops = "; ".join(stop["sentence"] for stop in payload["report"]["stops"])
        return f"held back a push of {payload['dataset']} whole ({many(payload['read'], 'row')}): {stops}"
    of = f"{payload['dataset']} {', '.join(sorted(payload['parts']))}"
    counts = (
        f"{many(payload['read'], 'row')} in, {payload['accepted']} on, {payload['quarantined']} quarantined"
    )
    if left_out := payload["report"].get("erased"):
        counts += f", {left_out} left out whose subject was erased"
    return f"took a push of {of}: {counts}"


def _rows(payload: Payload) -> str:
    """Say how many rows were decided, and of how many where a condition allows a share only."""
    whole = payload["rows"] == payload["of"]
    return many(payload["rows"], "row") if whole else f"{payload['rows']} of {many(payload['of'], 'row')}"


def _monitored(payload: Payload) -> str:
    tail = f"; opened {payload['review']}" if payload["review"] else ""
    subject = f"{payload['model']} {payload['period']} (version {payload['version']})"
    return f"monitored {subject}: {payload['verdict']}{tail}"


def _approved(payload: Payload) -> str:
    told = f"approved {payload['promotion']} as {payload['role']}"
    if payload["for_whom"]:
        told += f", in the place of {payload['for_whom']}"
    return f"{told}, on condition of {stated(payload['conditions'])}" if payload["conditions"] else told


def stated(conditions: Mapping[str, Any]) -> str:
    """Say the conditions of an approval in a line."""
    return ", ".join(f"{name} {value:g}" for name, value in conditions.items())


def _opened(payload: Payload) -> str:
    told = (
        f"{name} opens {_some(each['views'], 'view')} to {', '.join(each['roles'])} for {', '.join(each['opens'])}"
        for name, each in payload["permissions"].items()
    )
    return "; ".join(told) or "nobody"


def _some(names: Sequence[str], noun: str) -> str:
    return f"{noun} {names[0]}" if len(names) == 1 else many(len(names), noun)


def _denied(payload: Payload) -> str:
    reasons = "; ".join(f"{reason['rule']}: {reason['sentence']}" for reason in payload["reasons"])
    return f"was refused {payload['action']}: {reasons}"


def _scored(payload: Payload) -> str:
    subject = f"{payload['model']} {payload['period']} with version {payload['version']} ({payload['stage']})"
    return "; ".join([f"scored {_rows(payload)} of {subject}", *stale_rows(payload["freshness"])])


def stale_rows(freshness: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Say of each view on which decisions rest that is not fresh how many there are."""
    return [_stale(view, of) for view, of in sorted(freshness.items()) if of["stale"]]


def _stale(view: str, of: Mapping[str, int]) -> str:
    if of["stale"] == of["unknown"]:
        return f"{of['stale']} of them rest on no value of {view}"
    older = f"{of['stale']} of them rest on {view} older than {spelled(timedelta(seconds=of['objective']))}"
    return f"{older}, or on no value of it ({of['unknown']})" if of["unknown"] else older


def _drifted(payload: Payload) -> str:
    """Say the verdict, and of how many features it is not better."""
    by = [{said["verdict"] for said in measures.values()} for measures in payload["found"].values()]
    return f"{payload['verdict']} ({sum(payload['verdict'] in each for each in by)} of {many(len(by), 'feature')})"


_SENTENCES: Mapping[EventType, Callable[[Payload], str]] = {
    EventType.LEDGER_OPENED: lambda p: (
        f"opened the ledger on a {p['clock']} clock, assurance {p['assurance']}"
    ),
    EventType.ACTOR_ADDED: lambda p: (
        f"added the {p['kind']} {p['id']} as {', '.join(p['roles'])}"
        + (f", another account of {p['subject']}" if p["subject"] != p["id"] else "")
    ),
    EventType.ROLES_CHANGED: lambda p: f"changed the roles of {p['id']} to {', '.join(p['roles'])}",
    EventType.CREDENTIAL_ISSUED: lambda p: f"issued a token to {p['actor']}",
    EventType.CREDENTIAL_REVOKED: lambda p: f"revoked the token {p['id']}",
    EventType.POLICY_ADOPTED: lambda p: (
        f"put policy {p['name']} {p['version']} in force ({_short(p['digest'])})"
    ),
    EventType.POLICY_PROPOSED: lambda p: (
        f"proposed policy {p['name']} {p['version']} as {p['id']} ({_short(p['digest'])})"
    ),
    EventType.POLICY_APPROVED: lambda p: f"approved the policy change {p['proposal']}",
    EventType.POLICY_REJECTED: lambda p: f"rejected the policy change {p['proposal']}",
    EventType.DROP_REFUSED: lambda p: (
        f"turned away a drop of {p['dataset']} {p['period']}".rstrip() + f": {p['code']}"
    ),
    EventType.BATCH_ACCEPTED: _gated,
    EventType.BATCH_REFUSED: _gated,
    EventType.ACCESS_DECLARED: lambda p: f"put in force who may read and write features: {_opened(p)}",
    EventType.PUSH_ACCEPTED: _pushed,
    EventType.PUSH_REFUSED: _pushed,
    EventType.FEATURES_BUILT: lambda p: f"built the feature views {', '.join(p['views'])}",
    EventType.FEATURES_MATERIALIZED: lambda p: f"brought features online as known at {p['until']}",
    EventType.FEATURES_COMPARED: lambda p: (
        "compared online features with what was known: "
        + ", ".join(f"{view} {said['verdict']}" for view, said in sorted(p["views"].items()))
    ),
    EventType.FEATURES_MEASURED: lambda p: (
        f"measured {_some(list(p['figures']), 'feature')} of {p['view']} over {p['window']}, "
        f"source {_short(p['source'])}"
    ),
    EventType.FEATURES_JUDGED: lambda p: (
        f"judged the drift of {p['view']} over {p['window']} beside {p['declared']['baseline']}: {_drifted(p)}"
    ),
    EventType.FEATURES_READ: lambda p: (
        f"sealed {many(p['records'], 'read')} of features from {p['first']} to {p['last']}: "
        + "; ".join(f"{each['actor']} read {each['service']} {times(each['reads'])}" for each in p["by"])
    ),
    EventType.MODEL_REGISTERED: lambda p: f"registered the model {p['name']}, tier {p['tier']}",
    EventType.TRAINING_SET_BUILT: lambda p: (
        f"built training set {_short(p['digest'])} of {many(p['rows'], 'row')}"
    ),
    EventType.VERSION_REGISTERED: lambda p: (
        f"registered {p['model']} version {p['number']}, artifact {_short(p['artifact'])}"
    ),
    EventType.PACKET_SEALED: lambda p: (
        f"sealed the evidence of version {p['version']} as packet {_short(p['digest'])}"
    ),
    EventType.PROMOTION_REQUESTED: lambda p: (
        f"requested {p['id']}: {p['model']} version {p['version']} from {p['source']} to {p['target']}"
    ),
    EventType.PROMOTION_APPROVED: _approved,
    EventType.PROMOTION_REJECTED: lambda p: f"rejected {p['promotion']}",
    EventType.PROMOTION_APPLIED: lambda p: (
        f"applied {p['promotion']}{' BY BREAK-GLASS' if p['kind'] == 'break_glass' else ''}: {_moves(p)}"
    ),
    EventType.PROMOTION_REMINDED: lambda p: f"reminded whoever decides on {p['promotion']}",
    EventType.PROMOTION_ESCALATED: lambda p: f"escalated {p['promotion']} to the role {p['role']}",
    EventType.PROMOTION_LAPSED: lambda p: f"let {p['promotion']} lapse: nobody decided in time",
    EventType.APPROVAL_REVOKED: lambda p: (
        f"took the approval of {p['promotion']} back" + (f": {_moves(p)}" if p["moves"] else "")
    ),
    EventType.APPROVAL_DELEGATED: lambda p: (
        f"let {p['delegate']} decide as {p['role']} on {p['model'] or 'every model'} until {p['until'][:10]}"
    ),
    EventType.WAIVER_GIVEN: lambda p: (
        f"let {p['check']} of {p['dataset']} not count for {p['period'] or 'every period'} until {p['until']}, "
        f"at most {times(p['most'])} ({p['id']})"
    ),
    EventType.WAIVER_ENDED: lambda p: f"ended the waiver {p['id']}",
    EventType.DELEGATION_ENDED: lambda p: f"ended the delegation {p['id']}",
    EventType.CERTIFICATION_LAPSED: lambda p: (
        f"found the approval of {p['model']} version {p['version']} lapsed, by {p['because']}"
    ),
    EventType.VERSION_RECERTIFIED: lambda p: (
        f"certified {p['model']} version {p['version']} again, "
        + (f"until {p['until'][:10]}" if p["until"] else "without end")
    ),
    EventType.MODEL_ROLLED_BACK: lambda p: f"rolled {p['model']} back: {_moves(p)}",
    EventType.MODEL_STOPPED: lambda p: f"stopped {p['model']}: {_moves(p)}",
    EventType.VERSION_DEMOTED: lambda p: f"demoted {p['model']}: {_moves(p)}",
    EventType.VERSION_RETIRED: lambda p: f"retired {p['model']}: {_moves(p)}",
    EventType.ACTION_REFUSED: _denied,
    EventType.DECISIONS_SCORED: _scored,
    EventType.CANARY_ANALYSED: lambda p: (
        f"analysed the canary {p['model']} version {p['version']} on {p['period']}: {p['verdict']}, {p['sentence']}"
    ),
    EventType.MONITOR_RAN: _monitored,
    EventType.REVIEW_OPENED: lambda p: f"asked for review {p['id']} by a {p['role']}: {p['cause']}",
    EventType.REVIEW_DECIDED: lambda p: f"decided {p['id']}: {p['outcome']}",
    EventType.REVIEW_FOLLOWED: lambda p: f"followed {p['id']}: {p['followed']}",
    EventType.RUN_FINISHED: lambda p: f"ran {p['schedule']} for {p['slot'][:16]}: {p['summary']}",
    EventType.REGISTRY_REPAIRED: lambda p: f"repaired the registry ({p['id']}): {'; '.join(p['facts'])}",
    EventType.TEXT_ERASED: lambda p: f"erased {many(len(p['commitments']), 'text')} of {p['subject']}",
    EventType.ROWS_ERASED: lambda p: (
        f"erased {many(p['rows'], 'row')} of {p['dataset']} {', '.join(p['periods']) or '(none was there)'}: "
        + ("a subject's, who stays away" if p["cause"] == "subject" else "their time was over")
        + (f"; learned from by {', '.join(p['touches']['versions'])}" if p["touches"]["versions"] else "")
    ),
    EventType.RETENTION_APPLIED: lambda p: (
        f"let {many(len(p['commitments']), 'text')} of class {p['kind']} go, older than {p['before'][:10]}"
    ),
}
