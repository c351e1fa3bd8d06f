"""Take a version down: roll back, stop, demote, retire. It waits for nobody (rule P5)."""

from __future__ import annotations

from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import again, draft, reason_text, record_refusal, refused
from tidegate.application.standing import itself, lifecycle, stream
from tidegate.application.weighing import Outcome, denied_by, outcome_of
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Act, Action, Allowed, Dossier, Reason
from tidegate.domain.policy import Policy, ReviewRule, Stage
from tidegate.domain.promotion import decide

#: What goes down asks no policy: neither a missing nor a broken one may stand in the way of a rollback (P5).
UNASKED = Policy("none", "0", "", "", {}, ReviewRule((), 1, ""))

DOWN = {
    Action.ROLL_BACK: EventType.MODEL_ROLLED_BACK,
    Action.STOP: EventType.MODEL_STOPPED,
    Action.DEMOTE: EventType.VERSION_DEMOTED,
    Action.RETIRE: EventType.VERSION_RETIRED,
}


def lower(
    platform: Platform,
    acting: Acting,
    model: str,
    action: Action,
    reason: str,
    version: int | None = None,
    to: Stage | None = None,
) -> Outcome:
    """Roll back or stop what is in prod, or demote or retire a version.

    Raises:
        Refused: with all reasons; the refusal is recorded. BadInput: no reason, no such version, or an
            action that takes nothing down.
    """
    if action not in DOWN:
        raise BadInput("bad-action", f"got `{action}`, expected one of: {', '.join(DOWN)}", "pick one")
    text = reason_text(reason)
    # Scoped by what was asked for, not by what was in prod then: repeated, it must not reach the next one.
    key = acting.scoped_key(f"{action}:{model}:{version or 'prod'}")
    denied: tuple[Reason, ...] = ()
    with platform.ledger.transaction() as tx:
        life = lifecycle(tx, model, version)
        earlier = again(tx.recorded(key) if key else None)
        if earlier is not None:
            return outcome_of(tx, model, int(earlier.payload["moves"][-1]["version"]))
        actor, untrue = itself(tx, acting)
        current = life.in_prod()
        number = version or (current.number if current else 0)
        nothing = Dossier("", (), None)
        if number == 0:
            sentence = f"{model} has no version in prod"
            denied = (*untrue, Reason("nothing-in-prod", "P1", sentence, f"see `tidegate versions {model}`"))
        else:
            now = platform.clock.now()
            decision = decide(life, Act(action, number, to), actor, nothing, (), UNASKED, now)
            denied = denied_by(untrue, decision)
        if denied:
            record_refusal(tx, acting, stream(model), str(action), {"version": number}, denied, key)
            outcome = Outcome(model, number, "", "")
        elif isinstance(decision, Allowed):
            moves = [move.as_dict() for move in decision.moves]
            payload = {"model": model, "moves": moves}
            tx.append(draft(acting, DOWN[action], stream(model), payload, {"reason": text}, key))
            outcome = outcome_of(tx, model, int(moves[-1]["version"]))
    if denied:
        raise refused(str(action), denied, model=model, version=number)
    return outcome
