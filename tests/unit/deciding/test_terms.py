"""An approval holds for a term, or until drift, and is certified again."""

from __future__ import annotations

import pytest

from tidegate.application.lawfulness import unlawful
from tidegate.application.lower import lower
from tidegate.application.standing import overdue
from tidegate.application.tend import recertify, tend
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Certification, Tier
from tidegate.domain.state import PromotionRow, ReviewRow
from tidegate.testing.cases import MODEL
from tidegate.testing.deciding import (
    DAY,
    World,
    approve,
    ask,
    ruled,
)
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, later, version, writes


def drift(world: FakePlatform, period: str = "2024-02") -> None:
    """Have a monitor fail on the live version."""
    about = {"model": MODEL, "period": period, "version": 1, "verdict": "failed", "outcomes": ""}
    world.scored(1, period)
    world.write(
        EventType.MONITOR_RAN, {**about, "evidence": {}, "report": "", "review": ""}, "s-2", f"model/{MODEL}"
    )


def test_an_approval_lapses_with_its_term_and_holds_for_another_once_certified(termed: FakePlatform) -> None:
    assert version(termed).certified_until == utc_text(termed.clock.now() + 90 * DAY)
    later(termed, 90)
    (event,) = tend(termed, termed.acting("s-4"))
    assert (event.type, event.payload["because"]) == (EventType.CERTIFICATION_LAPSED, "age")
    assert tend(termed, termed.acting("s-4")) == ()
    (review,) = termed.ledger.state().select(ReviewRow, kind="recertification")
    assert (review.status, review.role) == ("open", "approver")
    row = recertify(termed, termed.acting("p-3"), MODEL, 1, "It still holds.")
    assert row.certified_until == utc_text(termed.clock.now() + 90 * DAY)
    assert termed.ledger.state().select(ReviewRow, kind="recertification")[0].outcome == "recertified"
    assert tend(termed, termed.acting("s-4")) == ()
    assert unlawful(termed) == ()


def test_drift_ends_a_term_and_only_drift_after_the_last_certificate(termed: FakePlatform) -> None:
    drift(termed)
    (event,) = tend(termed, termed.acting("s-4"))
    assert event.payload["because"] == "drift"
    recertify(termed, termed.acting("p-3"), MODEL, 1, "The storm explains it.")
    assert tend(termed, termed.acting("s-4")) == ()
    drift(termed, "2024-03")
    assert [event.payload["because"] for event in tend(termed, termed.acting("s-4"))] == ["drift"]


def test_an_overdue_certificate_holds_the_next_version_but_not_a_rollback(termed: FakePlatform) -> None:
    termed.register(on_behalf_of="p-2")
    ask(termed, 2)
    approve(termed, 2)
    termed.register(on_behalf_of="p-2")
    later(termed, 90)
    tend(termed, termed.acting("s-4"))
    later(termed, 15)
    assert [row.kind for row in overdue(termed.ledger.state(), termed.clock.now())] == ["recertification"]
    with pytest.raises(Refused) as error:
        ask(termed, 3)
    assert codes(error) == ["review-overdue"]
    assert lower(termed, termed.acting("p-5"), MODEL, Action.ROLL_BACK, "to be safe").version == 1


@pytest.mark.parametrize(
    ("who", "code"), [("p-2", "not-permitted"), ("p-6", "not-permitted"), ("s-1", "not-permitted")]
)
def test_who_may_not_approve_certifies_nothing(termed: FakePlatform, who: str, code: str) -> None:
    with pytest.raises(Refused) as error:
        recertify(termed, termed.acting(who), MODEL, 1, "fine")
    assert code in codes(error)


def test_the_trainer_does_not_certify_their_own_work_again(termed: FakePlatform) -> None:
    termed.change_roles("p-2", "data_scientist", "approver")
    with pytest.raises(Refused) as error:
        recertify(termed, termed.acting("p-2"), MODEL, 1, "fine")
    assert codes(error) == ["own-work"]


