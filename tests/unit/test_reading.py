"""Reads of features: on record before anybody is answered, sealed by their root, and told with who and for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.application import features, reading, score, train
from tidegate.application.lawfulness import unlawful
from tidegate.application.online import Read, online
from tidegate.application.ports import Pending
from tidegate.domain.access import Access, FeaturePermission
from tidegate.domain.canonical import parse
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.merkle import merkle_root
from tidegate.testing import shops
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.read_log import FakeReadLog
from tidegate.testing.fakes.small import FixedClock
from tidegate.testing.fakes.views import FakeView

START = datetime(2024, 1, 3, tzinfo=UTC)
NORTH = {"shop": "north"}
DECLARED = (
    FeaturePermission("builds", ("shop_sales",), ("feature_service",), tuple(Access)),
    FeaturePermission("scores", ("shop_sales",), ("scoring_service",), (Access.READ_ONLINE,)),
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world in which one view is online, and open for reading online to the scoring service."""
    world = FakePlatform(tmp_path)
    world.clock = world.ledger._clock = FixedClock(START)
    view = FakeView(("shop",), ("sold", "rate"), None, shops.sales_rows)
    store = FakeFeatures(tmp_path / "home", {"shop_sales": view}, {"shop": ("shop_sales",)}, DECLARED)
    monkeypatch.setitem(world.__dict__, "features", store)
    batch = shops.write_batch(tmp_path / "a.parquet", shops.SALES)
    for module in (features, train, score):
        monkeypatch.setattr(module, "accepted", lambda *_: ({"sales": [batch]}, ["tg1:a"]))
        monkeypatch.setattr(module, "declared", lambda _: {})
    features.materialize(world, world.acting("s-5"), START)
    return world


def sealed(world: FakePlatform) -> list[Event]:
    return [event for event in world.ledger.events() if event.type is EventType.FEATURES_READ]


def asked(world: FakePlatform, *keys: Mapping[str, str]) -> Sequence[Read]:
    return online(world, world.acting("s-6"), "shop", list(keys or [NORTH]))


def after(world: FakePlatform, hours: float) -> None:
    assert isinstance(world.clock, FixedClock)
    world.clock.moment = START + timedelta(hours=hours)


def test_a_read_is_answered_and_on_record_with_who_and_how_many_and_without_the_key(
    world: FakePlatform,
) -> None:
    assert asked(world, NORTH, {"shop": "south"})[0].values["sold"] == 21
    (line,) = world.read_log.pending()
    record = parse(line.decode())
    assert record.pop("nonce")
    assert record == {
        "at": "2024-01-03T00:00:00Z",
        "actor": "s-6",
        "on_behalf_of": "",
        "service": "shop",
        "views": ["shop_sales"],
        "access": "read_online",
        "rows": 2,
    }
    assert b"north" not in line
    assert not sealed(world), "a read alone is no event"


def test_who_is_refused_is_given_nothing_and_reads_nothing(world: FakePlatform) -> None:
    with pytest.raises(Refused) as refused:
        online(world, world.acting("p-2"), "shop", [NORTH])
    assert (
        "the view shop_sales is open for read_online to `feature_service` or `scoring_service` only"
        in str(refused.value.sentence)
    )
    assert list(world.read_log.pending()) == []


def test_what_cannot_be_put_on_record_is_not_answered(world: FakePlatform) -> None:
    class Full(FakeReadLog):
        def note(self, record: bytes) -> Pending:
            raise DependencyFailed("disk-full", f"got no room for {len(record)} bytes, expected some", "")

    world.read_log = Full()
    with pytest.raises(DependencyFailed) as failed:
        asked(world)
    assert failed.value.code == "disk-full"


