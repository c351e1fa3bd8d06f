"""Put a drop through its gate."""

from pathlib import Path

from prefect import flow, task

from tidegate.application.ingest import ingest as put_through_gate
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, worth_retrying


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def gate(dataset: str, drop: str) -> dict:
    """Keep the good rows, quarantine the bad ones; the same drop twice changes nothing."""
    here = service("svc-ingest")
    row = put_through_gate(here.platform, here.acting, dataset, Path(drop))
    return {
        "dataset": row.dataset,
        "period": row.period,
        "revision": row.revision,
        "verdict": row.verdict,
        "read": row.read,
        "accepted": row.accepted,
        "quarantined": row.quarantined,
        "supersedes": row.supersedes,
        "touches": dict(row.touches),
        "checks": row.report["checks"],
        "stops": row.report["stops"],
    }


@flow(name="ingest")
def ingest(dataset: str, drop: str) -> dict:
    """Ingest one drop of a dataset."""
    return gate(dataset, drop)
