"""Do what is due: what time asks for (reminders, terms), and what reviews decided: retrain, or roll back."""

from prefect import flow, task

from tidegate.application.follow import follow as carry_out
from tidegate.application.follow import outstanding
from tidegate.application.reconcile import reconcile
from tidegate.application.review import ReviewOutcome
from tidegate.application.tend import tend
from tidegate.application.timeline import sentence
from tidegate.domain.errors import BadInput
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, worth_retrying
from tidegate.entrypoints.slots import scheduled

#: Who does what: retraining is the trainer's work, restoring the previous version the rollout's.
SERVICES = {ReviewOutcome.RETRAIN: "svc-train", ReviewOutcome.ROLL_BACK: "svc-rollout"}


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def act(outcome: ReviewOutcome) -> list[dict]:
    """Carry out every review with this outcome that nobody has carried out yet."""
    here = service(SERVICES[outcome])
    done = []
    for review in outstanding(here.platform.ledger.state(), outcome):
        try:
            row = carry_out(here.platform, here.acting, review)
        except BadInput as fault:  # tried again by the next run; the reviews behind it need not wait for that
            done.append({"review": review.id, "model": review.model, "not_yet": fault.sentence})
            continue
        here.done()
        done.append({"review": row.id, "model": row.model, "outcome": row.outcome, "followed": row.followed})
    return done


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def see_to() -> list[dict]:
    """Remind, escalate, let lapse: whatever has become due because time has passed."""
    here = service("svc-rollout")
    return [{"due": sentence(event)} for event in tend(here.platform, here.acting)]


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def look() -> list[dict]:
    """Look whether the registry still says what was decided; what another hand moved is put right, an incident."""
    here = service("svc-rollout")
    found = reconcile(here.platform, here.acting)
    here.done()
    return [{"incident": each.incident.id, "facts": list(each.incident.facts)} for each in found]


@flow(name="follow")
@scheduled("svc-rollout")
def follow(slot: str | None = None) -> list[dict]:  # noqa: ARG001  # any slot: all that is outstanding
    """Carry out what reviews decided, what stops a version first; see to what is due; look at the registry."""
    return act(ReviewOutcome.ROLL_BACK) + act(ReviewOutcome.RETRAIN) + see_to() + look()
