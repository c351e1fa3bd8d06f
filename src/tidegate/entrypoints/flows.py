"""What the flows of ``pipelines/`` stand on: an authenticated service, and running them in process.

Prefect runs and retries; it has no identities (principle 6). Each flow therefore acts under the service
account it names, whose token it reads where every other command does.
"""

from __future__ import annotations

import importlib.util
import inspect
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from tidegate.adapters.shared.files import sweep
from tidegate.application.outbox import tell
from tidegate.application.platform import Acting
from tidegate.application.projection import drain
from tidegate.bootstrap import Tidegate
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.state import ActorRow
from tidegate.entrypoints.flow_server import flow_server, server_failed
from tidegate.entrypoints.worker import end_with_worker
from tidegate.settings import Settings, load

#: How often a flow's step is tried again when a tool was down, and how many seconds lie between.
RETRIES, RETRY_SECONDS = 2, [1, 5]


@dataclass(frozen=True)
class Slot:
    """The slot of a schedule that is being run: all its steps share one platform and write one story."""

    platform: Tidegate
    story: str


#: Set while a slot is run.
SLOT: ContextVar[Slot | None] = ContextVar("tidegate_slot", default=None)
#: The person who started the flow that runs; whoever starts it at Prefect's server is nobody we know.
STARTER: ContextVar[str | None] = ContextVar("tidegate_starter", default=None)


@dataclass(frozen=True)
class Service:
    """A platform, and the service that acts on it."""

    platform: Tidegate
    acting: Acting

    def done(self) -> None:
        """Have the effects of what was committed, and tell the sinks; what is down is told later, and says so there.

        Raises:
            DependencyFailed: the registry is down; the step may be tried again.
        """
        drain(self.platform, self.acting)
        tell(self.platform)


def service(name: str, on_behalf_of: str | None = None, key: str | None = None) -> Service:
    """Authenticate as a service; ``on_behalf_of`` is the id of the person whose work it does, if any.

    From here on the flow ends with the worker that started it. What killed writers left is swept first.

    Where people are local the service's own token is used. Elsewhere it is the token of whoever started the
    flow; a person who started it acts as themselves, for nobody else.

    Raises:
        BadInput: ``on_behalf_of`` names somebody who did not start the flow.
    """
    if on_behalf_of is not None and on_behalf_of != STARTER.get():
        raise _for_another()
    end_with_worker()
    slot = SLOT.get()
    here = slot.platform if slot else Tidegate(load())
    if slot is None:
        sweep(here.settings.home, here.clock.recorded())
    local = here.assurance == "local"
    acting = here.act(
        name if local else None, key=key, on_behalf_of=on_behalf_of, story=slot.story if slot else None
    )
    if acting.actor.id == on_behalf_of:
        acting = replace(acting, on_behalf_of=None)
    return Service(here, acting)


def when(moment: str | None) -> datetime | None:
    """Read an optional time parameter."""
    return utc_time(moment) if moment else None


def worth_retrying(_task: object, _run: object, state: Any) -> bool:
    """Say whether a failed step may be tried again: only where a tool failed. A refusal stays a refusal.

    A disk does not become less full within seconds: that is for a person.
    """
    try:
        state.result()
    except DependencyFailed as failed:
        return failed.code != "disk-full"
    except Exception:  # noqa: BLE001  # whatever else it was, the same input would fail the same way
        return False
    return False


