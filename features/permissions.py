"""Who may read and write which view: Feast's own permissions, by roles of Tidegate (`tidegate user roles`).

A view that no permission opens is closed to everybody. They are in force once `tidegate run materialize` applied them.
"""

from feast import FeatureView
from feast.permissions.action import READ, WRITE, AuthzedAction
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy

builds = Permission(
    name="builds",
    types=[FeatureView],
    policy=RoleBasedPolicy(roles=["feature_service"]),
    # It reads them too: to compare what is served with what was known.
    actions=[*WRITE, *READ],
)

learns = Permission(
    name="learns",
    types=[FeatureView],
    policy=RoleBasedPolicy(roles=["training_service", "data_scientist"]),
    actions=[AuthzedAction.READ_OFFLINE],
)

scores = Permission(
    name="scores",
    types=[FeatureView],
    policy=RoleBasedPolicy(roles=["scoring_service"]),
    actions=READ,
)

pushes = Permission(
    name="pushes",
    types=[FeatureView],
    policy=RoleBasedPolicy(roles=["ingest_service"]),
    # Rows of a stream, which its gate let through.
    actions=[AuthzedAction.WRITE_ONLINE],
)
