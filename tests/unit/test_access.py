"""Rule F2: a view is closed to whoever no permission opens it to, and a permission only ever opens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.application import access, features, parity, train
from tidegate.application.lawfulness import unlawful
from tidegate.application.ports import Frame
from tidegate.domain.access import (
    Access,
    FeaturePermission,
    checked,
    closed,
    differences,
    opened,
)
from tidegate.domain.actors import ROLES
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.state import AccessRow
from tidegate.testing import shops
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock
from tidegate.testing.fakes.views import FakeView, open_to_all
from tidegate.testing.looking import last

VIEWS = ("rain", "tide", "wind")
NOW = datetime(2024, 2, 1, tzinfo=UTC)


def some_of(values: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(sorted(values)), max_size=3, unique=True).map(tuple)


permission = st.builds(
    FeaturePermission,
    name=st.text(st.characters(categories=["Ll"]), min_size=1, max_size=3),
    views=some_of(VIEWS),
    roles=some_of(ROLES),
    opens=some_of(Access),
)
declarations = st.lists(permission, max_size=4, unique_by=lambda each: each.name)


def payload(*permissions: FeaturePermission) -> dict[str, dict[str, list[str]]]:
    return {each.name: each.as_dict() for each in permissions}


def admitted(permissions: Any, roles: tuple[str, ...], view: str, by: Access) -> bool:
    return not closed(opened(payload(*permissions)), "p-1", roles, [view], [by])


# ── the rule ──────────────────────────────────────────────────────────────────────────────────────


@given(some_of(ROLES), st.sampled_from(VIEWS), st.sampled_from(Access))
def test_what_no_permission_names_is_closed_to_everybody(
    roles: tuple[str, ...], view: str, by: Access
) -> None:
    (reason,) = closed(opened({}), "p-1", roles, [view], [by])
    assert (reason.code, reason.rule) == ("closed", "F2")
    assert reason.sentence.endswith(f"and no permission opens the view {view} for {by}")


@given(declarations, some_of(ROLES), st.sampled_from(VIEWS), st.sampled_from(Access))
def test_a_view_is_open_exactly_to_those_whom_one_permission_opens_it_to(
    declared: list[FeaturePermission], roles: tuple[str, ...], view: str, by: Access
) -> None:
    open_to = any(
        view in each.views and by in each.opens and set(roles) & set(each.roles) for each in declared
    )
    assert admitted(declared, roles, view, by) is open_to


@given(declarations, permission, some_of(ROLES), st.sampled_from(VIEWS), st.sampled_from(Access))
def test_another_permission_takes_nothing_away_and_one_less_opens_nothing(
    declared: list[FeaturePermission], more: FeaturePermission, roles: tuple[str, ...], view: str, by: Access
) -> None:
    others = [each for each in declared if each.name != more.name]
    before, after = (admitted(these, roles, view, by) for these in (others, [*others, more]))
    assert after >= before


@given(declarations, some_of(ROLES))
def test_a_role_more_closes_nothing(declared: list[FeaturePermission], roles: tuple[str, ...]) -> None:
    for view in VIEWS:
        for by in Access:
            for more in ROLES:
                assert admitted(declared, (*roles, more), view, by) >= admitted(declared, roles, view, by)


@given(declarations, declarations)
def test_what_differs_is_told_and_nothing_else(
    one: list[FeaturePermission], other: list[FeaturePermission]
) -> None:
    before, after = opened(payload(*one)), opened(payload(*other))
    assert (differences(before, after) == []) is (before == after)


def test_views_that_are_closed_in_the_same_way_are_told_together() -> None:
    by = opened(
        payload(FeaturePermission("a", ("rain", "tide"), ("training_service",), (Access.READ_OFFLINE,)))
    )
    first, second = closed(by, "p-2", ["data_scientist"], VIEWS, [Access.READ_OFFLINE])
    assert first.sentence == (
        "p-2 holds `data_scientist`, and the views rain, tide are open for read_offline to `training_service` only"
    )
    assert first.next_step.startswith("ask somebody who holds `training_service`, or declare a permission")
    assert second.sentence == (
        "p-2 holds `data_scientist`, and no permission opens the view wind for read_offline"
    )


def test_every_mistake_of_a_declaration_is_told_at_once() -> None:
    wrong = FeaturePermission("a", (), ("trainer",), (Access.READ_OFFLINE,), idle=("ran", "tyde"))
    with pytest.raises(BadInput) as refused:
        checked([wrong, FeaturePermission("b", VIEWS, (), (Access.READ_ONLINE,))])
    told = refused.value.sentence
    assert refused.value.code == "bad-permission"
    assert (
        "got the role `trainer` in the permission a, expected one or more of administrator, approver" in told
    )
    assert "got the name pattern 'ran' in the permission a, which matches nothing" in told
    assert "got the name pattern 'tyde' in the permission a" in told
    assert "got no role in the permission b" in told


# ── what is refused, and what is written about it ─────────────────────────────────────────────────


class Rows:
    """Entities of one row, whatever is asked for."""

    def frame(self, *_: object) -> Frame:
        return Frame("tg1:rows", Path("rows.parquet"), 1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world with one view, which is declared open to nobody but the feature service."""
    world = FakePlatform(tmp_path)
    world.clock = world.ledger._clock = FixedClock(NOW)
    view = FakeView(("shop",), ("sold", "rate"), None, shops.sales_rows)
    store = FakeFeatures(tmp_path / "home", {"shop_sales": view}, {"shop": ("shop_sales",)}, BUILDS)
    monkeypatch.setitem(world.__dict__, "features", store)
    batch = shops.write_batch(tmp_path / "a.parquet", shops.SALES)
    monkeypatch.setattr(features, "accepted", lambda *_: ({"sales": [batch]}, ["tg1:a"]))
    monkeypatch.setattr(train, "accepted", lambda *_: ({"sales": [batch]}, ["tg1:a"]))
    for module in (features, train):
        monkeypatch.setattr(module, "declared", lambda _: {})
    world.entities = Rows()  # type: ignore[assignment]
    return world


