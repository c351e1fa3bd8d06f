"""Score what is over and not scored yet, with the version in prod and what stands in canary beside it."""

from prefect import flow, task

from tidegate.application.periods import to_score
from tidegate.application.score import score as score_period
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, worth_retrying
from tidegate.entrypoints.slots import each_model, moment_of, one_by_one, scheduled


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def decide(model: str, period: str, versions: tuple[int, ...] | None = None) -> list[dict]:
    """Load each artifact by its verified digest and score every row; what is scored is not scored again."""
    here = service("svc-score")
    return [
        {
            "model": row.model,
            "period": row.period,
            "version": row.version,
            "stage": row.stage,
            "rows": row.rows,
            "root": row.root,
            "stale": {view: of["stale"] for view, of in row.freshness.items()},
        }
        for row in score_period(here.platform, here.acting, model, period, versions)
    ]


def owed(model: str, slot: str | None) -> dict:
    """Score each month that is over and that a version still answers for; late rows are scored late."""
    months = to_score(service("svc-score").platform, model, moment_of(slot))
    return one_by_one(months, lambda month: decide(model, month, months[month]))


@flow(name="score")
@scheduled("svc-score")
def score(model: str | None = None, period: str | None = None, slot: str | None = None) -> dict | list[dict]:
    """Score ``period``, like 2013-04 (default: every month still owed), for ``model`` (default: all of them)."""
    return each_model(model, lambda name: decide(name, period) if period else owed(name, slot))
