"""Help as wide as the terminal: a docstring's lines end where its source does, and say nothing by that."""

from __future__ import annotations

import inspect

import typer


def flowing(app: typer.Typer) -> None:
    """Let each paragraph of every command's help, in groups too, be one line: the terminal wraps it.

    A command's help is the docstring of its function, unless it has a help of its own.
    """
    for command in app.registered_commands:
        told = command.help or inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(each.split()) for each in told.split("\n\n"))
    for group in app.registered_groups:
        if group.typer_instance is not None:
            flowing(group.typer_instance)
