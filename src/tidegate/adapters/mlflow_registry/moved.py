"""A store that was moved, or copied, together with its artifacts: MLflow keeps places in full.

It would go on reading where the artifacts were, and write there what comes next: into a folder that is gone, or into
the home that this one was copied from.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlparse

#: Where MLflow's database names places of artifacts.
_NAMED = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)


def settle(connection: sqlite3.Connection, root: str) -> tuple[str, ...]:
    """Let a store name its artifacts below ``root`` where they lie there; return the roots that it named before.

    Artifacts of which one lies elsewhere are left as they are named: somebody keeps them there. What is fetched is
    verified by its digest, wherever it lies.
    """
    place = _local(root)
    if place is None:
        return ()
    locations = connection.execute("SELECT artifact_location FROM experiments").fetchall()
    roots = sorted({location.rpartition("/")[0] for (location,) in locations} - {root})
    moved = tuple(old for old in roots if _elsewhere(old, place) and _lie_below(connection, old, place))
    with connection:
        for old in moved:
            for table, column in _NAMED:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608  # names of our own
                    (root, len(old) + 1, len(old) + 1, f"{old}/"),
                )
    return moved


def _elsewhere(old: str, place: Path) -> bool:
    """Say whether a root is another local folder than ``place``, and not the same under another name."""
    there = _local(old)
    return there is not None and not (there.exists() and place.exists() and there.samefile(place))


def _lie_below(connection: sqlite3.Connection, old: str, place: Path) -> bool:
    rows = connection.execute(
        "SELECT source FROM model_versions WHERE substr(source, 1, ?) = ?", (len(old) + 1, f"{old}/")
    )
    return all((place / unquote(source[len(old) + 1 :])).exists() for (source,) in rows)


def _local(place: str) -> Path | None:
    """Return a place of this machine as a path, None of any other."""
    if place.startswith("/"):
        return Path(place)
    return Path(unquote(urlparse(place).path)) if place.startswith("file:///") else None
