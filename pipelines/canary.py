"""Compare what stands in canary with what is live, once outcomes are known; carry out what that concludes."""

from prefect import flow, task

from tidegate.application.canary import analyse
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, worth_retrying
from tidegate.entrypoints.slots import each_model, scheduled


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def compare(model: str) -> list[dict]:
    """What fails is taken back; what holds is asked into prod; what has no labels waits."""
    here = service("svc-rollout")
    steps = analyse(here.platform, here.acting, model)
    here.done()
    return [
        {
            "version": step.row.version,
            "period": step.row.period,
            "verdict": step.row.verdict,
            "standing": step.row.standing,
            "sentence": step.row.sentence,
            "stage": step.stage,
            "promotion": step.promotion,
            "review": step.row.review,
            "waits": [reason.as_dict() for reason in step.reasons],
        }
        for step in steps
    ]


@flow(name="canary")
@scheduled("svc-rollout")
def canary(model: str | None = None, slot: str | None = None) -> dict | list[dict]:  # noqa: ARG001  # any slot: all
    """Analyse every canary of ``model`` (default: of all of them)."""
    return each_model(model, compare)
