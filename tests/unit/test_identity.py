from __future__ import annotations

from types import SimpleNamespace

import pytest

from tidegate.application.identity import (
    Account,
    add_account,
    authenticate,
    change_roles,
    open_ledger,
    revoke,
)
from tidegate.application.lawfulness import judged
from tidegate.application.platform import Acting
from tidegate.domain.actors import token_digest
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import Draft, EventType
from tidegate.domain.policy import Policy, ReviewRule
from tidegate.domain.state import ActorRow, CredentialRow, PolicyRow
from tidegate.testing.fakes.ledger import MemoryLedger
from tidegate.testing.fakes.policies import FakePolicies
from tidegate.testing.fakes.small import CountingEntropy, TickingClock

ADA = Account("Ada Winter", "person", ("administrator",))
AMIR = Account("Amir O'Neil", "person", ("approver",))
FEED = Account("svc-feed", "service", ("ingest_service",))
BODY = "name: harbour\nversion: '1'\n"
POLICY = Policy("harbour", "1", sha256(BODY.encode()), BODY, {}, ReviewRule((), 7, "reviewer"))


@pytest.fixture
def platform():
    clock, entropy = TickingClock(), CountingEntropy()
    return SimpleNamespace(
        clock=clock,
        entropy=entropy,
        ledger=MemoryLedger(clock, entropy),
        policies=FakePolicies(POLICY),
        assurance="local",
    )


@pytest.fixture
def tokens(platform):
    """The ledger opened, and everybody's token by name."""
    kept = {}
    assert open_ledger(platform, [ADA, AMIR, FEED], kept.__setitem__)
    return kept


def acting(platform, token, **more):
    return Acting(authenticate(platform.ledger.state(), token), **more)


def written(platform):
    return [(str(event.type), event.actor) for event in platform.ledger.events()]


# ── the genesis ───────────────────────────────────────────────────────────────────────────────────


def test_the_genesis_names_clock_assurance_accounts_and_policy(platform, tokens):
    assert [kind for kind, _ in written(platform)] == [
        "ledger.opened",
        *["actor.added", "credential.issued"] * 3,
        "policy.adopted",
    ]
    first = next(iter(platform.ledger.events()))
    assert first.payload == {"clock": "simulated", "assurance": "local", "administrator": "p-1"}
    (policy,) = platform.ledger.state().select(PolicyRow, in_force=True)
    assert (policy.digest, policy.body) == (POLICY.digest, BODY)
    assert platform.ledger.verify() == ()


def test_accounts_are_numbered_by_kind_and_their_names_lie_beside_the_ledger(platform, tokens):
    rows = platform.ledger.state().select(ActorRow)
    assert [(row.id, row.kind, row.roles) for row in rows] == [
        ("p-1", "person", ("administrator",)),
        ("p-2", "person", ("approver",)),
        ("s-1", "service", ("ingest_service",)),
    ]
    named = [event for event in platform.ledger.events() if event.type is EventType.ACTOR_ADDED]
    assert [platform.ledger.text(event.payload["texts"]["name"]) for event in named] == [
        "Ada Winter",
        "Amir O'Neil",
        "svc-feed",
    ]
    assert not any("Winter" in event.body for event in named)


def test_opening_again_changes_nothing(platform, tokens):
    before = list(platform.ledger.events())

    def never(name, token):
        raise AssertionError(f"a second token for {name}")

    assert open_ledger(platform, [ADA, AMIR, FEED], never) is False
    assert list(platform.ledger.events()) == before


def test_a_token_that_cannot_be_kept_undoes_the_whole_genesis(platform):
    kept = []

    def full_disk(name, token):
        kept.append(name)
        if len(kept) == 2:
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        open_ledger(platform, [ADA, AMIR, FEED], full_disk)
    assert list(platform.ledger.events()) == []
    assert open_ledger(platform, [ADA, AMIR, FEED], lambda *_: None)
    assert platform.ledger.verify() == ()


