"""The command line."""

from tidegate.entrypoints.cli.app import main

__all__ = ["main"]
