"""A team's project for tests: a harbour whose gauges tell of tides, under another project's profiles and policy.

`write_project` writes one with its dataset alone, `write_harbour` one whose tides may be pushed and feed a view.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tidegate.testing.tides import write_tides


def write_project(folder: Path, of: Path, more: str = "", hours: int = 48) -> Path:
    """Write a project without a flow, and return ``folder``.

    ``of`` is the project whose profiles and policy it takes. What ``more`` and ``hours`` are, `write_tides` says.
    """
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[tool.tidegate]\n")
    shutil.copytree(of / "infra" / "profiles", folder / "profiles")
    shutil.copytree(of / "models" / "policy", folder / "models" / "policy")
    write_tides(folder / "expectations", more=more, hours=hours)
    return folder


def write_harbour(folder: Path, of: Path, online: str = "", most: int = 50, more: str = "") -> Path:
    """Write a project whose tides may be pushed, ``most`` rows at once, and feed a view of each gauge's last hour.

    It has all flows of ``of``. ``online`` is the address of a Redis for the features that are online; without it they
    lie in a file.
    """
    write_project(folder, of, more)
    shutil.copytree(of / "pipelines", folder / "pipelines", dirs_exist_ok=True)
    contract = folder / "expectations" / "contracts" / "tides.yaml"
    text = contract.read_text(encoding="utf-8")
    rows = f"customProperties:\n  - property: pushRows\n    value: [1, {most}]\n"
    contract.write_text(text.replace("\ncustomProperties:\n", f"\n{rows}"), encoding="utf-8")
    features = folder / "features"
    (features / "sources").mkdir(parents=True)
    kind = (
        f"redis.NewestRedisOnlineStore\n  url: {online}"
        if online
        else "sqlite.NewestSqliteOnlineStore\n  path: o.db"
    )
    (features / "feature_store.yaml").write_text(_FEATURE_STORE.replace("KIND", kind))
    (features / "definitions.py").write_text(_DEFINITIONS)
    (features / "permissions.py").write_text(PERMISSIONS)
    (features / "sources" / "gauge_hour.sql").write_text(_GAUGE_HOUR)
    return folder


_FEATURE_STORE = """\
project: harbour
provider: local
registry:
  registry_type: sql
  path: sqlite:///.tidegate/feast/registry.db
  serve_features_while_materializing: true
offline_store:
  type: tidegate.adapters.feast_store.offline.PointInTimeOfflineStore
online_store:
  type: tidegate.adapters.feast_store.online_KIND
  expiry: materialized
entity_key_serialization_version: 3
"""

_DEFINITIONS = """\
import os
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Float64

HOME = Path(__file__).resolve().parent.parent / os.environ.get("TIDEGATE_HOME", ".tidegate")

station = Entity(name="station", join_keys=["station"], value_type=ValueType.STRING)
history = FileSource(
    name="gauge_hour_history",
    path=str(HOME / "features" / "gauge_hour.parquet"),
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)
gauge_hour = FeatureView(
    name="gauge_hour",
    entities=[station],
    ttl=None,
    schema=[Field(name="level", dtype=Float64)],
    source=PushSource(name="gauge_hour_push", batch_source=history),
)
gauges = FeatureService(name="gauges", features=[gauge_hour])
"""

#: What opens every view to whoever works here.
PERMISSIONS = """\
from feast import FeatureView
from feast.permissions.action import READ, WRITE
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy

works = Permission(
    name="works",
    types=[FeatureView],
    policy=RoleBasedPolicy(roles=["feature_service", "ingest_service", "training_service", "scoring_service"]),
    actions=[*READ, *WRITE],
)
"""

_GAUGE_HOUR = """\
SELECT station, "at"::TIMESTAMPTZ AS event_timestamp, event_timestamp AS created_timestamp, level FROM tides
"""
