"""Compare a period's decisions with what came of them; ask a person where the verdict says so."""

from prefect import flow, task

from tidegate.application.monitor import monitor as compare
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, worth_retrying
from tidegate.entrypoints.slots import each_model, month_before, scheduled


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def watch(model: str, period: str) -> dict:
    """Run the model's monitor; a failed, inconclusive or errored verdict opens a review."""
    here = service("svc-monitor")
    row = compare(here.platform, here.acting, model, period)
    return {
        "model": row.model,
        "period": row.period,
        "version": row.version,
        "verdict": row.verdict,
        "review": row.review,
        "binding": row.evidence["binding"],
        "information": row.evidence["information"],
    }


@flow(name="monitor")
@scheduled("svc-monitor")
def monitor(model: str | None = None, period: str | None = None, slot: str | None = None) -> dict:
    """Monitor ``period``, like 2013-04 (default: the month before), of ``model`` (default: all of them)."""
    return each_model(model, lambda name: watch(name, period or month_before(slot)))