BUILDS = (FeaturePermission("builds", ("shop_sales",), ("feature_service",), tuple(Access)),)


def test_a_view_that_nobody_declared_is_not_even_built(world: FakePlatform) -> None:
    world.features.edit(permissions=())  # type: ignore[attr-defined]
    with pytest.raises(Refused) as refused:
        features.materialize(world, world.acting("s-5"), NOW)
    assert refused.value.data["rule"] == "F2"
    assert "no permission opens the view shop_sales for write_offline" in refused.value.sentence
    said = last(world)
    assert (said.type, said.payload["action"]) == (EventType.ACTION_REFUSED, "write_offline+write_online")
    assert said.payload["subject"] == {"views": ["shop_sales"]}
    assert {reason["rule"] for reason in said.payload["reasons"]} == {"F2"}


def test_nobody_trains_on_a_view_that_is_not_open_to_them(world: FakePlatform) -> None:
    features.materialize(world, world.acting("s-5"), NOW)
    with pytest.raises(Refused) as refused:
        train.train(world, world.acting("s-1", on_behalf_of="p-2"), MODEL, NOW)
    assert refused.value.sentence == (
        "F2: s-1 holds `training_service`, and the view shop_sales is open for read_offline to `feature_service` only"
    )
    assert (
        "declare a permission in features/permissions.py and run `tidegate run materialize`"
        in refused.value.hint
    )
    said = last(world)
    assert (said.type, said.stream, said.payload["action"]) == (
        EventType.ACTION_REFUSED,
        f"model/{MODEL}",
        "read_offline",
    )


