"""Compare a period's decisions with what came of them; ask a person where the verdict says so."""

from prefect import flow, task

from tidegate.application.monitor import monitor as compare
from tidegate.application.monitor import to_monitor
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, worth_retrying
from tidegate.entrypoints.slots import each_model, moment_of, one_by_one, scheduled


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


def changed(model: str, slot: str | None) -> dict:
    """Look at each period that nobody looked at, or whose outcomes came late or were restated since."""
    periods = to_monitor(service("svc-monitor").platform, model, moment_of(slot))
    return one_by_one(periods, lambda period: watch(model, period))


@flow(name="monitor")
@scheduled("svc-monitor")
def monitor(model: str | None = None, period: str | None = None, slot: str | None = None) -> dict:
    """Monitor ``period``, like 2013-04 (default: whatever changed), of ``model`` (default: all of them)."""
    return each_model(model, lambda name: watch(name, period) if period else changed(name, slot))
