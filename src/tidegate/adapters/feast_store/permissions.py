"""Feast's own permissions as the domain has them: which views each names, to which roles it opens them, and for what.

A permission opens views only where one of its types is a feature view; what it says of other objects, and of creating
or describing them, is Feast's alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tidegate.domain.access import Access, FeaturePermission
from tidegate.domain.errors import BadInput


def declared(contents: Any) -> Iterator[FeaturePermission]:
    """Yield the permissions that open views.

    Raises:
        BadInput: one goes by something else than roles, or by tags, or a name pattern is no regular expression.
    """
    from feast import FeatureView
    from feast.permissions.policy import RoleBasedPolicy

    defined: tuple[Any, ...] = (
        *contents.feature_views,
        *contents.on_demand_feature_views,
        *contents.feature_services,
        *contents.entities,
        *contents.data_sources,
    )
    for each in contents.permissions:
        if not any(issubclass(FeatureView, kind) or issubclass(kind, FeatureView) for kind in each.types):
            continue
        if not isinstance(each.policy, RoleBasedPolicy):
            got = getattr(each.policy, "__name__", type(each.policy).__name__).lstrip("_")
            raise _bad(
                f"got the permission {each.name} with the policy {got}, expected RoleBasedPolicy(roles=[...])",
                "an actor of Tidegate has roles, and no groups or namespaces",
            )
        if each.required_tags:
            raise _bad(
                f"got the permission {each.name} with required_tags, expected none: Feast does not compare them "
                "with a view's tags, so that it would name every view",
                "name the views by name_patterns",
            )
        named = [str(getattr(thing, "name", "")) for thing in defined if isinstance(thing, tuple(each.types))]
        # Before Feast matches them: a pattern that is none is told as what it is.
        idle = [
            pattern
            for pattern in each.name_patterns
            if not sum(_matches(each.name, pattern, name) for name in named)
        ]
        yield FeaturePermission(
            name=each.name,
            views=tuple(view.name for view in contents.feature_views if each.match_resource(view)),
            roles=tuple(each.policy.roles),
            opens=tuple(Access(action.value) for action in each.actions if action.value in set(Access)),
            idle=tuple(idle),
        )


def _matches(permission: str, pattern: str, name: str) -> bool:
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error as error:
        raise _bad(
            f"got the name pattern {pattern!r} in the permission {permission} ({error}), "
            "expected a regular expression of whole names",
            f"mend the name patterns of {permission} in features/permissions.py",
        ) from error


def _bad(sentence: str, hint: str) -> BadInput:
    return BadInput("bad-permission", sentence, hint)