def test_only_what_is_live_is_certified_again(termed: FakePlatform) -> None:
    lower(termed, termed.acting("p-5"), MODEL, Action.STOP, "odd scores")
    with pytest.raises(Refused) as error:
        recertify(termed, termed.acting("p-3"), MODEL, 1, "fine")
    assert codes(error) == ["nothing-to-certify"]


def test_a_certificate_binds_what_is_live_and_the_policy_whose_term_it_is(termed: FakePlatform) -> None:
    (event,) = writes(termed, lambda: recertify(termed, termed.acting("p-3"), MODEL, 1, "It still holds."))
    row, (asked,) = version(termed), termed.ledger.state().select(PromotionRow, target="prod")
    bound = {name: event.payload[name] for name in ("role", "artifact", "packet", "policy")}
    digest = termed.policies.load().digest
    assert bound == {
        "role": "approver", "artifact": row.artifact, "packet": asked.packet, "policy": digest,
    }  # fmt: skip
    assert row.certified_sequence == event.sequence


def test_the_role_that_the_policy_names_certifies_and_no_other(under: World) -> None:
    world = under(ruled(certification={Tier.STANDARD: Certification(90, 14, "risk_officer")}))
    ask(world)
    approve(world)
    with pytest.raises(Refused) as error:
        recertify(world, world.acting("p-4"), MODEL, 1, "fine")
    assert codes(error) == ["wrong-role"]
    assert "P4: the policy asks for the role `risk_officer`, which p-4 does not hold" in error.value.sentence
    recertify(world, world.acting("p-9"), MODEL, 1, "It still holds.")
    assert unlawful(world) == ()


def test_drift_that_was_known_when_somebody_certified_does_not_end_what_they_certified(
    termed: FakePlatform,
) -> None:
    later(termed, 90)
    tend(termed, termed.acting("s-4"))
    drift(termed)  # after the review was opened, before it is answered
    recertify(termed, termed.acting("p-3"), MODEL, 1, "I have seen the storm.")
    assert tend(termed, termed.acting("s-4")) == ()
    drift(termed, "2024-03")
    recertify(termed, termed.acting("p-3"), MODEL, 1, "And this one, before anybody asked.")
    assert tend(termed, termed.acting("s-4")) == ()
    drift(termed, "2024-04")
    assert [event.payload["because"] for event in tend(termed, termed.acting("s-4"))] == ["drift"]


@pytest.mark.parametrize(
    ("change", "rule", "sentence"),
    [
        ({"until": "2999-01-01T00:00:00Z"}, "P3", "until 2999-01-01T00:00:00Z, not for its term"),
        ({"until": ""}, "P3", "until ever, not for its term"),
        ({"role": "risk_officer"}, "P4", "by p-3 as `risk_officer`, where role `approver` is asked"),
        ({"artifact": "sha256:other"}, "P3", "for something else than is live"),
        ({"packet": "sha256:other"}, "P3", "for something else than is live"),
        ({"policy": "sha256:other"}, "P3", "for something else than is live"),
    ],
)
def test_a_forged_certificate_is_named(
    termed: FakePlatform, change: dict[str, str], rule: str, sentence: str
) -> None:
    row, (asked,) = version(termed), termed.ledger.state().select(PromotionRow, target="prod")
    bound = {"artifact": row.artifact, "packet": asked.packet, "policy": termed.policies.load().digest}
    until = {"until": utc_text(termed.clock.now() + 90 * DAY)}
    lawful = {"model": MODEL, "version": 1, "role": "approver", **bound, **until}
    termed.write(EventType.VERSION_RECERTIFIED, lawful, "p-3", f"model/{MODEL}")
    assert unlawful(termed) == ()
    termed.write(EventType.VERSION_RECERTIFIED, {**lawful, **change}, "p-3", f"model/{MODEL}")
    (breach,) = unlawful(termed)
    assert sentence in breach
    assert breach.endswith(f", rule {rule}")
