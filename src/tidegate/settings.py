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
#: Of which years a simulated moment may be. What is reckoned from it, years before and behind, can be told too.
YEARS = range(1900, 3000)
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
    """One file of ``infra/profiles/``. Without ``sinks`` nobody is told.

    ``online`` is the address of a Redis for online features, with the variables that it names: Feast expands them,
    and what is written never holds a password. ``offline`` is where offline features lie, one of `OFFLINE`. Without
    either features/feature_store.yaml says it.
    """

    ledger: str
    registry: str
    artifacts: str
    assurance: str
    reader: str
    accounts: tuple[LocalAccount, ...]
    sinks: tuple[SinkSettings, ...] = ()
    online: str = ""
    offline: str = ""


#: Where a profile may say that offline features lie.
OFFLINE = ("duckdb", "postgresql", "spark")
#: What a profile may leave out.
_OPTIONAL = frozenset({"sinks", "online", "offline"})


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
        BadInput: no project here, a file that is no TOML, an unknown key, folder or profile, a value of another
            kind, a variable that is not set, a moment that no project is at.
    """
    env = os.environ if environment is None else environment
    project, table = _project(Path(env.get("TIDEGATE_PROJECT") or start or Path.cwd()))
    given = table.get("folders", {})
    named = given if isinstance(given, dict) else {}
    unknown = sorted(set(table) - {"folders", "profile"})
    unknown += [f"folders.{name}" for name in sorted(set(named) - set(FOLDERS))]
    values = {"profile": table.get("profile", ""), **{f"folders.{name}": named[name] for name in named}}
    unknown += [f"a {name} that is no text" for name, value in values.items() if not isinstance(value, str)]
    unknown += [] if given is named else ["folders that are no table"]
    if unknown:
        raise BadInput(
            "bad-settings",
            f"got {', '.join(unknown)} in [tool.tidegate], expected only profile and folders.{{{', '.join(FOLDERS)}}}",
            "mend pyproject.toml",
        )
    folders = {name: project / named.get(name, name) for name in FOLDERS}
    home = Path(env.get("TIDEGATE_HOME") or project / ".tidegate").absolute()
    name = env.get("TIDEGATE_PROFILE") or table.get("profile", "embedded")
    profile = _profile(folders["profiles"], name, home, env)
    return Settings(project, home, folders, name, profile, _now(env.get("TIDEGATE_NOW")))


def _now(text: str | None) -> datetime | None:
    moment = utc_time(text) if text else None
    if moment and moment.year not in YEARS:
        raise BadInput(
            "not-a-time",
            f"got {text!r}, expected a moment of the years {YEARS[0]} to {YEARS[-1]}, "
            "beyond which terms and windows reach",
            "mend TIDEGATE_NOW",
        )
    return moment


def _toml(file: Path, code: str) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        got, hint = f"got no readable {file.name} ({error.strerror})", f"make {file} readable"
    except RecursionError:
        got, hint = f"got values nested too deep in {file.name}", f"mend {file}"
    except ValueError as error:  # of its syntax, and of bytes that are no UTF-8
        got, hint = f"got {file.name}, which is no TOML ({error})", f"mend {file}"
    raise BadInput(code, f"{got}, expected TOML in UTF-8", hint)


def _project(start: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder and what its file says."""
    for folder in (start.absolute(), *start.absolute().parents):
        file = folder / "pyproject.toml"
        tools = _toml(file, "bad-settings").get("tool") if file.is_file() else None
        if isinstance(tools, dict) and "tidegate" in tools:
            if not isinstance(tools["tidegate"], dict):
                raise BadInput(
                    "bad-settings",
                    "got a tool.tidegate that is no table, expected [tool.tidegate]",
                    "mend pyproject.toml",
                )
            return folder, tools["tidegate"]
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
    table = _toml(file, "bad-profile")
    expected = {field.name for field in fields(Profile)}
    if off := sorted(set(table) ^ expected - (_OPTIONAL - set(table))):
        raise BadInput(
            "bad-profile",
            f"got unknown or missing {', '.join(off)} in {file.name}, expected exactly {', '.join(sorted(expected))}",
            "mend the profile",
        )
    accounts = _accounts(table.pop("accounts"), file.name)
    sinks = _sinks(table.pop("sinks", []), file.name, home, env)
    if off := sorted(key for key, value in table.items() if not isinstance(value, str)):
        raise BadInput(
            "bad-profile",
            f"got no text as {', '.join(off)} in {file.name}, expected a text each",
            f"put its value in quotes, in {folder.name}/{file.name}",
        )
    online = table.pop("online", "")
    told = {key: _expand(value, home, env) for key, value in table.items()}
    if told.get("offline", "") not in {"", *OFFLINE}:
        # An address has a password: what is no plain word is not repeated.
        got = repr(told["offline"]) if _NAME.fullmatch(told["offline"]) else "what is no name of a store"
        raise BadInput(
            "bad-profile",
            f"got {got} as offline in {file.name}, expected one of: {', '.join(OFFLINE)}",
            "name one, or leave it away: then features/feature_store.yaml says it",
        )
    return Profile(accounts=accounts, sinks=sinks, online=online, **told)


def _accounts(given: object, file: str) -> tuple[LocalAccount, ...]:
    rows: list[Any] = given if isinstance(given, list) else [given]
    if faults := [fault for row in rows for fault in _account_faults(row)]:
        raise BadInput(
            "bad-profile",
            f"got {'; '.join(faults)} in `accounts` of {file}, "
            'expected tables like { name = "ada", kind = "person", roles = ["administrator"] }',
            "mend the profile; see `tidegate user roles`",
        )
    return tuple(LocalAccount(row["name"], row["kind"], tuple(row["roles"])) for row in rows)


def _account_faults(row: object) -> Iterator[str]:
    if not isinstance(row, dict):
        yield f"{row!r}"
        return
    expected = [each.name for each in fields(LocalAccount)]
    yield from (f"unknown {key} of an account" for key in sorted(set(row) - set(expected)))
    yield from (f"no {key} of an account" for key in expected if key not in row)
    for key in ("name", "kind"):
        if not isinstance(row.get(key, ""), str):
            yield f"the {key} {row[key]!r}"
    roles = row.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(each, str) for each in roles):
        yield f"the roles {roles!r}"


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