def test_an_hour_of_reads_is_one_event_with_their_root_and_a_line_for_each_reader(
    world: FakePlatform,
) -> None:
    for hours in (0, 0.5, 0.9):
        after(world, hours)
        asked(world)
    online(world, world.acting("s-5"), "shop", [NORTH, NORTH])
    assert not sealed(world)
    after(world, 1)
    asked(world)
    (event,) = sealed(world)
    (root,) = world.read_log.closed()
    assert event.payload["root"] == root == merkle_root(world.read_log.records(root))
    told = {
        each["actor"]: (each["reads"], each["rows"], each["first"], each["last"])
        for each in event.payload["by"]
    }
    assert told == {
        "s-5": (1, 2, "2024-01-03T00:54:00Z", "2024-01-03T00:54:00Z"),
        "s-6": (4, 4, "2024-01-03T00:00:00Z", "2024-01-03T01:00:00Z"),
    }
    assert event.payload["records"] == 5
    assert unlawful(world) == ()


def test_a_segment_that_has_become_large_is_sealed_at_once(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 350)
    for _ in range(4):
        asked(world)
    assert [event.payload["records"] for event in sealed(world)] == [2, 2]


def test_a_materialization_seals_what_is_open(world: FakePlatform) -> None:
    asked(world)
    after(world, 0.2)
    features.materialize(world, world.acting("s-5"))
    assert [event.payload["records"] for event in sealed(world)] == [1]
    assert list(world.read_log.pending()) == []


def test_a_segment_whose_process_was_killed_before_it_was_recorded_is_recorded_by_the_next(
    world: FakePlatform,
) -> None:
    asked(world)
    world.read_log.close()
    assert not sealed(world)
    reading.seal(world, world.acting("s-6"))
    reading.seal(world, world.acting("s-6"))
    assert len(sealed(world)) == 1


def test_reads_are_told_with_what_is_not_sealed_yet(world: FakePlatform) -> None:
    asked(world)
    reading.seal(world, world.acting("s-6"))
    after(world, 2)
    asked(world)
    first, last = reading.reads(world, "shop_sales")
    assert (first.why, first.actor, first.reads, first.sequence) == (
        "online",
        "s-6",
        1,
        sealed(world)[0].sequence,
    )
    assert (last.sequence, last.last) == (0, "2024-01-03T02:00:00Z")
    assert reading.reads(world, since=START + timedelta(hours=1)) == [last]


def test_a_view_that_was_never_built_is_bad_input(world: FakePlatform) -> None:
    with pytest.raises(BadInput) as refused:
        reading.reads(world, "shop_sails")
    assert refused.value.sentence == "got the view 'shop_sails', expected one of: shop_sales"


def test_an_altered_segment_is_found(world: FakePlatform) -> None:
    asked(world)
    reading.seal(world, world.acting("s-6"))
    (root,) = world.read_log.closed()
    assert reading.altered(world, [root]) == []
    world.read_log.segments[root].append(b"{}")
    (fault,) = reading.altered(world, [root])
    assert fault.code == "reads-altered"


@pytest.mark.parametrize(
    ("kind", "why"), [(EventType.TRAINING_SET_BUILT, "training"), (EventType.DECISIONS_SCORED, "scoring")]
)
def test_what_was_learned_from_and_scored_on_is_told_by_its_own_event(
    world: FakePlatform, kind: EventType, why: str
) -> None:
    if kind is EventType.TRAINING_SET_BUILT:
        learned = {"digest": "tg1:r", "model": MODEL, "service": "shop", "entities": "tg1:e", "rows": 9}
        said = {**learned, "batches": [], "windows": {}, "read": {"shop": ["shop_sales"]}}
        event = world.write(kind, said, "s-1", f"model/{MODEL}")
    else:
        decided = {
            "model": MODEL,
            "period": "2024-01",
            "version": 1,
            "artifact": "sha256:a",
            "entities": "tg1:e",
        }
        more = {"rows": 3, "of": 9, "root": "sha256:r", "file": "f", "stage": "prod", "freshness": {}}
        event = world.write(
            kind, {**decided, **more, "read": {"shop": ["shop_sales"]}}, "s-1", f"model/{MODEL}"
        )
    (read,) = reading.reads(world)
    assert (read.why, read.actor, read.service, read.views, read.rows, read.sequence) == (
        why,
        "s-1",
        "shop",
        ("shop_sales",),
        9,
        event.sequence,
    )
