"""A new project: the layout of the reference project, without its data, models and features.

What the two share exists once: those templates are links into this repository's own folders (to files, since a
source archive drops links to folders), and become files when a wheel is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tidegate
from tidegate.entrypoints.scaffolding.placing import place

TEMPLATES = Path(tidegate.__file__).parent / "templates"
#: The file that makes a folder a project, and is therefore written last.
LAST = "pyproject.toml"
#: Feast resolves some paths against its own folder and some against the one it is started in.
LINKS = {"features/.tidegate": "../.tidegate"}
_DOT = "dot-"  # a template called .gitignore would be obeyed where it lies


def make_project(folder: Path) -> tuple[str, ...]:
    """Make ``folder`` a project; return the files that were not there yet.

    Raises:
        BadInput: it holds something that would be overwritten, or cannot be written.
        DependencyFailed: the disk is full.
    """
    return place(folder, project_files(), LAST, LINKS)


def project_files() -> Mapping[str, bytes]:
    """Return what a new project holds, by path."""
    found = {}
    for path in _files(TEMPLATES / "project"):
        *above, name = path.relative_to(TEMPLATES / "project").parts
        name = f".{name.removeprefix(_DOT)}" if name.startswith(_DOT) else name
        found["/".join((*above, name))] = path.read_bytes()
    return found


def _files(folder: Path) -> list[Path]:
    files: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name == "__pycache__":
            continue
        files += _files(path) if path.is_dir() else [path]
    return files
