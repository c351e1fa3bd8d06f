"""Train a version on what was known at a moment, and register it."""

from prefect import flow, task

from tidegate.application.train import train as train_and_register
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, when, worth_retrying


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def version(model: str, known_by: str | None, on_behalf_of: str | None) -> dict:
    """Fit, calibrate, measure, convert, register; the same inputs give the same version."""
    here = service("svc-train", on_behalf_of)
    row = train_and_register(here.platform, here.acting, model, when(known_by))
    here.done()
    return {
        "version": row.number,
        "artifact": row.artifact,
        "training_set": row.training_set,
        "rows": row.facts["rows"],
        "metrics": row.facts["metrics"],
        "parity": row.facts["parity"],
    }


@flow(name="train")
def train(model: str, known_by: str | None = None, on_behalf_of: str | None = None) -> dict:
    """Train ``model``; ``on_behalf_of`` names the person it is done for, who then cannot approve it."""
    return version(model, known_by, on_behalf_of)
