"""Policies at the command line, on a fresh ledger: what is tried leaves no trace, what is changed is on record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "models" / "policy" / "policy.yaml").read_text()
WHY = "Planners asked for a second pair of eyes."


def edited(folder, *changes, name="next.yaml"):
    """Write the reference policy with changes, as version 4."""
    text = REFERENCE
    for old, new in (("\nversion: 3\n", "\nversion: 4\n"), *changes):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.fixture
def eyes(tmp_path):
    """A policy file by which a model of tier standard takes a risk officer too."""
    return edited(
        tmp_path,
        ("      approvals: {approver: 1}\n", "      approvals: {approver: 1, risk_officer: 1}\n"),
    )


@pytest.fixture
def ours(empty):
    empty.json("open")
    return empty


def refused(shell, *words, code=1):
    """Return the error of a command that must end with ``code``."""
    done = shell.run(*words, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    error = json.loads(done.stdout)
    return {**error, **error["data"]}


def events(shell):
    return [(row["type"], row["actor"]) for row in shell.json("log")]


def people(shell):
    return {row["name"]: row["id"] for row in shell.json("user", "list")}


# ── trying ────────────────────────────────────────────────────────────────────────────────────────


def test_a_policy_is_checked_and_tested_without_a_ledger_and_makes_none(empty, eyes):
    told = empty.json("policy", "check")
    assert (told["name"], told["version"], told["in_force"], told["reasons"]) == ("reference", "3", False, [])
    told = empty.json("policy", "test", eyes)
    assert (told["version"], told["untried"]) == ("4", [])
    assert {(row["tier"], row["to"]) for row in told["gates"]} == {
        (tier, to) for tier in ("low", "standard", "high") for to in ("staging", "canary", "prod")
    }
    assert all(row["rules"] == row["exercised"] for row in told["gates"])
    assert not (empty.home / "record.db").exists()


def test_a_rule_that_no_test_exercises_is_named_and_refused_for_tier_high(empty, tmp_path):
    test = "  - name: a way back that is not named is refused\n    tiers: [low, standard, high]"
    gone = "  - name: no way back at all is an error\n    tiers: [low, standard, high]"
    without = {"low": "[standard, high]", "high": "[low, standard]"}
    found = {}
    for tier, tiers in without.items():
        changes = [(each, each.replace("[low, standard, high]", tiers)) for each in (test, gone)]
        found[tier] = edited(tmp_path, *changes, name=f"{tier}.yaml")
    untried = empty.json("policy", "test", found["low"])["untried"]
    assert [(gap["rule"], gap["where"], gap["lacks"]) for gap in untried] == [
        ("way_back", "into prod in tier low", "no test sees refuse"),
        ("section way_back", "into prod in tier low", "no test sees refuse"),
    ]
    error = refused(empty, "policy", "test", found["high"], code=2)
    sentences = [fault["sentence"] for fault in error["faults"]]
    assert sentences == [
        f"got {rule!r} into prod in tier high, which no test sees refuse, expected a test each way in tier high"
        for rule in ("way_back", "section way_back")
    ]
    assert error["error"].startswith("high.yaml has 2 faults")


@pytest.mark.parametrize("command", ["check", "test", "diff", "backtest", "propose"])
def test_a_broken_policy_is_refused_with_all_its_lines_wherever_it_is_given(ours, tmp_path, command):
    before = events(ours)
    path = edited(tmp_path, ("due_days: 7, role: reviewer", "due_days: 0, role: king"))
    more = ("--as", "dana", "--reason", WHY) if command == "propose" else ()
    error = refused(ours, "policy", command, path, *more, code=2)
    assert error["code"] == "policy"
    assert [fault["sentence"] for fault in error["faults"]] == [
        "got '0', expected a whole number from 1 to 365",
        "got 'king', expected a role that reviews: reviewer",
    ]
    assert refused(ours, "policy", command, str(tmp_path / "gone.yaml"), *more, code=2)["code"] == "policy"
    assert events(ours) == before


def test_a_policy_that_asks_for_more_people_than_there_are_is_refused_beside_a_ledger(ours, tmp_path):
    asked = "changes: {approvals: {approver: 1, risk_officer: 1}}"
    path = edited(tmp_path, (asked, "changes: {approvals: {approver: 2}}"))
    (reason,) = refused(ours, "policy", "check", path)["reasons"]
    assert (reason["rule"], reason["code"]) == ("P6", "too-few-people")
    assert reason["sentence"] == (
        "a change of the policy asks for 2 approvals by `approver`, which 1 eligible person holds"
    )
    done = ours.run("policy", "check", path)
    assert (done.returncode, "P6  a change of the policy asks for 2" in done.stderr) == (1, True)


def test_a_diff_names_what_a_policy_says_otherwise(ours, eyes, tmp_path):
    told = ours.json("policy", "diff", eyes)
    assert told["parts"] == [
        {"part": "version", "before": "3", "after": "4"},
        {"part": "gates.standard.prod.approvals.risk_officer", "before": "", "after": "1"},
    ]
    assert ours.json("policy", "diff")["parts"] == []
    assert "word for word the same" in ours.run("policy", "diff").stdout
    other = tmp_path / "other.yaml"
    other.write_text(REFERENCE + "# a comment\n")
    assert "they say the same in other words or layout" in ours.run("policy", "diff", str(other)).stdout


def test_trying_leaves_no_trace(ours, eyes):
    before = (events(ours), ours.json("audit", "fingerprint"))
    assert ours.json("policy", "backtest", eyes)["decisions"] == []
    for words in (("check", eyes), ("test", eyes), ("diff", eyes), ("list",)):
        ours.json("policy", *words)
    assert refused(ours, "policy", "simulate", "no_model", "1", code=2)["code"] == "unknown-model"
    assert (events(ours), ours.json("audit", "fingerprint")) == before


def test_what_needs_a_ledger_says_so(empty, eyes):
    for words in (("diff",), ("backtest", eyes), ("simulate", "m", "1"), ("list",)):
        assert refused(empty, "policy", *words, code=2)["code"] == "no-ledger"


# ── changing ──────────────────────────────────────────────────────────────────────────────────────


def test_a_policy_is_proposed_approved_by_one_of_each_role_and_in_force(ours, eyes):
    who = people(ours)
    told = ours.json("policy", "propose", eyes, "--as", "dana", "--reason", WHY)
    assert (told["id"], told["status"], told["proposer"], told["reason"]) == ("C-1", "open", who["dana"], WHY)
    assert [reason["code"] for reason in told["waits"]] == ["approval-missing", "approval-missing"]

    own = refused(ours, "policy", "approve", "C-1", "--as", "dana", "--reason", "mine")["reasons"]
    assert [(reason["rule"], reason["code"]) for reason in own] == [
        ("A1", "not-permitted"),
        ("P6", "own-proposal"),
    ]
    told = ours.json("policy", "approve", "C-1", "--as", "amir", "--reason", "Tried.")
    assert (told["status"], len(told["waits"])) == ("open", 1)
    assert ours.json("policy", "check")["in_force"] is True
    told = ours.json("policy", "approve", "C-1", "--as", "rosa", "--reason", "Agreed.")
    assert (told["status"], told["waits"]) == ("adopted", [])
    assert [(each["actor"], each["role"]) for each in told["decisions"]] == [
        (who["amir"], "approver"),
        (who["rosa"], "risk_officer"),
    ]
    assert ours.json("policy", "check", eyes)["in_force"] is True
    assert events(ours)[-5:] == [
        ("policy.proposed", who["dana"]),
        ("action.refused", who["dana"]),
        ("policy.approved", who["amir"]),
        ("policy.approved", who["rosa"]),
        ("policy.adopted", who["rosa"]),
    ]
    listed = ours.json("policy", "list")
    assert [(row["version"], row["in_force"]) for row in listed["policies"]] == [("3", False), ("4", True)]
    assert ours.json("audit", "verify")["faults"] == []
    done = ours.run("doctor")
    assert "reference 4 is in force; the file on disk differs" in done.stdout
    assert "`tidegate policy diff` shows in what" in done.stdout


def test_a_rejected_policy_leaves_what_is_in_force(ours, eyes):
    ours.json("policy", "propose", eyes, "--as", "dana", "--reason", WHY)
    told = ours.json("policy", "reject", "C-1", "--as", "rosa", "--reason", "Not now.")
    assert (told["status"], told["waits"]) == ("rejected", [])
    error = refused(ours, "policy", "approve", "C-1", "--as", "amir", "--reason", "late")
    assert [reason["code"] for reason in error["reasons"]] == ["nothing-open"]
    assert refused(ours, "policy", "approve", "C-9", "--as", "amir", "--reason", WHY, code=2)["code"] == (
        "unknown-proposal"
    )
    assert ours.json("policy", "check")["in_force"] is True
    assert ours.json("audit", "verify")["faults"] == []


def test_an_act_repeated_under_its_key_happens_once(ours, eyes):
    key = ("--idempotency-key", "k")
    first = ours.json("policy", "propose", eyes, "--as", "dana", "--reason", WHY, *key)
    ours.json("policy", "approve", "C-1", "--as", "amir", "--reason", "Tried.", *key)
    ours.json("policy", "approve", "C-1", "--as", "rosa", "--reason", "Agreed.", *key)
    before = events(ours)
    again = ours.json("policy", "propose", eyes, "--as", "dana", "--reason", WHY, *key)
    assert (again["id"], again["status"]) == (first["id"], "adopted")
    ours.json("policy", "approve", "C-1", "--as", "rosa", "--reason", "Agreed.", *key)
    assert events(ours) == before