@pytest.mark.parametrize(
    ("account", "code"),
    [
        (Account("Otto", "person", ("emperor",)), "unknown-role"),
        (Account("Otto", "robot", ("operator",)), "unknown-kind"),
        (Account("Otto", "person", ("scoring_service",)), "wrong-kind"),
        (Account("svc", "service", ("approver",)), "wrong-kind"),
        (Account("", "person", ("operator",)), "bad-name"),
        (Account("a/b", "person", ("operator",)), "bad-name"),
        (Account("x" * 81, "person", ("operator",)), "bad-name"),
        (Account("two\nlines", "person", ("operator",)), "bad-name"),
    ],
)
def test_a_malformed_account_undoes_the_whole_genesis(platform, account, code):
    with pytest.raises(BadInput) as caught:
        open_ledger(platform, [ADA, account], lambda *_: None)
    assert caught.value.code == code
    assert list(platform.ledger.events()) == []


def test_without_a_policy_nothing_is_opened(platform):
    platform.policies = FakePolicies()
    with pytest.raises(BadInput):
        open_ledger(platform, [ADA], lambda *_: None)
    assert list(platform.ledger.events()) == []


# ── tokens ────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_proves_who_acts(platform, tokens):
    state = platform.ledger.state()
    assert authenticate(state, tokens["Ada Winter"]).id == "p-1"
    assert authenticate(state, tokens["svc-feed"]).id == "s-1"


def test_of_a_token_only_the_digest_is_kept(platform, tokens):
    kept = {row.token_digest for row in platform.ledger.state().select(CredentialRow)}
    assert kept == {token_digest(token) for token in tokens.values()}
    assert not any(token in event.body for token in tokens.values() for event in platform.ledger.events())


@pytest.mark.parametrize(
    "how", ["", "tg_nobody", "\udcff", "\u20ac", "the digest", "shortened", "spaced", "of another case"]
)
def test_anything_but_a_token_is_refused(platform, tokens, how):
    token = tokens["Ada Winter"]
    tried = {
        "the digest": token_digest(token),
        "shortened": token[:-1],
        "spaced": f"{token} ",
        "of another case": token.upper(),
    }.get(how, how)
    with pytest.raises(Refused) as caught:
        authenticate(platform.ledger.state(), tried)
    assert caught.value.code == "unknown-token"
    assert caught.value.data == {"rule": "A2"}
    assert token not in str(caught.value.as_dict())


def test_a_revoked_token_proves_nothing_and_the_others_go_on(platform, tokens):
    ada = acting(platform, tokens["Ada Winter"])
    assert revoke(platform, ada, "p-2") == 1
    with pytest.raises(Refused, match="was revoked"):
        authenticate(platform.ledger.state(), tokens["Amir O'Neil"])
    assert authenticate(platform.ledger.state(), tokens["Ada Winter"]).id == "p-1"
    assert revoke(platform, ada, "p-2") == 0, "there is none left"


def test_nobody_who_does_not_exist_is_revoked(platform, tokens):
    with pytest.raises(BadInput) as caught:
        revoke(platform, acting(platform, tokens["Ada Winter"]), "p-9")
    assert caught.value.code == "unknown-actor"


# ── accounts ──────────────────────────────────────────────────────────────────────────────────────


def test_an_administrator_makes_accounts(platform, tokens):
    actor, token = add_account(
        platform,
        acting(platform, tokens["Ada Winter"]),
        Account("Rita", "person", ("reviewer", "auditor")),
    )
    assert (actor.id, actor.roles) == ("p-3", ("reviewer", "auditor"))
    assert authenticate(platform.ledger.state(), token) == actor
    assert platform.ledger.verify() == ()


def test_two_accounts_may_share_a_name_and_are_two_people(platform, tokens):
    ada = acting(platform, tokens["Ada Winter"])
    (first, one), (second, other) = (add_account(platform, ada, AMIR) for _ in range(2))
    assert (first.id, second.id) == ("p-3", "p-4")
    assert one != other


