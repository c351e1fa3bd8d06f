"""Take a version up, stage by stage, until a person is needed. The person's decision does the rest."""

from prefect import flow, task

from tidegate.application.promote import climb
from tidegate.domain.policy import Stage
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, worth_retrying


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def ask(model: str, version: int, to: str | None, on_behalf_of: str | None, key: str | None) -> dict:
    """Ask for the stages above; the gates decide, and what they refuse is recorded with all reasons."""
    here = service("svc-train", on_behalf_of, key)
    outcome = climb(here.platform, here.acting, model, version, Stage(to) if to else None)
    here.done()
    return {
        "version": outcome.version,
        "stage": outcome.stage,
        "promotion": outcome.promotion,
        "waits": [reason.as_dict() for reason in outcome.waits],
    }


@flow(name="promote")
def promote(
    model: str,
    version: int,
    to: str | None = None,
    on_behalf_of: str | None = None,
    key: str | None = None,
) -> dict:
    """Promote a version as far as policy lets it go without a person: to canary, or from there into prod."""
    return ask(model, version, to, on_behalf_of, key)
