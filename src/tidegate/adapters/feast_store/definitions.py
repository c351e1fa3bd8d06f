"""Feast's definitions as the domain compares them, and those that were registered, kept by content.

``home/features/definitions/<digest>.json`` holds what a view's digest is taken over: what Feast keeps of the view, and
the SQL that fills it. The ledger names the digest, so a file that was altered is as good as none.
``home/feast/registered.json`` names what was registered last, services with what they select.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegate.adapters.feast_store import permissions, repository
from tidegate.adapters.shared.files import hex_of, write_whole
from tidegate.domain.canonical import canonical, digest
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.feature_change import Definitions, ServiceDefinition, ViewDefinition
from tidegate.domain.freshness import EXPECTED, FRESHNESS, LAG, duration

_PREFIX = "sha256:"
#: How Feast spells a ttl that never ends.
_NEVER = "0s"
#: What of a view is said to people only.
_WORDS = ("description", "owner", "tags")
#: What a view says of how fresh it must be, among its tags.
_OBJECTIVE = (FRESHNESS, LAG)
#: What has a place of its own in a `ViewDefinition`, or, like the entities' names, stands behind one.
_PLACED = {"name", "features", "entityColumns", "entities", "ttl", "version", *_WORDS}


def defined(repo: Path, contents: Any) -> Definitions:
    """Return what the repository's files define, before anything of it is registered.

    Raises:
        BadInput: a view has no SQL or no known entity, a service selects from a view that is not defined, or a
            permission is of a kind that names no role.
    """
    kinds = {each.join_key: each.value_type.name for each in contents.entities}
    join_keys = {each.name: each.join_key for each in contents.entities}
    views = {}
    for view in contents.feature_views:
        text, steps = repository.source_sql(repo, view.name)
        spec = repository.view_spec(view)
        known = {column["name"] for column in spec["entityColumns"]}
        # Feast fills these in when it registers the view; a type that is not stated it reads off the source.
        spec.setdefault("ttl", _NEVER)
        for key in (join_keys[each] for each in view.entities if join_keys[each] not in known):
            stated = {} if kinds[key] == "UNKNOWN" else {"valueType": kinds[key]}
            spec["entityColumns"].append({"name": key, **stated})
        spec["entityColumns"].sort(key=lambda column: str(column["name"]))
        views[view.name] = view_of(repository.view_document(spec, text, steps))
    services = {each.name: service_of(each) for each in contents.feature_services}
    derived = {each.name for each in contents.on_demand_feature_views}
    for service in services.values():
        if unknown := sorted(set(service.selects) - set(views) - derived):
            raise BadInput(
                "unknown-view",
                f"got the service {service.name} over {', '.join(unknown)}, expected views that are defined: "
                f"{', '.join(sorted(views)) or 'none'}",
                "define the view beside the service, under a name of the file's own",
            )
    return Definitions(views, services, tuple(permissions.declared(contents)))


def edited() -> BadInput:
    """Return the error for definitions that are others than were looked at a moment ago."""
    return BadInput(
        "definitions-edited",
        "got feature definitions that were edited while they were being applied, expected them at rest",
        "nothing was registered: run the same again",
    )


def view_of(document: Mapping[str, Any]) -> ViewDefinition:
    """Return the view of which this is the document."""
    spec = dict(document["spec"])
    tags = spec.get("tags", {})
    objective = {name: _seconds(tags[name]) for name in _OBJECTIVE if duration(tags.get(name))}
    spec["tags"] = {name: said for name, said in tags.items() if name not in objective}
    fields = {each["name"]: str(each.get("valueType", "")) for each in spec["features"]}
    about = {
        f"{word} of {each['name']}": _text(each[word])
        for each in spec["features"]
        for word in ("description", "tags")
        if each.get(word)
    }
    stream = _stream(spec)
    placed = {*_PLACED, *(["streamSource"] if stream else [])}
    told = {"name", "valueType", "description", "tags"}
    more = {
        f"{key} of {each['name']}": _text(value)
        for each in spec["features"]
        for key, value in each.items()
        if key not in told
    }
    return ViewDefinition(
        name=spec["name"],
        digest=digest(document),
        fields=fields,
        keys={each["name"]: str(each.get("valueType", "")) for each in spec["entityColumns"]},
        ttl="" if (ttl := str(spec.get("ttl", _NEVER))) == _NEVER else ttl,
        sql=document["sql"],
        steps=document.get("steps", {}),
        stream=stream,
        words={word: _text(spec[word]) for word in _WORDS if spec.get(word)} | about,
        rest={key: _text(value) for key, value in spec.items() if key not in placed} | more,
        objective=objective,
    )


def require_objectives(repo: Path, views: Sequence[Any]) -> None:
    """Refuse a view that says how fresh it must be in other words than `duration` reads.

    Raises:
        BadInput: naming every one of them, with its file.
    """
    wrong = [
        f"{name} {tags[name]!r} of the view {view.name} in {_file_of(repo, view.name)}"
        for view in views
        for name in _OBJECTIVE
        if name in (tags := view.tags or {}) and duration(tags[name]) is None
    ]
    if wrong:
        raise BadInput(
            "freshness-objective",
            f"got {'; '.join(wrong)}, expected {EXPECTED}",
            "mend the view's tags; docs/freshness.md tells what they say",
        )


def _file_of(repo: Path, view: str) -> str:
    """Return the file that names a view; Feast does not keep where an object is defined."""
    files = [
        file
        for file in sorted(repo.rglob("*.py"))
        if re.search(rf"""["']{re.escape(view)}["']""", file.read_text("utf-8"))
    ]
    return ", ".join(f"{repo.name}/{file.relative_to(repo)}" for file in files) or repo.name


