"""Compare what is served online with what was known at its moment: a sample of each view, by type."""

from prefect import flow, task

from tidegate.application.parity import SAMPLE
from tidegate.application.parity import parity as compare
from tidegate.domain.errors import DependencyFailed, Refused
from tidegate.domain.evidence import Verdict
from tidegate.entrypoints.flows import RETRIES, RETRY_SECONDS, service, worth_retrying
from tidegate.entrypoints.slots import scheduled


@task(retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=worth_retrying)
def sample(count: int) -> dict:
    """Compare so many keys of each view; a skew is an outcome, what could not be compared is tried again."""
    here = service("svc-features")
    found = compare(here.platform, here.acting, count)
    told = {view: f"{each.verdict}: {each.sentence}" for view, each in found.items()}
    for verdict, raised in ((Verdict.FAILED, Refused), (Verdict.ERROR, DependencyFailed)):
        of = [view for view, each in found.items() if each.verdict is verdict]
        if of:
            hint = "`tidegate features parity` shows which values; `tidegate run materialize` brings them online again"
            raise raised("parity", f"{of[0]} {told[of[0]]}", hint)
    return told


@flow(name="parity")
@scheduled("svc-features")
def parity(count: int = SAMPLE, slot: str | None = None) -> dict:  # noqa: ARG001  # any slot: what is online
    """Compare ``count`` keys of each view that is online."""
    return sample(count)
