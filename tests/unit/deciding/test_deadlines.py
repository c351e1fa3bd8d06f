"""Time reminds, escalates and lets a request lapse."""

from __future__ import annotations

import pytest

from tidegate.application.lawfulness import unlawful
from tidegate.application.tend import tend
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.state import PromotionRow
from tidegate.testing.cases import MODEL
from tidegate.testing.deciding import (
    approve,
)
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, later


def test_time_reminds_escalates_and_lets_lapse_each_once(dated: FakePlatform) -> None:
    clock = dated.acting("s-4")
    assert tend(dated, clock) == ()
    seen = []
    for days in (3, 0, 4, 0, 22, 1, 1):
        later(dated, days)
        seen.append([str(event.type) for event in tend(dated, clock)])
    assert seen == [["promotion.reminded"], [], ["promotion.escalated"], [], [], ["promotion.lapsed"], []]
    (row,) = dated.ledger.state().select(PromotionRow, target="prod")
    assert (row.status, row.chased, row.escalated_to) == ("lapsed", "escalated", "risk_officer")
    with pytest.raises(Refused) as error:
        approve(dated)
    assert codes(error) == ["nothing-open"]
    assert unlawful(dated) == ()


def test_whom_it_was_escalated_to_decides(dated: FakePlatform) -> None:
    later(dated, 8)
    tend(dated, dated.acting("s-4"))
    assert approve(dated, who="p-9").stage == "prod"
    assert unlawful(dated) == ()


def test_who_may_not_tend_is_refused(dated: FakePlatform) -> None:
    with pytest.raises(Refused) as error:
        tend(dated, dated.acting("p-3"))
    assert codes(error) == ["not-permitted"]


def test_a_request_that_lapses_before_its_time_is_named(dated: FakePlatform) -> None:
    (row,) = dated.ledger.state().select(PromotionRow, target="prod")
    payload = {"promotion": row.id, "model": MODEL, "version": 1}
    dated.write(EventType.PROMOTION_LAPSED, payload, "s-4", f"model/{MODEL}")
    (breach,) = unlawful(dated)
    assert "lapses before its time, rule P3" in breach
