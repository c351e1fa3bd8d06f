from __future__ import annotations

import pytest

from tidegate.domain.actors import (
    PERSONAL_ROLES,
    ROLES,
    Permission,
    check_roles,
    permits,
    require,
    token_digest,
    token_matches,
)
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.state import ActorRow


def holding(*roles):
    return ActorRow("p-7", "person", "p-7", roles, 1)


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("role", ROLES)
def test_an_actor_does_what_its_role_permits_and_nothing_else(role, permission):
    actor = holding(role)
    assert permits(actor, permission) is (permission in ROLES[role])
    if permission in ROLES[role]:
        require(actor, permission)
    else:
        with pytest.raises(Refused) as caught:
            require(actor, permission)
        assert caught.value.code == "not-permitted"
        assert caught.value.data == {"rule": "A1", "permission": str(permission)}


def test_a_refusal_names_what_is_held_and_what_is_needed():
    with pytest.raises(Refused) as caught:
        require(holding("auditor", "reviewer"), Permission.REGISTER)
    assert caught.value.sentence == (
        "A1: p-7 holds `auditor` and `reviewer`, but `model:version:register` needs "
        "`data_scientist` or `training_service`"
    )
    assert "administrator" in caught.value.hint


def test_every_permission_is_held_by_some_role_and_none_by_all():
    for permission in Permission:
        holders = [role for role, granted in ROLES.items() if permission in granted]
        assert 0 < len(holders) < len(ROLES)


def test_no_role_permits_everything_and_administrators_nothing_of_the_lifecycle():
    assert all(granted < set(Permission) for granted in ROLES.values())
    assert all(str(each).startswith(("actor:", "ledger:")) for each in ROLES["administrator"])


def test_a_role_that_is_unknown_or_absent_permits_nothing():
    for actor in (holding(), holding("emperor")):
        assert not any(permits(actor, permission) for permission in Permission)


def test_permissions_are_spelled_scope_resource_action():
    assert all(len(str(each).split(":")) == 3 for each in Permission)


def test_nothing_that_decides_for_people_is_permitted_to_a_service():
    decides = {Permission.APPROVE, Permission.REVIEW, Permission.MANAGE_ACTORS, Permission.STOP}
    for role in set(ROLES) - PERSONAL_ROLES:
        assert not decides & ROLES[role]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_for_people_or_for_services(role):
    right, wrong = ("person", "service") if role in PERSONAL_ROLES else ("service", "person")
    check_roles(right, (role,))
    with pytest.raises(BadInput) as caught:
        check_roles(wrong, (role,))
    assert caught.value.code == "wrong-kind"
    assert f"`{role}` for a {wrong}" in caught.value.sentence


@pytest.mark.parametrize(
    ("kind", "roles", "code"),
    [
        ("robot", ("approver",), "unknown-kind"),
        ("", ("approver",), "unknown-kind"),
        ("person", (), "unknown-role"),
        ("service", (), "unknown-role"),
        ("person", ("emperor",), "unknown-role"),
        ("person", ("approver", "emperor"), "unknown-role"),
        ("person", ("approver", "scoring_service"), "wrong-kind"),
        ("service", ("scoring_service", "approver"), "wrong-kind"),
    ],
)
def test_a_kind_or_role_that_nobody_may_hold_is_bad_input(kind, roles, code):
    with pytest.raises(BadInput) as caught:
        check_roles(kind, roles)
    assert caught.value.code == code


def test_of_a_token_only_its_digest_is_kept():
    kept = token_digest("tg_secret")
    assert kept == "sha256:b6753c00ddc3259df1ec4f83007e6d9a5d9f989ecbfddc2fa459f0bf18141bdb"
    assert token_matches("tg_secret", kept)
    assert not token_matches("tg_Secret", kept)
    assert not token_matches(kept, kept), "who reads the digest holds no token"
    assert not token_matches("", kept)


def test_a_token_of_bytes_that_are_no_text_is_nobodys() -> None:
    assert not token_matches("tg_\udcff", token_digest("tg_"))
