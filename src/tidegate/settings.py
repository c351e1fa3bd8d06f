"""The one settings object: profile, folders, addresses, local accounts.

Read from three places, each overriding the one before: ``[tool.tidegate]`` in the project's
pyproject.toml, the profile's file, and the environment (``TIDEGATE_HOME``, ``TIDEGATE_PROFILE``,
``TIDEGATE_PROJECT``, ``TIDEGATE_NOW``). A profile names secrets as ``${VARIABLE}``; they are read when
needed and never written anywhere.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import BadInput

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
FOLDERS = ("pipelines", "features", "models", "expectations", "monitoring", "profiles")


@dataclass(frozen=True)
class LocalAccount:
    """An account that the embedded profile makes for itself."""

    name: str
    kind: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class SinkSettings:
    """Who is told what happened. A sink whose variable is not set is one that cannot be told, and stops nobody."""

    name: str
    kind: str
    file: str = ""
    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)


#: What each kind of sink is told by, beside its name.
SINKS: Mapping[str, frozenset[str]] = {
    "log": frozenset({"file"}),
    "webhook": frozenset({"url", "secret"}),
    "prefect": frozenset(),
}


@dataclass(frozen=True)
class Profile:
    """One file of ``infra/profiles/``. Without ``sinks`` nobody is told."""

    ledger: str
    registry: str
    artifacts: str
    assurance: str
    reader: str
    accounts: tuple[LocalAccount, ...]
    sinks: tuple[SinkSettings, ...] = ()


@dataclass(frozen=True)
class Settings:
    """Where everything is. ``now`` is the simulated moment, None on the system's clock."""

    project: Path
    home: Path
    folders: Mapping[str, Path]
    profile_name: str
    profile: Profile
    now: datetime | None

    def folder(self, name: str) -> Path:
        """Return one of the project's content folders."""
        return self.folders[name]