@pytest.mark.parametrize("name", ["Amir O'Neil", "svc-feed"])
def test_whoever_is_no_administrator_is_refused_and_the_refusal_recorded(platform, tokens, name):
    other = acting(platform, tokens[name])
    for attempt in (lambda: add_account(platform, other, AMIR), lambda: revoke(platform, other, "p-1")):
        before = len(written(platform))
        with pytest.raises(Refused) as caught:
            attempt()
        assert caught.value.code == "not-permitted"
        assert caught.value.data["rule"] == "A1"
        (event,) = platform.ledger.events(after=before)
        assert (event.type, event.actor, event.stream) == (
            EventType.ACTION_REFUSED,
            other.actor.id,
            "actors",
        )
        assert event.payload["action"] == "actor:account:manage"
        assert [(reason["code"], reason["rule"]) for reason in event.payload["reasons"]] == [
            ("not-permitted", "A1")
        ]
    assert len(platform.ledger.state().select(ActorRow)) == 3


def test_a_refusal_under_one_key_is_recorded_once(platform, tokens):
    amir = acting(platform, tokens["Amir O'Neil"], key="k1")
    before = len(written(platform))
    for _ in range(3):
        with pytest.raises(Refused):
            add_account(platform, amir, AMIR)
    assert len(written(platform)) == before + 1


@pytest.mark.parametrize(
    ("account", "code"),
    [
        (Account("svc", "service", ("approver",)), "wrong-kind"),
        (Account("Otto", "person", ()), "unknown-role"),
        (Account("a\tb", "person", ("operator",)), "bad-name"),
    ],
)
def test_a_malformed_account_is_not_made(platform, tokens, account, code):
    before = written(platform)
    with pytest.raises(BadInput) as caught:
        add_account(platform, acting(platform, tokens["Ada Winter"]), account)
    assert caught.value.code == code
    assert "Otto" not in str(caught.value.as_dict()), "a name is personal data"
    assert written(platform) == before


# ── several accounts of one person ────────────────────────────────────────────────────────────────


def unlawful(platform):
    return [str(each) for each in judged(platform.ledger.events(), platform.policies, None)]


def denied(platform, act):
    """Return the codes and rules of a refusal, told and recorded alike."""
    before = len(written(platform))
    with pytest.raises(Refused) as caught:
        act()
    (event,) = platform.ledger.events(after=before)
    assert event.type is EventType.ACTION_REFUSED
    assert caught.value.data["reasons"] == event.payload["reasons"]
    return [(reason["rule"], reason["code"]) for reason in event.payload["reasons"]]


def test_another_account_of_a_person_is_of_that_person(platform, tokens):
    ada = acting(platform, tokens["Ada Winter"])
    twin, token = add_account(platform, ada, Account("Amir at night", "person", ("reviewer",), "p-2"))
    third, _ = add_account(platform, ada, Account("Amir too", "person", ("auditor",), twin.id))
    assert (twin.id, twin.subject, third.subject) == ("p-3", "p-2", "p-2")
    assert authenticate(platform.ledger.state(), token) == twin
    assert platform.ledger.verify() == ()
    assert unlawful(platform) == []


@pytest.mark.parametrize(
    ("account", "code"),
    [
        (Account("Amir", "person", ("reviewer",), "p-9"), "unknown-actor"),
        (Account("Amir", "person", ("reviewer",), "s-1"), "not-a-person"),
        (Account("svc", "service", ("scoring_service",), "p-2"), "not-a-person"),
        (Account("svc", "service", ("scoring_service",), "s-1"), "not-a-person"),
    ],
)
def test_nobody_is_another_account_of_a_service_or_of_nobody(platform, tokens, account, code):
    before = written(platform)
    with pytest.raises(BadInput) as caught:
        add_account(platform, acting(platform, tokens["Ada Winter"]), account)
    assert caught.value.code == code
    assert written(platform) == before


def test_an_administrator_makes_no_account_of_their_own(platform, tokens):
    ada = acting(platform, tokens["Ada Winter"])
    twin = Account("Ada too", "person", ("approver",), "p-1")
    assert denied(platform, lambda: add_account(platform, ada, twin)) == [("A3", "own-roles")]
    assert len(platform.ledger.state().select(ActorRow)) == 3
    assert unlawful(platform) == []


# ── roles ─────────────────────────────────────────────────────────────────────────────────────────


def second_administrator(platform, tokens):
    eve = Account("Eve", "person", ("administrator",))
    _, token = add_account(platform, acting(platform, tokens["Ada Winter"]), eve)
    return acting(platform, token)