def flow_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of all flows: the files of ``pipelines/`` that define a function of their own name."""
    folder = settings.folder("pipelines")
    return tuple(
        sorted(
            path.stem
            for path in folder.glob("*.py")
            if f"\ndef {path.stem}(" in path.read_text(encoding="utf-8")
        )
    )


def run_flow(
    settings: Settings, name: str, parameters: Mapping[str, Any], starter: ActorRow | None = None
) -> Any:
    """Run one flow in this process, under Prefect.

    A person who starts a flow is the one it works for: that is recorded, and they cannot approve what came
    of it (P4). Nobody names somebody else; a clock that starts it is nobody.

    Raises:
        BadInput: no such flow, or a parameter it does not take.
        DependencyFailed: Prefect's server failed, for want of room on its disk or otherwise.
        TidegateError: whatever its steps raise.
    """
    known = flow_names(settings)
    if name not in known:
        raise BadInput("unknown-flow", f"got the flow `{name}`, expected one of: {', '.join(known)}", "")
    # Prefect's own events go to its server in the background; what is left of them at the end is no news.
    logging.getLogger("EventsWorker").setLevel(logging.CRITICAL)
    from prefect.exceptions import ParameterTypeError, PrefectHTTPStatusError

    if "on_behalf_of" in parameters:
        raise _for_another()
    flow = getattr(load_file(settings.folder("pipelines") / f"{name}.py"), name)
    if faults := list(_misfits(name, flow.fn, parameters)):
        raise _misfit(name, faults)
    given = dict(parameters)
    if (
        starter is not None
        and starter.kind == "person"
        and "on_behalf_of" in inspect.signature(flow.fn).parameters
    ):
        given["on_behalf_of"] = starter.id
    started = STARTER.set(given.get("on_behalf_of"))
    with in_process(settings):
        try:
            return flow(**given)
        except ParameterTypeError as error:
            raise _misfit(name, _mistyped(name, flow.fn, parameters, str(error))) from error
        except (
            PrefectHTTPStatusError
        ) as error:  # what the steps did stays done; only Prefect could not note it
            raise server_failed(settings.home, f"it answered {error.response.status_code}") from error
        finally:
            STARTER.reset(started)


#: Parameters that people do not give: who starts a flow says whose it is, and what is run by hand has no slot.
_NOT_BY_HAND = {"on_behalf_of", "slot"}
_REST = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
#: What people call a type of a parameter.
_TYPES = {int: "a whole number", float: "a number", bool: "true or false"}


def _misfits(flow: str, function: Callable[..., Any], given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the names of parameters."""
    known = inspect.signature(function).parameters
    own = {each: of for each, of in known.items() if each not in _NOT_BY_HAND and of.kind not in _REST}
    takes_any = any(of.kind is inspect.Parameter.VAR_KEYWORD for of in known.values())
    if (others := [f"`{each}`" for each in given if each not in known]) and not takes_any:
        noun = "parameter" if len(others) == 1 else "parameters"
        expected = f"one of: {', '.join(own)}" if own else "none: it has no parameters"
        yield f"got the {noun} {', '.join(others)} for the flow `{flow}`, expected {expected}"
    for each, of in own.items():
        if of.default is inspect.Parameter.empty and each not in given:
            yield f"got no {each} for the flow `{flow}`, expected {each}=…"


def _mistyped(flow: str, function: Callable[..., Any], given: Mapping[str, Any], prefect: str) -> list[str]:
    """Return which parameters are of a wrong type; ``prefect`` is what Prefect says, a line for each."""
    known = inspect.signature(function, eval_str=True).parameters
    named = dict.fromkeys(each for each in re.findall(r"^ - (\w+)", prefect, re.MULTILINE) if each in given)
    told = {each: _TYPES.get(of := known[each].annotation) or inspect.formatannotation(of) for each in named}
    faults = [f"got {each}={given[each]} for the flow `{flow}`, expected {of}" for each, of in told.items()]
    return faults or [" ".join(prefect.split())]


def _misfit(flow: str, faults: Sequence[str]) -> BadInput:
    return BadInput("bad-parameters", "; ".join(faults), f"what it takes is written in pipelines/{flow}.py")


@contextmanager
def in_process(settings: Settings) -> Iterator[None]:
    """Have Prefect run flows in this process, against a server of its own where nobody has set one up."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )

    if _IN_PROCESS.get():
        yield  # many flows one after the other: Prefect takes long to settle on its settings
        return
    # A run in this process needs no heartbeat, and the heartbeat's thread costs every run a second.
    here: dict[Any, Any] = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    if PREFECT_API_URL.value() is None:
        server = flow_server(settings.home / "prefect")
        server.wait()
        here[PREFECT_API_URL] = server.url
        here[PREFECT_CLIENT_CSRF_SUPPORT_ENABLED] = (
            False  # it serves no browser; asking costs each run a call
        )
    inside = _IN_PROCESS.set(True)
    try:
        with temporary_settings(here):
            yield
    finally:
        _IN_PROCESS.reset(inside)


_IN_PROCESS: ContextVar[bool] = ContextVar("tidegate_in_process", default=False)


def _for_another() -> BadInput:
    return BadInput(
        "for-another", "got on_behalf_of as a parameter, expected it from who starts the flow", "use --as"
    )


def load_file(file: Path) -> ModuleType:
    """Import a flow's file under a name no package can have."""
    name = f"tidegate_flow_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise BadInput("unknown-flow", f"got {file.name}, which cannot be imported", "see pipelines/")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