def load(start: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of the project around ``start`` (default: the current folder).

    Raises:
        BadInput: no project here, an unknown key, folder or profile, a variable that is not set.
    """
    env = os.environ if environment is None else environment
    project = _project(Path(env.get("TIDEGATE_PROJECT") or start or Path.cwd()))
    table = _toml(project / "pyproject.toml")["tool"]["tidegate"]
    unknown = sorted(set(table) - {"folders", "profile"})
    unknown += [f"folders.{name}" for name in sorted(set(table.get("folders", {})) - set(FOLDERS))]
    if unknown:
        raise BadInput(
            "bad-settings",
            f"got {', '.join(unknown)} in [tool.tidegate], expected only profile and folders.{{{', '.join(FOLDERS)}}}",
            "mend pyproject.toml",
        )
    folders = {name: project / table.get("folders", {}).get(name, name) for name in FOLDERS}
    home = Path(env.get("TIDEGATE_HOME") or project / ".tidegate").absolute()
    name = env.get("TIDEGATE_PROFILE") or table.get("profile", "embedded")
    profile = _profile(folders["profiles"], name, home, env)
    moment = env.get("TIDEGATE_NOW")
    return Settings(project, home, folders, name, profile, utc_time(moment) if moment else None)


def _project(start: Path) -> Path:
    for folder in (start.absolute(), *start.absolute().parents):
        file = folder / "pyproject.toml"
        if file.is_file() and "tidegate" in _toml(file).get("tool", {}):
            return folder
    raise BadInput(
        "no-project",
        "got a folder outside any Tidegate project, expected a pyproject.toml with [tool.tidegate] here or above",
        "change into your project, or set TIDEGATE_PROJECT",
    )


def _profile(folder: Path, name: str, home: Path, env: Mapping[str, str]) -> Profile:
    file = folder / f"{name}.toml"
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name) or not file.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.toml"))) or "none"
        raise BadInput(
            "no-profile", f"got the profile `{name}`, expected one of: {known}", "set TIDEGATE_PROFILE"
        )
    table = _toml(file)
    expected = {field.name for field in fields(Profile)}
    if off := sorted(set(table) ^ expected - ({"sinks"} - set(table))):
        raise BadInput(
            "bad-profile",
            f"got unknown or missing {', '.join(off)} in {file.name}, expected exactly {', '.join(sorted(expected))}",
            "mend the profile",
        )
    accounts = _accounts(table.pop("accounts"), file.name)
    sinks = _sinks(table.pop("sinks", []), file.name, home, env)
    return Profile(
        accounts=accounts, sinks=sinks, **{key: _expand(value, home, env) for key, value in table.items()}
    )


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # also what is no UTF-8
        why = str(error).splitlines()[0]
        raise BadInput(
            "bad-toml", f"got {file.name}, which cannot be read ({why}), expected TOML in UTF-8", "mend it"
        ) from error


def _accounts(given: object, file: str) -> tuple[LocalAccount, ...]:
    rows: list[Any] = given if isinstance(given, list) else [given]
    faults = [
        f"account {number} as {row!r}"
        for number, row in enumerate(rows, 1)
        if not isinstance(row, dict)
        or row.keys() != {"name", "kind", "roles"}
        or not isinstance(row["name"], str)
        or not isinstance(row["kind"], str)
        or not isinstance(row["roles"], list)
        or not all(isinstance(role, str) for role in row["roles"])
    ]
    if faults:
        raise BadInput(
            "bad-profile",
            f"got {'; '.join(faults)} in {file}, "
            'expected tables like { name = "ada", kind = "person", roles = ["auditor"] }',
            "mend the profile",
        )
    return tuple(LocalAccount(row["name"], row["kind"], tuple(row["roles"])) for row in rows)


def _sinks(given: object, file: str, home: Path, env: Mapping[str, str]) -> tuple[SinkSettings, ...]:
    rows: list[Any] = given if isinstance(given, list) else [given]
    faults = [fault for row in rows for fault in _sink_faults(row)]
    names = [row["name"] for row in rows if isinstance(row, dict) and "name" in row]
    faults += [f"two sinks called {name!r}" for name in dict.fromkeys(names) if names.count(name) > 1]
    if faults:
        raise BadInput(
            "bad-profile",
            f"got {'; '.join(faults)} in `sinks` of {file}, "
            'expected tables like { name = "log", kind = "log", file = "{home}/events.jsonl" }',
            "mend the profile; docs/running.md lists what each kind takes",
        )
    return tuple(
        SinkSettings(**{key: _if_set(value, home, env) for key, value in row.items()}) for row in rows
    )


def _if_set(value: str, home: Path, env: Mapping[str, str]) -> str:
    """Return what a sink is told by, empty where a variable of it is not set: it stops nobody until it is."""
    return _expand(value, home, env) if all(env.get(each) for each in _VARIABLE.findall(value)) else ""


def _sink_faults(row: object) -> Iterator[str]:
    if not isinstance(row, dict) or not all(isinstance(value, str) for value in row.values()):
        yield f"{row!r}"
        return
    name, kind = row.get("name", ""), row.get("kind", "")
    # The registry's own cursor is called so.
    if not _NAME.fullmatch(name) or name == "registry":
        yield f"the name {name!r}"
    if kind not in SINKS:
        yield f"the kind {kind!r}"
        return
    given = set(row) - {"name", "kind"}
    yield from (f"unknown {key} of a {kind}" for key in sorted(given - SINKS[kind]))
    yield from (f"no {key} of a {kind}" for key in sorted(SINKS[kind] - given))
    if not _VARIABLE.fullmatch(row.get("secret", "${X}")):
        yield "a secret that is not just ${VARIABLE}"


def _expand(value: Any, home: Path, env: Mapping[str, str]) -> str:
    def variable(match: re.Match[str]) -> str:
        if match.group(1) not in env:
            raise BadInput(
                "no-variable",
                f"got no environment variable {match.group(1)}, which the profile needs",
                "set it, or choose another profile with TIDEGATE_PROFILE",
            )
        return env[match.group(1)]

    return _VARIABLE.sub(variable, str(value)).replace("{home}", str(home))
