"""Put every drop that has landed and is not decided yet through its gate."""

from pathlib import Path

from prefect import flow, task

from tidegate.application.collect import Collected
from tidegate.application.collect import collect as gate_what_landed
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, worth_retrying
from tidegate.entrypoints.slots import scheduled


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def gates(folder: str | None) -> list[dict]:
    """Gate each drop once; one that is turned away stops no other, and one that is decided is left alone."""
    here = service("svc-ingest")
    landing = Path(folder) if folder else here.platform.settings.home / "landing"
    if not folder:
        landing.mkdir(parents=True, exist_ok=True)
    return [told(each) for each in gate_what_landed(here.platform, here.acting, landing)]


def told(drop: Collected) -> dict:
    """Say what became of one drop."""
    about = {"dataset": drop.dataset, "drop": drop.name, "fresh": drop.fresh}
    if drop.row is None:
        return {
            **about,
            "verdict": "turned away",
            "code": drop.code,
            "sentence": drop.sentence,
            "next": drop.hint,
        }
    row = drop.row
    return {
        **about,
        "period": row.period,
        "revision": row.revision,
        "verdict": row.verdict,
        "read": row.read,
        "accepted": row.accepted,
        "quarantined": row.quarantined,
        "supersedes": row.supersedes,
        "touches": dict(row.touches),
        "stops": row.report["stops"],
    }


@flow(name="collect")
@scheduled("svc-ingest")
def collect(folder: str | None = None, slot: str | None = None) -> list[dict]:  # noqa: ARG001  # any slot: all
    """Ingest what lies in ``folder`` (default: the home's ``landing``), one folder a dataset."""
    return gates(folder)
