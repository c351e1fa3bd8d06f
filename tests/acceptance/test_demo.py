"""The main job, played once, on real data."""

import shutil
from pathlib import Path

import pytest

from tidegate.testing.shell import Shell

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def said(played, title, which=0):
    """Return what the step (or the ``which``-th of several with one title) said."""
    return [step["said"] for step in played[1] if step["step"] == title][which]


def test_every_row_read_is_accepted_or_quarantined(played):
    shell, _ = played
    rows = [event for event in shell.json("log") if event["type"] == "batch.accepted"]
    assert len(rows) == 5
    for period in ("2013-01", "2013-02", "2013-03", "2013-04"):
        text = said(
            played,
            {"1": "January", "2": "February", "3": "March", "4": "April"}[period[-1]] + " through the gate",
        )
        read, accepted, held = (
            int(part.split()[0].replace(",", "")) for part in text.splitlines()[0].split(", ")
        )
        assert read == accepted + held
        assert read > 24_000


def test_quarantined_rows_are_shown_with_all_their_reasons(played):
    shell, _ = played
    held = shell.json("quarantine", "flights")
    assert [(row["period"], row["reasons"]) for row in held] == [
        ("2013-02", ["F41"]),
        ("2013-03", ["F41"]),
        ("2013-03", ["F41"]),
    ]
    assert {row["values"]["tailnum"] for row in held} == {"D942DN"}


def test_the_trainer_is_refused_by_both_rules_that_apply(played):
    text = said(played, "Its own trainer tries to approve it")
    assert "refused by A1: p-2 holds no role that permits `model:promotion:approve`" in text
    assert "refused by P4: p-2 cannot approve version 1" in text


def test_version_one_ends_in_prod_and_version_two_as_a_candidate(played):
    shell, _ = played
    versions = shell.json("versions", "flight_delay")
    assert [(row["version"], row["stage"]) for row in versions] == [(1, "prod"), (2, "candidate")]
    assert all(row["parity"]["verdict"] == "passed" for row in versions)


def test_the_review_was_opened_by_the_monitor_and_decided_by_the_reviewer(played):
    shell, _ = played
    (review,) = shell.json("review", "--all")
    assert (review["id"], review["status"], review["outcome"]) == ("R-1", "decided", "retrain")
    assert review["decided_by"] == "p-4"
    assert "calibration_gap inconclusive" in review["cause"]


def test_the_record_holds_against_its_anchor(played):
    shell, _ = played
    anchors = shell.home.parent / f"{shell.home.name}-anchors"
    found = shell.json(
        "audit", "verify", "--anchor", str(anchors / "head.json"), "--key", str(anchors / "ledger.pub")
    )
    assert found["faults"] == []
    assert found["anchored"] is True


def test_played_again_it_writes_nothing_and_ends_in_the_same_state(played, shell):
    before = shell.json("log")
    again = shell.json("demo", timeout=900)
    assert shell.json("log") == before
    assert shell.json("audit", "fingerprint") == played[0].json("audit", "fingerprint")
    assert [step["step"] for step in again] == ["The auditor anchors and verifies", "The desk"]


def test_what_people_did_after_the_demo_is_left_alone(shell):
    shell.json("promote", "flight_delay", "2", "--as", "dana")
    shell.json("approve", "flight_delay", "2", "--as", "amir", "--reason", "It has recovered.")
    before = shell.json("log")
    shell.json("demo", timeout=900)
    assert shell.json("log") == before
    assert shell.json("status")["models"]["flight_delay"]["stages"] == {"prod": 2}


def test_why_says_what_a_version_waits_for(shell):
    shell.json("promote", "flight_delay", "2", "--as", "dana")
    found = shell.json("why", "flight_delay", "2")
    assert found["waiting"] is True
    assert "approval-missing" in [reason["code"] for reason in found["reasons"]]
    assert "taken-out" in [reason["code"] for reason in found["reasons"]]


@pytest.mark.filterwarnings("ignore:The ``noload``")  # MLflow's own, on SQLAlchemy 2.1
def test_the_registry_follows_the_ledger_and_any_client_can_load_what_is_in_prod(played):
    import numpy as np
    from mlflow import MlflowClient

    shell, _ = played
    client = MlflowClient(f"sqlite:///{shell.home / 'mlflow' / 'mlflow.db'}")
    assert int(client.get_model_version_by_alias("flight_delay", "prod").version) == 1
    assert client.get_model_version("flight_delay", "2").tags["tidegate.stage"] == "candidate"
    assert np.isfinite(
        client.get_run(client.get_model_version("flight_delay", "1").run_id).data.metrics["roc_auc"]
    )


def test_no_pickle_lies_anywhere_in_the_home(played):
    shell, _ = played
    suspicious = {".pkl", ".pickle", ".joblib", ".skops"}
    assert [path for path in shell.home.rglob("*") if path.suffix in suspicious] == []


def test_doctor_finds_everything_well(played):
    assert all(finding["ok"] for finding in played[0].json("doctor"))


def test_a_changed_threshold_changes_the_outcome(tmp_path):
    """The same data, the same code, one number in the policy: version 1 stays a candidate."""
    project = tmp_path / "project"
    ignored = shutil.ignore_patterns(
        ".venv", ".git", ".tidegate", "__pycache__", "src", "tests", ".*_cache", "anchors", ".hypothesis"
    )
    shutil.copytree(ROOT, project, symlinks=True, ignore=ignored)
    policy = project / "models" / "policy" / "policy.yaml"
    lenient = policy.read_text()
    policy.write_text(
        lenient.replace("packet.metrics.roc_auc.n >= 5000", "packet.metrics.roc_auc.n >= 14200")
    )
    assert policy.read_text() != lenient
    shell = Shell(tmp_path / "home", project)
    done = shell.run("demo", timeout=900)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "P2  enough_rows failed: got packet.metrics.roc_auc.n = 14188" in done.stderr
    assert shell.json("versions", "flight_delay")[0]["stage"] == "candidate"
