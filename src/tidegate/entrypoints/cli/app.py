"""The commands, put together, and the one place where errors become sentences and exit codes.

A command's module is imported when it is asked for: most commands take less long than importing all of them.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer

from tidegate import __version__
from tidegate.domain.errors import BadInput, DependencyFailed, TidegateError
from tidegate.entrypoints.cli.common import err, json_text, out, printable, tell_sinks
from tidegate.entrypoints.cli.helping import flowing


class Place(NamedTuple):
    """A command, or a group of them: how it is called, the panel that shows it, and its module and name there."""

    name: str
    panel: str
    module: str
    of: str

    def found(self) -> Any:
        """Import it."""
        return getattr(import_module(f"tidegate.entrypoints.cli.{self.module}"), self.of)


COMMANDS = tuple(
    Place(*each)
    for each in (
        ("init", "Start", "create", "init"),
        ("status", "See", "work", "status"),
        ("why", "See", "models", "why"),
        ("packet", "See", "bundle", "packet"),
        ("lineage", "See", "features", "lineage"),
        ("prod", "See", "history", "prod"),
        ("canary", "See", "rollout", "canary"),
        ("rehearse", "See", "rollout", "rehearse"),
        ("log", "See", "work", "log"),
        ("desk", "See", "work", "desk"),
        ("doctor", "See", "work", "doctor"),
        ("ingest", "Data", "data", "ingest"),
        ("push", "Data", "pushes", "push"),
        ("replay", "Data", "data", "replay"),
        ("quarantine", "Data", "data", "quarantine"),
        ("train", "Models", "models", "train"),
        ("versions", "Models", "models", "versions"),
        ("promote", "Models", "models", "promote"),
        ("rollback", "Models", "models", "rollback"),
        ("demote", "Models", "models", "demote"),
        ("retire", "Models", "models", "retire"),
        ("approve", "People", "people", "approve"),
        ("reject", "People", "people", "reject"),
        ("revoke", "People", "deciding", "revoke"),
        ("recertify", "People", "deciding", "recertify"),
        ("break-glass", "People", "deciding", "break_glass"),
        ("review", "People", "people", "review"),
        ("erase", "People", "texts", "erase"),
        ("retention", "People", "texts", "retention"),
        ("open", "Work", "work", "open_"),
        ("run", "Work", "work", "run"),
        ("demo", "Work", "work", "demo"),
        ("reconcile", "Work", "reconcile", "reconcile"),
    )
)
GROUPS = tuple(
    Place(*each)
    for each in (
        ("dataset", "Start", "create", "dataset"),
        ("model", "Start", "create", "model"),
        ("gate", "Data", "gates", "gate"),
        ("features", "Data", "features", "features"),
        ("waiver", "People", "waivers", "waiver"),
        ("delegation", "People", "deciding", "delegation"),
        ("user", "People", "people", "user"),
        ("policy", "People", "policy", "policy"),
        ("subject", "People", "subjects", "subject"),
        ("audit", "See", "audit", "audit"),
        ("schedule", "Work", "schedule", "schedule"),
        ("outbox", "Work", "outbox", "outbox"),
    )
)
#: Commands of a group whose module is another than the group's; the panel is the group.
WITHIN = tuple(
    Place(*each)
    for each in (
        ("parity", "features", "parity", "parity"),
        ("online", "features", "online", "online"),
        ("export", "audit", "bundle", "export"),
        ("verify-bundle", "audit", "bundle", "verify_bundle"),
    )
)


@cache
def assembled(word: str = "") -> typer.Typer:
    """Return the app with the command or group of this name alone; with all where there is none."""
    app = typer.Typer(
        name="tidegate",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Models rise through gates that open on evidence, policy and people.",
        epilog="Exit codes: 0 done, 1 refused by a rule, 2 usage or bad input, 3 a dependency failed.",
        callback=tidegate,
    )
    one = {word} & {each.name for each in (*COMMANDS, *GROUPS)}
    for each in COMMANDS:
        if not one or each.name in one:
            app.command(each.name, rich_help_panel=each.panel)(each.found())
    for each in GROUPS:
        if not one or each.name in one:
            group = each.found()
            there = {command.name for command in group.registered_commands}
            for part in WITHIN:
                if part.panel == each.name and part.name not in there:
                    group.command(part.name)(part.found())
            app.add_typer(group, name=each.name, rich_help_panel=each.panel)
    flowing(app)
    return app


def __getattr__(name: str) -> typer.Typer:
    """Return the app with all commands, for whoever imports it."""
    if name == "app":
        return assembled()
    raise AttributeError(name)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"tidegate {__version__}")
        raise typer.Exit


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
    assembled(*sys.argv[1:2])(standalone_mode=False, prog_name="tidegate")
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
