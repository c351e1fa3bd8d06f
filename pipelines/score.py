"""Score a period with the version in prod."""

from prefect import flow, task

from tidegate.application.score import score as score_period
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, worth_retrying


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def decide(model: str, period: str) -> dict:
    """Load the artifact by its verified digest and score every row; a scored period is not scored again."""
    here = service("svc-score")
    row = score_period(here.platform, here.acting, model, period)
    return {"period": row.period, "version": row.version, "rows": row.rows, "root": row.root}


@flow(name="score")
def score(model: str, period: str) -> dict:
    """Score ``period``, like 2013-04."""
    return decide(model, period)