def test_an_administrator_changes_roles_and_the_same_again_writes_nothing(platform, tokens):
    ada = acting(platform, tokens["Ada Winter"])
    before = len(written(platform))
    for roles in (("approver", "reviewer", "approver"), ("reviewer", "approver")):
        assert change_roles(platform, ada, "p-2", roles).roles == ("approver", "reviewer")
    (event,) = platform.ledger.events(after=before)
    assert (event.type, event.stream, event.actor) == (EventType.ROLES_CHANGED, "actors", "p-1")
    assert event.payload == {"id": "p-2", "roles": ["approver", "reviewer"]}
    assert authenticate(platform.ledger.state(), tokens["Amir O'Neil"]).roles == ("approver", "reviewer")
    assert platform.ledger.verify() == ()
    assert unlawful(platform) == []


def test_a_change_of_roles_under_one_key_happens_once(platform, tokens):
    ada = acting(platform, tokens["Ada Winter"], key="k1")
    change_roles(platform, ada, "p-2", ("reviewer",))
    change_roles(platform, acting(platform, tokens["Ada Winter"]), "p-2", ("approver",))
    assert change_roles(platform, ada, "p-2", ("reviewer",)).roles == ("approver",)


@pytest.mark.parametrize(
    ("account", "roles", "code"),
    [
        ("p-9", ("approver",), "unknown-actor"),
        ("p-2", ("emperor",), "unknown-role"),
        ("p-2", (), "unknown-role"),
        ("p-2", ("scoring_service",), "wrong-kind"),
        ("s-1", ("approver",), "wrong-kind"),
    ],
)
def test_roles_that_nobody_can_hold_are_not_given(platform, tokens, account, roles, code):
    before = written(platform)
    with pytest.raises(BadInput) as caught:
        change_roles(platform, acting(platform, tokens["Ada Winter"]), account, roles)
    assert caught.value.code == code
    assert written(platform) == before


def test_nobody_gives_roles_to_themselves_under_whichever_account(platform, tokens):
    ada, eve = acting(platform, tokens["Ada Winter"]), second_administrator(platform, tokens)
    own = denied(platform, lambda: change_roles(platform, ada, "p-1", ("administrator", "approver")))
    assert own == [("A3", "own-roles")]
    twin, _ = add_account(platform, eve, Account("Ada too", "person", ("auditor",), "p-1"))
    other = denied(platform, lambda: change_roles(platform, ada, twin.id, ("auditor", "approver")))
    assert other == [("A3", "own-roles")]
    assert change_roles(platform, eve, twin.id, ("auditor", "approver")).roles == ("auditor", "approver")
    assert change_roles(platform, ada, twin.id, ("auditor",)).roles == ("auditor",), "giving up is no gift"
    assert unlawful(platform) == []


def test_the_last_administrator_who_can_act_cannot_lose_the_role(platform, tokens):
    ada, eve = acting(platform, tokens["Ada Winter"]), second_administrator(platform, tokens)
    assert change_roles(platform, eve, "p-1", ("auditor",)).roles == ("auditor",)
    alone = denied(platform, lambda: change_roles(platform, eve, "p-3", ("auditor",)))
    assert alone == [("A3", "own-roles"), ("A3", "last-administrator")]
    change_roles(platform, eve, "p-1", ("administrator",))
    revoke(platform, eve, "p-1")
    barred = denied(platform, lambda: change_roles(platform, eve, "p-3", ("auditor",)))
    assert ("A3", "last-administrator") in barred
    with pytest.raises(Refused, match="A1"):
        change_roles(platform, acting(platform, tokens["Amir O'Neil"]), "p-2", ("administrator",))
    assert ada.actor.id == "p-1"
    assert unlawful(platform) == []


def forged(platform, kind, actor, /, **payload):
    """Write an event past the use cases, and return the rules that verification says it broke."""
    with platform.ledger.transaction() as tx:
        event = tx.append(Draft(kind, "actors", actor, payload))
    found = judged(platform.ledger.events(), platform.policies, None)
    return [each.rule for each in found if each.event == event.sequence]