def _seconds(stated: str) -> int:
    length = duration(stated)
    return int(length.total_seconds()) if length else 0


def _stream(spec: Mapping[str, Any]) -> str:
    """Return the name of a push source into what the view's own source holds; empty for none, or another kind."""
    source, unsaid = spec.get("streamSource", {}), "dataSourceClassType"
    own = {key: value for key, value in spec.get("batchSource", {}).items() if key != unsaid}
    into = {key: value for key, value in source.get("batchSource", {}).items() if key != unsaid}
    return str(source.get("name", "")) if source.get("type") == "PUSH_SOURCE" and into == own else ""


def service_of(service: Any) -> ServiceDefinition:
    """Return a Feast service: what it selects. An alias or another join key is a change of meaning."""
    selects: dict[str, tuple[str, ...]] = {}
    rest = {}
    for projection in service.feature_view_projections:
        selects[projection.name] = tuple(feature.name for feature in projection.features)
        if projection.name_alias:
            rest[f"alias of {projection.name}"] = projection.name_alias
        if projection.join_key_map:
            rest[f"join keys of {projection.name}"] = _text(dict(projection.join_key_map))
    words = {word: _text(said) for word in _WORDS if (said := getattr(service, word, None))}
    return ServiceDefinition(service.name, selects, words, rest)


def keep(home: Path, views: Mapping[str, Mapping[str, Any]], services: Mapping[str, Any]) -> None:
    """Keep the documents of what was registered, and name all of it as what is registered now."""
    for document in views.values():
        file = _file(home, digest(document))
        if not file.exists():
            write_whole(file, canonical(document) + b"\n")
    told = {
        "views": {name: digest(document) for name, document in views.items()},
        "services": {
            name: {"selects": each.selects, "words": each.words, "rest": each.rest}
            for name, each in ((name, service_of(service)) for name, service in services.items())
        },
    }
    write_whole(
        home / "feast" / "registered.json", (json.dumps(told, indent=1, sort_keys=True) + "\n").encode()
    )


def registered(home: Path, recorded: Mapping[str, str]) -> Definitions:
    """Return what was registered last, its views by the digests on record.

    A view on record that was registered no more is left out; where nothing says what was registered, all are there.
    """
    told = _noted(home)
    names = recorded if told is None else {**told["views"]}
    services = {} if told is None else told["services"]
    return Definitions(
        kept(home, {name: recorded.get(name, known) for name, known in sorted(names.items())}),
        {
            name: ServiceDefinition(
                name, {view: tuple(of) for view, of in each["selects"].items()}, each["words"], each["rest"]
            )
            for name, each in services.items()
        },
    )


def applied_otherwise(home: Path, service: Any, views: Sequence[Any]) -> str:
    """Name the service, or the view of it, that Feast's registry has otherwise than it was registered here.

    Empty where all is as it was, and where nothing says how it was.
    """
    told = _noted(home)
    if told is None:
        return ""
    for view in views:
        document = _document(home, told["views"].get(view.name, ""))
        if document is not None and document["spec"] != repository.view_spec(view):
            return str(view.name)
    known, found = told["services"].get(service.name), service_of(service)
    same = known is None or (known["selects"], known["rest"]) == (
        {view: list(names) for view, names in found.selects.items()},
        found.rest,
    )
    return "" if same else str(service.name)


def refuse_edited(home: Path, view: Any, sql: str, steps: Mapping[str, str]) -> None:
    """Refuse a registered view that this query would fill otherwise than was applied here.

    Raises:
        DependencyFailed: its files were edited since, or another hand registered it.
    """
    known = (_noted(home) or {"views": {}})["views"].get(view.name)
    if known in {None, digest(repository.view_document(repository.view_spec(view), sql, steps))}:
        return
    raise DependencyFailed(
        "not-applied",
        f"got files that define {view.name} otherwise than was applied, expected what its window was built by",
        "see `tidegate features plan` and run `tidegate run materialize`: it brings what was pushed online too",
    )


def kept(home: Path, views: Mapping[str, str]) -> Mapping[str, ViewDefinition]:
    """Return the views of which these are the digests, as far as they were kept."""
    return {name: _kept(home, name, known) for name, known in views.items()}


def _noted(home: Path) -> dict[str, Any] | None:
    """Return what is noted of what was registered; None where nothing can be read."""
    try:
        told: dict[str, Any] = json.loads((home / "feast" / "registered.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return told


def _kept(home: Path, name: str, known: str) -> ViewDefinition:
    document = _document(home, known)
    try:
        return ViewDefinition(name, known, kept=False) if document is None else view_of(document)
    except (LookupError, TypeError, AttributeError):  # a digest of something else
        return ViewDefinition(name, known, kept=False)


def _document(home: Path, known: str) -> dict[str, Any] | None:
    """Return what has this digest; None where it is gone, was altered, or the digest is of another kind."""
    try:
        document: dict[str, Any] = json.loads(_file(home, known).read_text("utf-8"))
    except (OSError, ValueError, BadInput):
        return None
    return document if isinstance(document, dict) and digest(document) == known else None


def _file(home: Path, known: str) -> Path:
    return home / "features" / "definitions" / f"{hex_of(known, _PREFIX)}.json"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
