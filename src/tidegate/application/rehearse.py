"""Rehearse the way back: what prod returns to must load, find its features and predict as it did (rule P8).

    1  the earlier version's artifact loads by its verified digest
    2  its inputs are declared today, and the views it learned from are built, whole
    3  a fixed sample of the rows it was judged on, scored again, gives the scores that were kept with them

The first version's way back is its declared fallback: one number for every row, or none. What goes wrong is an
answer, not an error: a way back that was not tried blocks prod. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import isfinite

from tidegate.application.measured import judged_on
from tidegate.application.platform import Platform
from tidegate.application.ports import StateReader
from tidegate.application.standing import lifecycle
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput, DependencyFailed, TidegateError
from tidegate.domain.evidence import Verdict
from tidegate.domain.lifecycle import Lifecycle, WayBack
from tidegate.domain.state import FeatureViewRow, VersionRow

#: What a declared fallback begins with where it says one number of every row.
CONSTANT = "base_rate"


def way_back_of(life: Lifecycle, version: VersionRow) -> WayBack:
    """Return what prod returns to if this version must go: an earlier version, else the declared fallback."""
    earlier = takes_over(life, version)
    if earlier is not None:
        return WayBack("version", f"version {earlier.number}", verified=False)
    return WayBack("fallback", life.model.fallback, verified=False)


def takes_over(life: Lifecycle, version: VersionRow) -> VersionRow | None:
    """Return the version that takes over if this one must go."""
    current = life.in_prod()
    return current if current is not None and current.number != version.number else life.previous()


def rehearse(platform: Platform, state: StateReader, life: Lifecycle, version: VersionRow) -> WayBack:
    """Try the way back of one version. Its steps end with the one that failed, if one did."""
    way_back, earlier = way_back_of(life, version), takes_over(life, version)
    way_back = replace(way_back, at=utc_text(platform.clock.now()))
    steps = _fallback(life, version) if earlier is None else _earlier(platform, state, earlier)
    said: list[str] = []
    try:
        for sentence in steps:
            said.append(sentence)  # noqa: PERF402 - what was said before one fails is kept
    except TidegateError as error:
        return replace(way_back, steps=(*said, error.sentence))
    return replace(way_back, verified=True, steps=tuple(said))


def rehearsed(platform: Platform, model: str) -> tuple[VersionRow, WayBack]:
    """Try the way back of the live version; while none is live, that of the newest one.

    Raises:
        BadInput: no such model, or it has no version yet.
    """
    state = platform.ledger.state()
    life = lifecycle(state, model)
    version = life.in_prod() or max(life.versions.values(), key=lambda row: row.number, default=None)
    if version is None:
        raise BadInput(
            "no-version", f"got no version of `{model}`, expected one", f"tidegate train {model} --as …"
        )
    return version, rehearse(platform, state, life, version)


def _fallback(life: Lifecycle, version: VersionRow) -> Iterator[str]:
    declared = life.model.fallback
    if not declared.strip():
        raise DependencyFailed("no-fallback", "got no declared fallback, expected one")
    yield f"no earlier version takes over; the fallback is declared: {declared}"
    if not declared.startswith(CONSTANT):
        return
    rate = version.facts.get("base_rate")
    if rate is None or not isfinite(rate):
        got = "none" if rate is None else f"{rate}"
        sentence = (
            f"got {got} as the mean label of the training window, expected the finite number that it says"
        )
        raise DependencyFailed("fallback-unknown", sentence)
    yield f"it is constant: {rate:.6g}, the mean label of the training window, of every row; it needs no feature"


def _earlier(platform: Platform, state: StateReader, earlier: VersionRow) -> Iterator[str]:
    name = f"version {earlier.number}"
    artifact = platform.registry.fetch(earlier.model, earlier.number, earlier.artifact)
    yield f"{name} loads by its digest {earlier.artifact}"
    spec = platform.models.spec(earlier.model)
    inputs = set(earlier.facts["signature"].get("inputs", ()))
    served = {f"{each}: float" for each in spec.numeric} | {f"{each}: string" for each in spec.categorical}
    if gone := sorted(inputs - served):
        sentence = f"got no {', '.join(gone)} among the declared inputs, expected all that {name} asks for"
        raise DependencyFailed("features-gone", sentence)
    views = earlier.facts["features"]["definitions"]
    built = {view: row for view in views if (row := state.get(FeatureViewRow, view))}
    if missing := sorted(set(views) - set(built)):
        sentence = f"got no view {', '.join(missing)}, expected those that {name} learned from"
        raise DependencyFailed("features-gone", sentence)
    service, services = earlier.facts["features"]["service"], platform.features.registered({}).services
    if services and service not in services:
        sentence = f"got no feature service {service}, expected the one that {name} was trained on"
        raise DependencyFailed("features-gone", sentence)
    platform.features.verify({view: row.source for view, row in built.items()})
    others = sorted(view for view, row in built.items() if row.definition != views[view])
    since = f"; defined otherwise since: {', '.join(others)}" if others else ""
    yield f"its {len(inputs)} inputs are declared, and its {len(built)} views are built and whole{since}"
    reference = judged_on(platform, earlier)
    golden = platform.trainer.replay(spec, reference, artifact, earlier.artifact)
    if golden.verdict is not Verdict.PASSED:
        raise DependencyFailed(
            "golden-predictions", f"{name} predicts otherwise than it did: {golden.sentence}"
        )
    yield f"{name} predicts as it did: {golden.sentence}"