@pytest.mark.parametrize(
    ("actor", "account", "roles", "rules"),
    [
        ("p-1", "p-2", ["approver", "reviewer"], []),
        ("p-2", "p-2", ["approver", "reviewer"], ["A1", "A3"]),
        ("p-1", "p-1", ["administrator", "approver"], ["A3"]),
        ("p-1", "p-1", ["auditor"], ["A3", "A3"]),
        ("p-1", "s-1", ["ingest_service", "approver"], ["A1"]),
        ("p-1", "p-2", ["emperor"], ["A1"]),
        ("p-1", "p-2", [], ["A1"]),
    ],
)
def test_a_forged_change_of_roles_is_named(platform, tokens, actor, account, roles, rules):
    assert forged(platform, EventType.ROLES_CHANGED, actor, id=account, roles=roles) == rules


@pytest.mark.parametrize(
    ("kind", "subject", "rules"),
    [
        ("person", "p-9", []),
        ("person", "p-2", []),
        ("person", "p-1", ["A3"]),
        ("person", "p-8", ["A2"]),
        ("person", "s-1", ["A2"]),
        ("service", "p-2", ["A2"]),
    ],
)
def test_a_forged_account_of_somebody_else_is_named(platform, tokens, kind, subject, rules):
    payload = {"id": "p-9", "kind": kind, "subject": subject, "roles": ["approver"]}
    assert forged(platform, EventType.ACTOR_ADDED, "p-1", **payload) == rules


def test_every_act_names_who_acted_and_its_story(platform, tokens):
    ada = acting(platform, tokens["Ada Winter"], correlation="story-1")
    before = len(written(platform))
    add_account(platform, ada, AMIR)
    for event in platform.ledger.events(after=before):
        assert (event.actor, event.on_behalf_of, event.correlation) == ("p-1", None, "story-1")


def test_a_person_acts_only_as_itself_and_the_refusal_is_recorded(platform, tokens):
    before = len(written(platform))
    with pytest.raises(Refused, match="A2: p-1 is a person and acts only as itself"):
        add_account(platform, acting(platform, tokens["Ada Winter"], on_behalf_of="p-2"), AMIR)
    (event,) = platform.ledger.events(after=before)
    assert (event.type, event.actor) == (EventType.ACTION_REFUSED, "p-1")


def test_an_actor_that_lost_its_role_since_it_authenticated_is_refused(platform, tokens):
    ada = acting(platform, tokens["Ada Winter"])
    with platform.ledger.transaction() as tx:
        tx.append(Draft(EventType.ROLES_CHANGED, "actors", "p-1", {"id": "p-1", "roles": ["auditor"]}))
    with pytest.raises(Refused, match="A1: p-1 holds no role"):
        add_account(platform, ada, AMIR)


def test_an_actor_that_the_ledger_does_not_have_is_refused(platform, tokens):
    stranger = Acting(ActorRow("p-9", "person", "p-9", ("administrator",), 1))
    with pytest.raises(Refused, match="A2"):
        add_account(platform, stranger, AMIR)


@pytest.mark.parametrize(
    "accounts",
    [[], [AMIR, ADA], [Account("svc", "service", ("ingest_service",))]],
    ids=["none", "approver", "service"],
)
def test_a_ledger_opens_with_an_administrator_or_not_at_all(platform, accounts):
    with pytest.raises(BadInput) as caught:
        open_ledger(platform, accounts, lambda *_: None)
    assert caught.value.code == "no-administrator"
    assert written(platform) == []


@pytest.mark.parametrize("name", [".", "..", "../x", "-x", "", "a/b", "a\x00b", "x" * 81])
def test_a_name_that_could_be_a_path_or_an_option_is_refused(platform, tokens, name):
    with pytest.raises(BadInput) as caught:
        add_account(platform, acting(platform, tokens["Ada Winter"]), Account(name, "person", ("approver",)))
    assert caught.value.code == "bad-name"


def test_a_name_of_letters_that_only_look_alike_is_refused(platform, tokens):
    with pytest.raises(BadInput, match="mixes letters of cyrillic and latin"):
        add_account(
            platform, acting(platform, tokens["Ada Winter"]), Account("\u0430mir", "person", ("auditor",))
        )
    made, _ = add_account(
        platform,
        acting(platform, tokens["Ada Winter"]),
        Account("\u0430\u043c\u0438\u0440", "person", ("auditor",)),
    )
    assert made.kind == "person"
