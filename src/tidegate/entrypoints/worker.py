"""A flow ends with the Prefect worker that started it, however the worker ended.

Prefect runs each flow in a process of its own, which outlives a killed worker. The worker reads what the flow
prints through a pipe (``stream_output``, on by default). When the worker is gone the pipe is broken, whenever
that happened; no flow writes or reads anything to find out.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from functools import cache

#: How long a flow may take to tell Prefect's server that it ends here; that server may be gone too.
GRACE_SECONDS = 10.0


@cache
def end_with_worker() -> None:
    """Watch the worker from now on. A process that no worker started is left alone."""
    if "PREFECT__FLOW_RUN_ID" in os.environ:
        threading.Thread(target=_end_when_broken, daemon=True).start()


def _end_when_broken() -> None:
    standard_output = 1
    watch = select.poll()
    watch.register(
        standard_output, 0
    )  # of interest is only that nobody reads it any more, which is always told
    if any(told & (select.POLLERR | select.POLLHUP) for _, told in watch.poll()):
        os.kill(os.getpid(), signal.SIGTERM)  # Prefect's own way out: the run is told to have crashed
        time.sleep(GRACE_SECONDS)
        os._exit(1)
