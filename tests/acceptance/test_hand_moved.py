"""What another hand moves in MLflow, on the played year: found, on record, put right; and what was in prod when."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload``"),  # MLflow's own, on SQLAlchemy 2.1
]


def mlflow_of(shell):
    """Return a plain MLflow client, as anybody might hold one."""
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{shell.home / 'mlflow' / 'mlflow.db'}")


def in_prod(shell, model="flight_delay"):
    return int(mlflow_of(shell).get_model_version_by_alias(model, "prod").version)


def repaired(shell):
    return [event for event in shell.json("log") if event["type"] == "registry.repaired"]


def test_reconcile_records_what_was_moved_puts_it_right_and_says_how_to_ask_for_it(shell):
    mlflow_of(shell).set_registered_model_alias("flight_delay", "prod", "3")
    done = shell.run("reconcile", "--as", "otto")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "I-1: flight_delay was changed behind the ledger's back, and is repaired\n"
        "  the alias prod of flight_delay was on version 3, the ledger says version 2\n"
        "  who wants version 3 in prod asks for it: tidegate promote flight_delay 3 --to prod --as NAME\n"
    )
    assert in_prod(shell) == 2
    again = shell.run("reconcile", "--as", "otto")
    assert (again.returncode, again.stdout) == (0, "the registry says what the ledger says\n")
    (event,) = repaired(shell)
    assert "repaired the registry (I-1): the alias prod of flight_delay was on version 3" in event["sentence"]
    told = "the alias prod of flight_delay was on version 3, the ledger says version 2"
    assert f"incident I-1 on 2014-01-04: {told}" in shell.run("status").stdout
    assert shell.json("status")["incidents"][0]["facts"] == [told]
    page = (shell.home / "desk" / "index.html").read_text() if shell.run("desk") else ""
    assert told in page
    assert shell.run("audit", "verify").returncode == 0


def test_doctor_finds_a_deleted_alias_and_a_changed_tag_once(shell):
    client = mlflow_of(shell)
    client.delete_registered_model_alias("origin_delay", "prod")
    client.set_model_version_tag("flight_delay", "1", "tidegate.stage", "prod")
    done = shell.run("doctor")
    assert done.returncode == 3
    for fact in (
        "the alias prod of origin_delay was gone, the ledger says version 1",
        "version 1 of flight_delay was tagged prod, the ledger says retired",
    ):
        assert fact in done.stdout
    assert "tidegate rollback origin_delay --stop" in done.stdout
    assert all(finding["ok"] for finding in shell.json("doctor"))
    assert len(repaired(shell)) == 2
    assert in_prod(shell, "origin_delay") == 1


def test_an_alias_that_is_the_teams_own_is_left_alone(shell):
    mlflow_of(shell).set_registered_model_alias("flight_delay", "favourite", "1")
    assert shell.run("reconcile", "--as", "otto").stdout == "the registry says what the ledger says\n"
    assert int(mlflow_of(shell).get_model_version_by_alias("flight_delay", "favourite").version) == 1


def test_two_processes_that_look_at_once_record_one_incident(shell):
    mlflow_of(shell).set_registered_model_alias("flight_delay", "prod", "1")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: shell.run("reconcile", "--as", "otto"), range(2)))
    assert [each.returncode for each in done] == [0, 0], done
    assert sum("behind the ledger's back" in each.stdout for each in done) == 1
    assert len(repaired(shell)) == 1
    assert in_prod(shell) == 2


def test_a_rollback_finds_what_was_moved_before_it_and_the_aliases_follow_the_rollback(shell):
    client = mlflow_of(shell)
    client.set_registered_model_alias("flight_delay", "staging", "4")
    done = shell.run("rollback", "flight_delay", "--as", "otto", "--reason", "odd scores")
    assert done.returncode == 0
    assert (
        "incident I-1: the alias staging of flight_delay was on version 4, the ledger says none"
        in done.stderr
    )
    assert in_prod(shell) == 1
    assert "staging" not in client.get_registered_model("flight_delay").aliases


def test_while_mlflow_is_away_a_rollback_stands_and_status_says_what_is_owed(shell):
    store = shell.home / "mlflow" / "mlflow.db"
    store.rename(store.with_suffix(".away"))
    done = shell.run("rollback", "flight_delay", "--as", "otto", "--reason", "odd scores")
    assert done.returncode == 0
    assert "recorded, but not told to the registry yet" in done.stderr
    assert "not told to registry yet: 1 event; got no MLflow store" in shell.run("status").stdout
    store.with_suffix(".away").rename(store)
    assert shell.run("reconcile", "--as", "otto").stdout == "the registry says what the ledger says\n"
    assert in_prod(shell) == 1
    assert "registry" not in shell.run("status").stdout
    assert repaired(shell) == []


@pytest.mark.parametrize(
    ("at", "version", "who"),
    [
        ("2013-04-01T00:00:00Z", None, None),
        ("2013-07-01T00:00:00Z", 1, "amir"),
        ("2013-12-01T00:00:00Z", 2, "amir"),
    ],
)
def test_what_was_in_prod_in_the_played_year(played, at, version, who):
    shell, _ = played
    found = shell.json("prod", "flight_delay", "--at", at)
    assert (found["in_prod"] or {}).get("version") == version
    if version is None:
        return
    log = {event["sequence"]: event for event in shell.json("log")}
    row = found["in_prod"]
    assert log[row["put"]["sequence"]]["type"] == "promotion.applied"
    assert log[row["put"]["sequence"]]["occurred_at"] <= at
    (approver,) = row["approvers"]
    assert who in log[approver["at"]["sequence"]]["sentence"]
    assert f"in prod: version {version}" in shell.run("prod", "flight_delay", "--at", at).stdout


@pytest.mark.parametrize("at", ["yesterday", "#0", "#99999", "2099-01-01T00:00:00Z"])
def test_a_moment_that_is_none_is_one_sentence(played, at):
    done = played[0].run("prod", "flight_delay", "--at", at)
    assert done.returncode == 2
    assert done.stderr.startswith("not usable: got ")


def test_the_log_of_the_year_holds_every_event_once_and_in_order(played):
    shell, _ = played
    told = [json.loads(line) for line in (shell.home / "events.jsonl").read_text().splitlines()]
    log = shell.json("log")
    assert [each["id"] for each in told] == [event["hash"] for event in log]
    names = {each["name"] for each in shell.json("user", "list")}
    text = (shell.home / "events.jsonl").read_text()
    assert not [name for name in names if not name.startswith("svc-") and f'"{name}"' in text]
