"""The commands, put together, and the one place where errors become sentences and exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from tidegate import __version__
from tidegate.domain.errors import BadInput, DependencyFailed, TidegateError
from tidegate.entrypoints.cli import (
    audit,
    bundle,
    create,
    data,
    deciding,
    features,
    gates,
    history,
    models,
    online,
    outbox,
    parity,
    people,
    policy,
    pushes,
    reconcile,
    rollout,
    schedule,
    subjects,
    texts,
    waivers,
    work,
)
from tidegate.entrypoints.cli.common import err, json_text, out, printable, tell_sinks
from tidegate.entrypoints.cli.helping import flowing

app = typer.Typer(
    name="tidegate",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Models rise through gates that open on evidence, policy and people.",
    epilog="Exit codes: 0 done, 1 refused by a rule, 2 usage or bad input, 3 a dependency failed.",
)

app.command(rich_help_panel="Start")(create.init)
app.add_typer(create.dataset, name="dataset", rich_help_panel="Start")
app.add_typer(create.model, name="model", rich_help_panel="Start")
app.command(rich_help_panel="See")(work.status)
app.command(rich_help_panel="See")(models.why)
app.command(rich_help_panel="See")(bundle.packet)
app.command(rich_help_panel="See")(features.lineage)
app.command(rich_help_panel="See")(history.prod)
app.command(rich_help_panel="See")(rollout.canary)
app.command(rich_help_panel="See")(rollout.rehearse)
app.command(rich_help_panel="See")(work.log)
app.command(rich_help_panel="See")(work.desk)
app.command(rich_help_panel="See")(work.doctor)
app.command(rich_help_panel="Data")(data.ingest)
app.command(rich_help_panel="Data")(pushes.push)
app.command(rich_help_panel="Data")(data.replay)
app.command(rich_help_panel="Data")(data.quarantine)
app.add_typer(gates.gate, name="gate", rich_help_panel="Data")
features.features.command("parity")(parity.parity)
features.features.command("online")(online.online)
app.add_typer(features.features, name="features", rich_help_panel="Data")
app.command(rich_help_panel="Models")(models.train)
app.command(rich_help_panel="Models")(models.versions)
app.command(rich_help_panel="Models")(models.promote)
app.command(rich_help_panel="Models")(models.rollback)
app.command(rich_help_panel="Models")(models.demote)
app.command(rich_help_panel="Models")(models.retire)
app.command(rich_help_panel="People")(people.approve)
app.command(rich_help_panel="People")(people.reject)
app.command(rich_help_panel="People")(deciding.revoke)
app.command(rich_help_panel="People")(deciding.recertify)
app.command("break-glass", rich_help_panel="People")(deciding.break_glass)
app.add_typer(waivers.waiver, name="waiver", rich_help_panel="People")
app.add_typer(deciding.delegation, name="delegation", rich_help_panel="People")
app.command(rich_help_panel="People")(people.review)
app.add_typer(people.user, name="user", rich_help_panel="People")
app.add_typer(policy.policy, name="policy", rich_help_panel="People")
app.command(rich_help_panel="People")(texts.erase)
app.command(rich_help_panel="People")(texts.retention)
app.add_typer(subjects.subject, name="subject", rich_help_panel="People")
audit.audit.command()(bundle.export)
audit.audit.command()(bundle.verify_bundle)
app.add_typer(audit.audit, name="audit", rich_help_panel="See")
app.command("open", rich_help_panel="Work")(work.open_)
app.command(rich_help_panel="Work")(work.run)
app.command(rich_help_panel="Work")(work.demo)
app.add_typer(schedule.schedule, name="schedule", rich_help_panel="Work")
app.command(rich_help_panel="Work")(reconcile.reconcile)
app.add_typer(outbox.outbox, name="outbox", rich_help_panel="Work")
flowing(app)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"tidegate {__version__}")
        raise typer.Exit


@app.callback()
def tidegate(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Models rise through gates that open on evidence, policy and people."""


#: How a command ends that somebody stopped; they are not kept waiting.
STOPPED = 130


def main() -> None:
    """Run a command; print one sentence for whatever goes wrong. Then tell the sinks what it did.

    What comes of that is not the command's outcome: what it did is done. On a disk without room it cannot be noted
    what they were told: they are told by the next command.
    """
    code, failed = _guarded(_command)
    if code != STOPPED and failed != "disk-full":
        _guarded(tell_sinks)
    sys.exit(code)


def _command() -> None:
    app(standalone_mode=False, prog_name="tidegate")
    sys.stdout.flush()


def _guarded(act: Callable[[], object]) -> tuple[int, str]:
    """Do something, print one sentence for whatever goes wrong; return the exit code and the failure's own."""
    code, failed = 0, ""
    try:
        act()
    except TidegateError as error:
        _explain(error)
        code, failed = error.exit_code, error.code
    except typer.Exit as done:
        code = done.exit_code
    except typer.TyperException as usage:
        if usage.format_message():  # empty where Typer has just printed the whole help
            asked = getattr(usage, "ctx", None)  # of the command that was understood so far
            hint = f"{asked.command_path if asked else 'tidegate'} --help"
            _explain(BadInput("usage", " ".join(usage.format_message().split()), hint))
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        err.print("stopped; what was committed stays, run the command again to go on")
        code = STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; nothing more to say
    except (
        Exception
    ) as error:  # the last door: a fault of ours is a sentence too, with the way to its traceback
        if os.environ.get("TIDEGATE_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            hint = "free some space and run the same again; what was committed stays"
            _explain(
                DependencyFailed("disk-full", "got no space left on the disk, expected room to write", hint)
            )
            return 3, "disk-full"
        err.print(f"error: {type(error).__name__}: {error}", markup=False)
        err.print("  next: this is a fault in Tidegate; run again with TIDEGATE_DEBUG=1 for its traceback")
        code = 3
    return code, failed


def _explain(error: TidegateError) -> None:
    if "--json" in sys.argv:
        sys.stdout.write(json_text(error.as_dict()))
        return
    word = {1: "refused", 2: "not usable", 3: "failed"}[error.exit_code]
    reasons = error.data.get("reasons")
    if isinstance(reasons, list) and reasons:
        err.print(f"{word}:")
        for reason in reasons:
            err.print(printable(f"  {reason['rule']}  {reason['sentence']}"), markup=False)
            err.print(printable(f"      next: {reason['next_step']}"), markup=False)
        return
    for line in _lines(error, word):
        err.print(printable(line), markup=False)
    if error.hint:
        err.print(printable(f"  next: {error.hint}"), markup=False)


def _lines(error: TidegateError, word: str) -> list[str]:
    """Return what went wrong in a line; each of a file's several faults, which its sentence ends with, in its own."""
    faults = error.data.get("faults")
    if not isinstance(faults, list) or not faults[1:]:
        return [f"{word}: {error.sentence}"]
    each = [
        " ".join(part for part in (fault.get("file"), f"line {fault['line']}: {fault['sentence']}") if part)
        for fault in faults
    ]
    return [
        f"{word}: {error.sentence.removesuffix('; '.join(each)).rstrip()}",
        *(f"  {line}" for line in each),
    ]
