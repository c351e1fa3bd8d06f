"""Rule P1: the full product of stages and actions. What is not legal is refused, by name."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from tidegate.domain.lifecycle import Action, Allowed, Move, Reason, Refused
from tidegate.domain.policy import Stage
from tidegate.domain.promotion import NEEDS, TRANSITIONS
from tidegate.testing.cases import LADDER, a_case

#: Written down a second time on purpose: whoever changes the table has to mean it.
LEGAL = {
    "candidate => promote": ["staging"],
    "candidate => approve": [],
    "candidate => reject": [],
    "candidate => retire": ["retired"],
    "staging => promote": ["canary"],
    "staging => approve": [],
    "staging => reject": [],
    "staging => demote": ["candidate"],
    "staging => retire": ["retired"],
    "canary => promote": ["prod"],
    "canary => break_glass": ["prod"],
    "canary => approve": [],
    "canary => reject": [],
    "canary => demote": ["staging", "candidate"],
    "canary => retire": ["retired"],
    "prod => roll_back": ["candidate"],
    "prod => stop": ["candidate"],
    "candidate => revoke": [],
    "staging => revoke": [],
    "canary => revoke": [],
    "prod => revoke": ["candidate"],
}


def named(stage: Stage, action: Action) -> str:
    return f"{stage} => {action}"


PAIRS = list(product(Stage, Action))
legal = [pytest.param(*pair, id=named(*pair)) for pair in PAIRS if named(*pair) in LEGAL]
illegal = [pytest.param(*pair, id=named(*pair)) for pair in PAIRS if named(*pair) not in LEGAL]
choices = [
    pytest.param(stage, action, to, id=f"{named(stage, action)} to {to}")
    for stage, action in PAIRS
    for to in Stage
]


def others(stage: Stage, action: Action, target: Stage) -> tuple[Move, ...]:
    """Return what happens to version 1 when version 2 moves."""
    if action in {Action.ROLL_BACK, Action.REVOKE}:
        return (Move(1, Stage.RETIRED, Stage.PROD),)
    return (Move(1, Stage.PROD, Stage.RETIRED),) if target is Stage.PROD else ()


def test_the_table_is_the_one_written_down_here() -> None:
    table = {named(*pair): [str(target) for target in targets] for pair, targets in TRANSITIONS.items()}
    assert table == LEGAL


def test_every_action_needs_a_permission() -> None:
    assert set(NEEDS) == set(Action)


@pytest.mark.parametrize(("stage", "action"), legal)
def test_a_legal_act_that_lacks_nothing_is_allowed(stage: Stage, action: Action) -> None:
    decision = a_case(stage, action).decide(action)
    assert isinstance(decision, Allowed), decision
    targets = LEGAL[named(stage, action)]
    moved = [move for move in decision.moves if move.version == 2]
    assert moved == [Move(2, stage, Stage(target)) for target in targets[:1]]


@pytest.mark.parametrize(("stage", "action"), legal)
def test_only_the_version_itself_and_the_one_it_replaces_move(stage: Stage, action: Action) -> None:
    decision = a_case(stage, action).decide(action)
    assert isinstance(decision, Allowed)
    for move in decision.moves:
        if move.version == 2:
            assert [each for each in decision.moves if each.version != 2] == list(
                others(stage, action, move.target)
            )


@pytest.mark.parametrize(("stage", "action"), illegal)
def test_an_illegal_act_is_refused_by_rule_p1_alone(stage: Stage, action: Action) -> None:
    decision = a_case(stage, action).decide(action)
    can = (
        ", ".join(sorted(pair.split(" => ")[1] for pair in LEGAL if pair.startswith(f"{stage} => ")))
        or "nothing"
    )
    expected = Reason(
        "illegal-move",
        "P1",
        f"got: {action} version 2; it stands in {stage}, from where {action} leads nowhere",
        f"from {stage} you can: {can}",
    )
    assert decision == Refused((expected,))


@pytest.mark.parametrize(("stage", "action", "to"), choices)
def test_only_a_stage_of_the_table_can_be_chosen(stage: Stage, action: Action, to: Stage) -> None:
    decision = a_case(stage, action).decide(action, to=to)
    targets = LEGAL.get(named(stage, action), [])
    if to in targets:
        assert isinstance(decision, Allowed), decision
        assert Move(2, stage, to) in decision.moves
        return
    assert isinstance(decision, Refused)
    (reason,) = decision.reasons
    assert (reason.code, reason.rule) == ("illegal-move", "P1")
    wish = f"got: {action} version 2 to {to}; "
    if targets:
        assert reason.sentence == f"{wish}from {stage} it leads to {' or '.join(targets)} only"
    else:
        assert reason.sentence == f"{wish}it stands in {stage}, from where {action} leads nowhere"


def test_no_chain_of_promotions_skips_a_stage() -> None:
    ups = {stage: targets for (stage, action), targets in TRANSITIONS.items() if action is Action.PROMOTE}
    assert ups == {below: (above,) for below, above in pairwise(LADDER)}


def test_nothing_leaves_retired_by_an_act_of_its_own() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] is Stage.RETIRED]


def test_nobody_reaches_prod_but_by_promotion_or_break_glass() -> None:
    into = {action for (_, action), targets in TRANSITIONS.items() if Stage.PROD in targets}
    assert into == {Action.PROMOTE, Action.BREAK_GLASS}


def test_whoever_leaves_prod_leaves_first() -> None:
    up = a_case(Stage.CANARY).decide(Action.PROMOTE)
    down = a_case(Stage.PROD, Action.ROLL_BACK).decide(Action.ROLL_BACK)
    assert isinstance(up, Allowed)
    assert isinstance(down, Allowed)
    for decision in (up, down):
        assert [move.source for move in decision.moves].index(Stage.PROD) == 0
        assert decision.moves[-1].target is Stage.PROD
