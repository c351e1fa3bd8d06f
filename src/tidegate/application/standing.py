"""What the ledger says, now, about a model, about who is acting, and about the policy in force."""

from __future__ import annotations

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.lifecycle import Lifecycle, Reason
from tidegate.domain.policy import Policy, Stage
from tidegate.domain.state import ActorRow, ModelRow, PolicyRow, PromotionRow, VersionRow


def lifecycle(state: StateReader, model: str, version: int | None = None) -> Lifecycle:
    """Return a model as the ledger has it, with the open promotion of ``version``.

    Raises:
        BadInput: no such model or version.
    """
    row = state.get(ModelRow, model)
    if row is None:
        known = ", ".join(other.name for other in state.select(ModelRow)) or "none yet"
        raise BadInput(
            "unknown-model", f"got the model `{model}`, expected a registered one ({known})", "train it first"
        )
    versions = {each.number: each for each in state.select(VersionRow, model=model)}
    if version is not None and version not in versions:
        known = ", ".join(map(str, versions)) or "none yet"
        raise BadInput(
            "unknown-version",
            f"got version {version} of `{model}`, expected one of: {known}",
            f"see `tidegate versions {model}`",
        )
    open_now = state.select(PromotionRow, model=model, version=version, status="open") if version else ()
    people = {actor.id: actor for actor in state.select(ActorRow)}
    reached = state.select(PromotionRow, model=model, target=str(Stage.PROD), status="applied")
    left = {
        each.version for each in reached if versions[each.version].stage not in {Stage.PROD, Stage.RETIRED}
    }
    return Lifecycle(row, versions, open_now[0] if open_now else None, people, frozenset(left))


def itself(state: StateReader, acting: Acting) -> tuple[ActorRow, list[Reason]]:
    """Return the actor as the ledger has it now, and why it may not act as it says (rule A2).

    Between authenticating and acting an account may have lost a role.

    Raises:
        Refused: the ledger has no such actor. BadInput: it acts for somebody who is no person in it. Neither
            is recorded: what would stand in the record is a name nobody knows.
    """
    actor = state.get(ActorRow, acting.actor.id)
    if actor is None:
        raise Refused(
            "unknown-actor", "A2: got an actor that the ledger does not have, expected one of its own"
        )
    if not acting.on_behalf_of:
        return actor, []
    principal = state.get(ActorRow, acting.on_behalf_of)
    if principal is None or principal.kind != "person":
        raise BadInput(
            "unknown-principal",
            "got an act on behalf of somebody the ledger does not have, expected a person's id like p-2",
            "see `tidegate user list`",
        )
    if actor.kind == "service":
        return actor, []
    sentence = f"{actor.id} is a person and acts only as itself, got an act on behalf of {principal.id}"
    return actor, [Reason("not-itself", "A2", sentence, "let that person act under their own account")]


def policy_in_force(platform: Platform, state: StateReader) -> Policy:
    """Return the policy that the ledger says is in force, whatever lies on disk.

    Raises:
        Refused: none is in force.
    """
    rows = state.select(PolicyRow, in_force=True)
    if not rows:
        raise Refused("no-policy", "got no policy in force, expected one", "open the ledger with a policy")
    return platform.policies.parse(rows[0].body)
