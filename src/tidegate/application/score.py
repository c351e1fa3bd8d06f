"""Score a period: with the live version, and with whatever stands in canary beside it.

Where the live version was approved for a share of the rows only (the condition ``max_share``), it decides these and
no others. The rest is decided by the version that a rollback would restore; where there is none, by the fallback, of
which nothing is recorded.

A version is given the features of the service that it was trained on, whatever model.yaml names today: a service
published beside the old one takes over when a version trained on it does, not before. Rows are named by the frame that
today's service gives, so that two versions on two services are still compared on the same rows.

Where a view says how old its value may be when a decision rests on it, each decision is marked with the views of which
it rests on an older value, or on none. It is scored all the same: whoever looks is told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tidegate.application.access import admit, read, selected
from tidegate.application.features import accepted, declared, trusted
from tidegate.application.freshness import asked_of_values
from tidegate.application.ingest import period_window
from tidegate.application.periods import require_standing, standing_versions
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Frame, Marking, ModelSpec, Part
from tidegate.application.recording import draft, permit
from tidegate.application.standing import lifecycle
from tidegate.domain.access import Access
from tidegate.domain.actors import Permission
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Lifecycle
from tidegate.domain.policy import Stage
from tidegate.domain.rollout import MAX_SHARE, allotted
from tidegate.domain.state import ScoringRow, VersionRow


def score(
    platform: Platform, acting: Acting, model: str, period: str, versions: Collection[int] | None = None
) -> tuple[ScoringRow, ...]:
    """Score every row of a period, on features as they were known at each row's time; live version first.

    All versions score the same rows. Each artifact is loaded by its verified digest. What a version has
    scored it does not score again; one that moved meanwhile is asked about once more, where it stands then.
    With ``versions`` only those score, as far as they stand in prod or canary.

    Raises:
        Refused: rule A1 or F2, or nothing stands in prod or canary. BadInput: no such model, or a malformed period.
        DependencyFailed: the registry's artifact no longer has its digest.
    """
    spec = platform.models.spec(model)  # first: what is no model's name never enters the record
    permit(platform, acting, Permission.SCORE, f"model/{model}")
    asking = _Asking(platform, acting, spec, period)
    while True:
        state = platform.ledger.state()
        standing = require_standing(state, model)
        asked = [row for row in standing if versions is None or row.number in versions]
        # First whoever decides the rest: a period is owed until the live version has scored it.
        asked = [*_stands_in(lifecycle(state, model), asked), *asked]
        known = {row.number: state.get(ScoringRow, model, period, row.number) for row in asked}
        missing = [row for row in asked if known[row.number] is None]
        if not missing:
            return tuple(row for row in known.values() if row is not None)
        for version in missing:
            _score(asking, version)


def _stands_in(life: Lifecycle, asked: Sequence[VersionRow]) -> list[VersionRow]:
    """Return who decides the rows that the live version may not, if that one is asked."""
    other, live = life.stands_in(), life.in_prod()
    return [other] if other is not None and live in asked else []


def _part(life: Lifecycle, version: VersionRow, rows: int) -> Part | None:
    """Return which rows a version decides; None: all of them."""
    live = life.in_prod()
    most = live.conditions.get(MAX_SHARE, 1) if live is not None else 1
    if most >= 1 or version.stage == Stage.CANARY:
        return None
    return Part(allotted(rows, most), others=version != live)


@dataclass
class _Asking:
    """What is asked about a model's period: its rows and, by service, their features; each is joined once."""

    platform: Platform
    acting: Acting
    spec: ModelSpec
    period: str
    _rows: Frame | None = None
    _frames: dict[str, Frame] = field(default_factory=dict)

    def rows(self) -> Frame:
        """Return what is to be scored, read from accepted batches."""
        if self._rows is None:
            state = self.platform.ledger.state()
            files, _ = accepted(self.platform, state, None)
            of = declared(self.platform), period_window(self.period)
            self._rows = self.platform.entities.frame(self.spec, files, *of)
            if self._rows.rows == 0:
                raise Refused(
                    "nothing-to-score",
                    f"got no row of `{self.spec.name}` in {self.period}, expected some",
                    "ingest its drop",
                )
            trusted(self.platform, state)
        return self._rows

    def frame(self, service: str) -> Frame:
        """Return the rows with a service's features.

        What came of the rows stays out: the frame names what was scored, whatever is heard of it later.

        Raises:
            Refused: a view of the service is not open to who asks (rule F2), or there is nothing to score.
        """
        if service not in self._frames:
            views = selected(self.platform, service)
            admit(self.platform, self.acting, f"model/{self.spec.name}", views, Access.READ_OFFLINE)
            rows, spec = self.rows(), self.spec
            told = (spec.entity_time, *spec.keys, *spec.numeric, *spec.categorical)
            keep = [name for name in rows.columns if name in told]
            self._frames[service] = self.platform.features.training_frame(rows, service, keep=keep)
        return self._frames[service]

    def marking(self, service: str, objectives: Mapping[str, timedelta]) -> Marking | None:
        """Return by what decisions on a service's features are marked; None where no view says how fresh it must be.

        Of a version that was registered before services were recorded every view counts as consumed: what its
        service does not select marks nothing.
        """
        known = self.platform.features.registered({}).services.get(service) if objectives else None
        asked = {view: of for view, of in objectives.items() if known is None or view in known.selects}
        return (
            Marking(self.platform.features.ages(self.rows(), service, tuple(asked)), asked) if asked else None
        )


def _score(asking: _Asking, version: VersionRow) -> None:
    """Score with one version, and record it unless it has left the stage that it scored for.

    The rows are named by the frame that the model's present service gives; the version's own has the same rows, in
    the same order.
    """
    platform, spec, service = asking.platform, asking.spec, version.facts["features"]["service"]
    artifact = platform.registry.fetch(spec.name, version.number, version.artifact)
    frame, named, state = asking.frame(service), asking.frame(spec.service), platform.ledger.state()
    objectives = asked_of_values(state, version)
    marking = asking.marking(service, objectives)
    part = _part(lifecycle(state, spec.name), version, frame.rows)
    asked = (artifact, version.artifact, spec, frame, platform.frames / "scores", part, marking)
    segment = platform.scorer.score(*asked)
    payload = {
        "model": spec.name,
        "period": asking.period,
        "version": version.number,
        "artifact": version.artifact,
        "entities": named.digest,
        "rows": segment.records,
        "of": frame.rows,
        "root": segment.root,
        "file": segment.path.name,
        "stage": version.stage,
        "read": read(platform, {spec.service, version.facts["features"]["service"]}),
        "freshness": {
            view: {
                "objective": int(objective.total_seconds()),
                "stale": segment.stale[view].rows,
                "unknown": segment.stale[view].unknown,
            }
            for view, objective in sorted(marking.objectives.items() if marking else ())
        },
    }
    with platform.ledger.transaction() as tx:
        life = lifecycle(tx, spec.name)
        still = life.versions[version.number]
        stands = still.stage == version.stage and _part(life, still, frame.rows) == part
        stands = stands and still in (*standing_versions(tx, spec.name), life.stands_in())
        stands = stands and asked_of_values(tx, still) == objectives
        if stands and tx.get(ScoringRow, spec.name, asking.period, version.number) is None:
            tx.append(draft(asking.acting, EventType.DECISIONS_SCORED, f"model/{spec.name}", payload))
