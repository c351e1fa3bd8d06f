"""Rebuild the feature views from accepted batches, and bring them online."""

from prefect import flow, task

from tidegate.application.features import materialize as build_and_bring_online
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, when, worth_retrying
from tidegate.entrypoints.slots import scheduled


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def views(until: str | None) -> dict:
    """Build every view from batches known by then; an older moment never replaces a newer one."""
    here = service("svc-features")
    brought = build_and_bring_online(here.platform, here.acting, when(until))
    return {
        row.view: {
            "rows": row.rows,
            "online_until": row.online_until,
            "was_online_already": row.view not in brought.written,
        }
        for row in brought.views
    }


@flow(name="materialize")
@scheduled("svc-features")
def materialize(until: str | None = None, slot: str | None = None) -> dict:  # noqa: ARG001  # any slot: the latest
    """Bring features to what was known at ``until`` (default: now)."""
    return views(until)