def test_what_the_files_say_is_in_force_once_it_was_applied(world: FakePlatform) -> None:
    features.materialize(world, world.acting("s-5"), NOW)
    world.features.edit(permissions=(open_to_all(["shop_sales"]),))  # type: ignore[attr-defined]
    with pytest.raises(Refused):
        access.admit(world, world.acting("s-1"), "features", ["shop_sales"], Access.READ_OFFLINE)
    assert access.changed(world.ledger.state(), world.features.defined())[0] == (
        "shop_sales opens to `data_scientist`, `ingest_service`, `scoring_service` and `training_service` "
        "for read_offline"
    )
    features.materialize(world, world.acting("s-5"))
    access.admit(world, world.acting("s-1"), "features", ["shop_sales"], Access.READ_OFFLINE)
    kinds = [event.type for event in world.ledger.events()]
    assert kinds.count(EventType.ACCESS_DECLARED) == 2
    assert unlawful(world) == ()


def test_what_is_declared_no_more_stays_on_record_as_open_to_nobody(world: FakePlatform) -> None:
    world.features.edit(permissions=(open_to_all(["shop_sales"]),))  # type: ignore[attr-defined]
    features.materialize(world, world.acting("s-5"), NOW)
    world.features.edit(permissions=BUILDS)  # type: ignore[attr-defined]
    features.materialize(world, world.acting("s-5"))
    row = world.ledger.state().get(AccessRow, "shop_sales", "read_offline")
    assert row is not None
    assert row.roles == ("feature_service",)
    with pytest.raises(Refused):
        access.admit(world, world.acting("s-6"), "features", ["shop_sales"], Access.READ_OFFLINE)


def test_the_same_declaration_is_recorded_once(world: FakePlatform) -> None:
    for _ in range(2):
        features.materialize(world, world.acting("s-5"))
    assert [event.type for event in world.ledger.events()].count(EventType.ACCESS_DECLARED) == 1


def test_comparing_what_is_online_reads_it_and_asks(world: FakePlatform) -> None:
    writes = FeaturePermission(
        "builds", ("shop_sales",), ("feature_service",), (Access.WRITE_OFFLINE, Access.WRITE_ONLINE)
    )
    world.features.edit(permissions=(writes,))  # type: ignore[attr-defined]
    features.materialize(world, world.acting("s-5"), NOW)
    with pytest.raises(Refused) as refused:
        parity.parity(world, world.acting("s-5"))
    assert "no permission opens the view shop_sales for read_online" in refused.value.sentence


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (EventType.FEATURES_BUILT, {"views": {"shop_sales": {}}, "batches": []}),
        (EventType.TRAINING_SET_BUILT, {"read": {"shop": ["shop_sales"]}}),
        (EventType.DECISIONS_SCORED, {"read": {"shop": ["shop_sales"]}}),
    ],
)
def test_a_read_that_was_written_past_the_use_cases_is_found(
    world: FakePlatform, kind: EventType, said: Mapping[str, Any]
) -> None:
    from tidegate.application.lawful_reading import breaches
    from tidegate.domain.fold import StateView, replay

    features.materialize(world, world.acting("s-5"), NOW)
    view = StateView(replay(world.ledger.events()))
    forged = Event(**{**vars(last(world)), "type": kind, "payload": said, "actor": "s-6"})
    ((rule, told),) = breaches(view, forged)
    assert rule == "F2"
    assert told.startswith(
        f"{kind} was not allowed: s-6 holds `scoring_service`, and the view shop_sales is open"
    )


def test_a_declaration_of_roles_or_accesses_that_there_are_not_is_found(world: FakePlatform) -> None:
    declared = {"a": {"views": ["shop_sales"], "roles": ["emperor"], "opens": ["read_minds"]}}
    world.write(EventType.ACCESS_DECLARED, {"permissions": declared}, "s-5", "features")
    assert unlawful(world)[-1].endswith(
        "the permission a opens features by what there is not: emperor, read_minds, rule F2"
    )
