"""Train a version on what was known at a moment, and register it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tidegate.application.access import admit, read, selected
from tidegate.application.erased import unread
from tidegate.application.features import accepted, declared, trusted
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Frame, ModelSpec, Trained, Windows
from tidegate.application.reading import note
from tidegate.application.recording import draft, permit
from tidegate.domain.access import Access
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import digest, utc_text
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.keeping import Without
from tidegate.domain.policy import Tier
from tidegate.domain.state import FeatureViewRow, ModelRow, TrainingSetRow, VersionRow

#: How many untested slices are named; all are counted.
UNTESTED = 50


def windows(spec: ModelSpec, known_by: datetime) -> Windows:
    """Lay the model's train, calibrate and validate windows back from ``known_by``, each behind the other.

    Raises:
        BadInput: the model's file does not say how many days each has.
    """
    days = {}
    for name in ("train_days", "calibrate_days", "validate_days"):
        value = spec.parameters.get(name)
        if not isinstance(value, int) or value < 1:
            raise BadInput(
                "bad-windows",
                f"got parameters.{name} = {value!r} in the model `{spec.name}`, expected a whole number of days",
                "mend model.yaml",
            )
        days[name] = timedelta(days=value)
    validate = (known_by - days["validate_days"], known_by)
    calibrate = (validate[0] - days["calibrate_days"], validate[0])
    return Windows((calibrate[0] - days["train_days"], calibrate[0]), calibrate, validate, known_by)


def train(platform: Platform, acting: Acting, model: str, known_by: datetime | None = None) -> VersionRow:
    """Train, measure, convert and register a version; the same inputs again return the same version.

    Raises:
        Refused: rule A1 or F2; no data or no features yet. BadInput: an unknown model, or windows without labels.
    """
    spec = platform.models.spec(model)  # first: what is no model's name never enters the record
    permit(platform, acting, Permission.REGISTER, f"model/{model}")
    known = windows(spec, known_by or platform.clock.now())
    files, batches = accepted(platform, platform.ledger.state(), None)
    views = platform.ledger.state().select(FeatureViewRow)
    if not views:
        raise Refused(
            "no-features", "got no feature view, expected them built", "run `tidegate run materialize`"
        )
    views_read = selected(platform, spec.service)
    admit(platform, acting, f"model/{model}", views_read, Access.READ_OFFLINE)
    entities = platform.entities.frame(spec, files, declared(platform), (known.train[0], known.validate[1]))
    trusted(platform, platform.ledger.state())
    frame = platform.features.training_frame(entities, spec.service, keep=entities.columns)
    if not _record_inputs(platform, acting, spec, known, entities, frame, batches):
        note(platform, acting, spec.service, views_read, Access.READ_OFFLINE, frame.rows)
    key = digest(
        {
            "model": model,
            "training_set": frame.digest,
            "source": spec.source_digest,
            "windows": window_facts(known),
            "features": {row.view: row.definition for row in views},
        }
    )
    for row in platform.ledger.state().select(VersionRow, model=model):
        if row.facts["training_key"] == key:
            return row
    trained = platform.trainer.train(spec, frame, known)
    facts = version_facts(platform, spec, trained, frame, key, views)
    registered = platform.registry.register(
        spec,
        trained,
        key,
        {"training_set": frame.digest, "entities": entities.digest, "commit": facts["code"]["commit"]},
        platform.features.marks(spec.service, frame.rows),
    )
    links = {"run_id": registered.run_id, "uri": registered.uri}
    payload = {
        "model": model,
        "number": registered.number,
        "artifact": trained.artifact_digest,
        "training_set": frame.digest,
        "trainer": acting.actor.id,
        "registrar": acting.actor.id,
        "on_behalf_of": acting.on_behalf_of or "",
        "source": spec.source_digest,
        "facts": facts,
        "links": links,
    }
    with platform.ledger.transaction() as tx:
        row_now = tx.get(VersionRow, model, registered.number)
        if row_now is None:
            tx.append(draft(acting, EventType.VERSION_REGISTERED, f"model/{model}", payload))
            row_now = tx.get(VersionRow, model, registered.number)
    assert row_now is not None  # the fold of the event just appended
    if row_now.facts["training_key"] != key:
        raise DependencyFailed(
            "registry-number-taken",
            f"got number {registered.number} from the registry, which the ledger knows as another version",
            "versions were removed from the registry by hand: restore it from its backup",
        )
    return row_now


def _record_inputs(
    platform: Platform,
    acting: Acting,
    spec: ModelSpec,
    known: Windows,
    entities: Frame,
    frame: Frame,
    batches: list[str],
) -> bool:
    """Record the model as it is declared now, and the training set; say whether its event tells of this read.

    It tells of its own maker's at its own moment, which a killed run comes back to where time is simulated.
    """
    about = {
        "name": spec.name,
        "owner": spec.owner,
        "purpose": spec.purpose,
        "tier": spec.tier,
        "fallback": spec.fallback,
    }
    training_set = {
        "digest": frame.digest,
        "model": spec.name,
        "service": spec.service,
        "entities": entities.digest,
        "rows": frame.rows,
        "batches": batches,
        "windows": window_facts(known),
        "read": read(platform, [spec.service]),
    }
    made = [
        Without(kind, "", each.digest, "", 0) for kind, each in (("entities", entities), ("frame", frame))
    ]
    with platform.ledger.transaction() as tx:
        unread(platform, tx, batches, made)
        row = tx.get(ModelRow, spec.name)
        if row is not None and _cost(spec.tier) < _cost(row.tier):
            raise Refused(
                "tier-lowered",
                f"got tier {spec.tier} in model.yaml, expected at least {row.tier}, which `{spec.name}` holds",
                "a trainer may raise a model's tier, never lower it: restore model.yaml",
            )
        if row is None or any(getattr(row, name) != value for name, value in about.items()):
            tx.append(draft(acting, EventType.MODEL_REGISTERED, f"model/{spec.name}", about))
        built = tx.get(TrainingSetRow, frame.digest)
        if built is None:
            tx.append(draft(acting, EventType.TRAINING_SET_BUILT, f"model/{spec.name}", training_set))
            return True
    told = next(iter(platform.ledger.events(after=built.sequence - 1)))
    now = utc_text(platform.clock.now())
    return (told.actor, told.on_behalf_of, told.occurred_at) == (acting.actor.id, acting.on_behalf_of, now)


def _cost(tier: str) -> int:
    """Order tiers by what a wrong decision costs.

    Raises:
        BadInput: no such tier.
    """
    if tier not in set(Tier):
        raise BadInput(
            "bad-tier", f"got the tier `{tier}`, expected low, standard or high", "mend model.yaml"
        )
    return list(Tier).index(Tier(tier))


def window_facts(known: Windows) -> Mapping[str, Any]:
    """Return windows as a payload."""
    return {
        "train": [utc_text(moment) for moment in known.train],
        "calibrate": [utc_text(moment) for moment in known.calibrate],
        "validate": [utc_text(moment) for moment in known.validate],
        "known_by": utc_text(known.known_by),
    }


def version_facts(
    platform: Platform,
    spec: ModelSpec,
    trained: Trained,
    frame: Frame,
    key: str,
    views: tuple[FeatureViewRow, ...],
) -> dict[str, Any]:
    """Return everything measured about a version: what its packet is sealed from."""
    return {
        "training_key": key,
        "prediction": spec.prediction,
        "base_rate": trained.base_rate,
        "metrics": {name: measure.as_dict() for name, measure in sorted(trained.metrics.items())},
        "slices": {
            name: {metric: measure.as_dict() for metric, measure in sorted(measures.items())}
            for name, measures in sorted(trained.slices.items())
        },
        "coverage": dict(sorted(trained.coverage.items())),
        "untested": _untested(trained),
        "risks": list(spec.risks),
        "consumers": list(spec.consumers),
        "parity": replace(trained.parity, at=utc_text(platform.clock.now())).as_dict(),
        "features": {
            "service": spec.service,
            "definitions": {row.view: row.definition for row in views},
            "sources": {row.view: row.source for row in views},
            **_selected(platform, spec),
        },
        "rows": frame.rows,
        "reference": trained.reference.digest,
        "code": dict(platform.code()) | {"source": spec.source_digest},
        "environment": dict(sorted(trained.environment.items())),
        "signature": {name: list(columns) for name, columns in sorted(trained.signature.items())},
    }


def _selected(platform: Platform, spec: ModelSpec) -> dict[str, Any]:
    """Return what the model's service selects, by view; nothing where that is not known.

    It is by this that an edit of the definitions finds whom it concerns (`held`).
    """
    service = platform.features.registered({}).services.get(spec.service)
    return {"selected": {view: list(names) for view, names in service.selects.items()}} if service else {}


def _untested(trained: Trained) -> dict[str, Any]:
    """Return the slices that too few rows speak for, the first of them by name; nothing where none are declared."""
    if trained.untested is None:
        return {}
    few = sorted(trained.untested.slices.items())
    return {
        "by": trained.untested.by,
        "least_rows": trained.untested.least_rows,
        "count": len(few),
        "slices": dict(few[:UNTESTED]),
    }
