"""Bad input at the command line: one clear sentence, the right exit code, nothing lost."""

import contextlib
import json
import sqlite3

import pytest

from tidegate.testing.shell import Shell

pytestmark = pytest.mark.slow


def refused(done, code, *parts):
    """Assert an exit code, and that what was said on standard error holds every part."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    for part in parts:
        assert part in done.stderr


@pytest.fixture(scope="module")
def mistaken(copy_of_played, tmp_path_factory):
    """One home for all that is refused."""
    return copy_of_played(tmp_path_factory.mktemp("mistaken") / "home")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["promote", "nobody", "1", "--as", "dana"], 2, "got the model `nobody`, expected a registered one"),
        (
            ["promote", "flight_delay", "9", "--as", "dana"],
            2,
            "got version 9 of `flight_delay`, expected one of: 1, 2, 3, 4",
        ),
        (["promote", "flight_delay", "4"], 2, "got nobody to act as"),
        (["promote", "flight_delay", "4", "--as", "mallory"], 1, "got the local user `mallory`"),
        (["promote", "flight_delay", "4", "--as", "rita"], 1, "holds no role that permits"),
        (["promote", "flight_delay", "4", "--to", "moon", "--as", "dana"], 2, "moon"),
        (["approve", "flight_delay", "1", "--as", "amir", "--reason", "again"], 1, "leads nowhere"),
        (
            ["approve", "flight_delay", "3", "--as", "amir", "--reason", "early"],
            1,
            "no promotion of version 3 waits",
        ),
        (["approve", "flight_delay", "4", "--as", "amir", "--reason", "  "], 2, "got no reason"),
        (
            ["review", "R-9", "--outcome", "benign", "--reason", "x", "--as", "rita"],
            2,
            "got the review `R-9`",
        ),
        (
            ["review", "R-1", "--outcome", "benign", "--reason", "x", "--as", "rita"],
            1,
            "R-1 was decided as retrain",
        ),
        (["rollback", "flight_delay", "--as", "dana", "--reason", "x"], 1, "holds no role that permits"),
        (["ingest", "trains", "README.md", "--as", "svc-ingest"], 2, "trains"),
        (
            ["ingest", "flights", "/nowhere/flights-2013-01.zip", "--as", "svc-ingest"],
            2,
            "flights-2013-01.zip",
        ),
        (
            ["quarantine", "trains"],
            2,
            "got the dataset `trains`, expected one with a drop on record: airports",
        ),
        (
            ["run", "fly", "--as", "svc-score"],
            2,
            "got the flow `fly`, expected one of: canary, collect, follow, ingest",
        ),
        (
            ["run", "monitor", "modell=flight_delay", "--as", "svc-monitor"],
            2,
            "got the parameter `modell` for the flow `monitor`, expected one of: model, period",
        ),
        (
            ["run", "score", "model=flight_delay", "period=spring", "--as", "svc-score"],
            2,
            "got the period `spring`",
        ),
        (
            ["features", "online", "nothing", "origin=JFK", "--as", "svc-score"],
            2,
            "`tidegate run materialize` registers what features/ defines",
        ),
        (["user", "add", "eve", "--role", "king", "--as", "ada"], 2, "got `king`"),
        (
            ["user", "add", "bot", "--service", "--role", "approver", "--as", "ada"],
            2,
            "got `approver` for a service",
        ),
        (["user", "add", "eve", "--role", "approver", "--as", "dana"], 1, "holds no role that permits"),
        (["user", "revoke", "p-99", "--as", "ada"], 2, "got the actor `p-99`"),
        (["user", "roles", "p-99", "--set", "auditor", "--as", "ada"], 2, "got a name that nobody has"),
        (["user", "roles", "--set", "auditor", "--as", "ada"], 2, "got roles to set but no account"),
        (["user", "roles", "amir", "--set", ",", "--as", "ada"], 2, "got no role"),
        (["user", "roles", "amir", "--set", "reviewer", "--as", "dana"], 1, "holds no role that permits"),
        (["user", "roles", "ada", "--set", "reviewer", "--as", "ada"], 1, "A3  p-1 gives `reviewer`"),
        (["audit", "verify", "--anchor", "README.md", "--key", "README.md"], 2, "is no anchor"),
        (
            ["demote", "flight_delay", "1", "--to", "staging", "--reason", "x", "--as", "otto"],
            1,
            "P1  got: demote",
        ),
        (["demote", "flight_delay", "4", "--reason", "x", "--as", "otto"], 2, "--to"),
        (["retire", "flight_delay", "1", "--reason", "x", "--as", "otto"], 1, "P1  got: retire version 1"),
        (["retire", "flight_delay", "3", "--reason", "x", "--as", "dana"], 1, "holds no role that permits"),
        (["log", "--model", "nobody"], 2, "got the model `nobody`"),
        (["log", "--last", "-3"], 2, "--last"),
        (["run", "score", "flight_delay", "--as", "svc-score"], 2, "got `flight_delay`, expected NAME=VALUE"),
        (["frobnicate"], 2, "No such command"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_each_mistake_gets_one_sentence_and_its_exit_code(mistaken, words, code, said):
    refused(mistaken.run(*words), code, said)


def test_after_all_these_mistakes_the_record_is_sound_and_everything_stands_where_it_stood(mistaken, played):
    """They were made on one home, one after the other: none of them moved anything."""
    assert mistaken.json("audit", "verify")["faults"] == []
    before, after = played[0].json("status"), mistaken.json("status")
    moving = {"projected_to": 0, "sinks": []}  # refusals are events, and are told
    assert {**after, **moving} == {**before, **moving}
    added = mistaken.json("log")[len(played[0].json("log")) :]
    assert {event["type"] for event in added} == {"action.refused"}


def test_an_anchor_inside_the_home_does_not_count(shell):
    inside = shell.home / "head.json"
    inside.write_text("{}")
    refused(
        shell.run("audit", "verify", "--anchor", str(inside), "--key", str(inside)), 2, "inside TIDEGATE_HOME"
    )
    refused(
        shell.run("audit", "anchor", "--as", "aude", "--to", str(shell.home / "x")), 2, "inside TIDEGATE_HOME"
    )


def test_one_s_own_work_cannot_be_approved_and_the_refusal_is_recorded(shell):
    assert shell.json("promote", "flight_delay", "4", "--as", "dana")["stage"] == "canary"
    before = len(shell.json("log"))
    refused(
        shell.run("approve", "flight_delay", "4", "--as", "dana", "--reason", "mine"),
        1,
        "P4  p-2 cannot approve version 4",
        "next: ask an approver who had no part in it",
    )
    log = shell.json("log")
    assert len(log) == before + 1
    assert log[-1]["type"] == "action.refused"
    assert "P4" in shell.run("why", "flight_delay", "4").stdout


def test_who_starts_a_flow_cannot_approve_what_comes_of_it_and_names_nobody_else(shell):
    shell.json("user", "add", "alba", "--role", "approver", "--role", "data_scientist", "--as", "ada")
    shell.json("run", "promote", "model=flight_delay", "version=4", "--as", "alba")
    refused(shell.run("approve", "flight_delay", "4", "--as", "alba", "--reason", "go"), 1, "P4", "requested")
    framed = ["run", "train", "model=flight_delay", "on_behalf_of=p-3", "--as", "dana"]
    refused(shell.run(*framed), 2, "got on_behalf_of as a parameter")


def test_what_people_type_never_enters_the_chain_as_it_stands(shell):
    words = "Jane Doe, born 1970"
    shell.run("ingest", words, "README.md", "--as", "dana")
    shell.run("train", words, "--as", "amir")
    shell.run("promote", "flight_delay", "4", "--as", "dana", "--idempotency-key", words)
    with contextlib.closing(sqlite3.connect(shell.home / "record.db")) as database:
        bodies = " ".join(row[0] for row in database.execute("SELECT body FROM events"))
    assert "Jane" not in bodies


def test_the_home_is_for_this_account_only(shell):
    shell.json("status")
    assert shell.home.stat().st_mode & 0o077 == 0


def test_a_simulated_clock_never_goes_back(shell):
    shell.json("promote", "flight_delay", "4", "--as", "dana", TIDEGATE_NOW="2001-01-01T00:00:00Z")
    assert shell.json("log")[-1]["occurred_at"].startswith("2014-01-04")


def test_nobody_approves_twice(shell):
    shell.json("user", "add", "alba", "--role", "approver", "--as", "ada")
    shell.json("promote", "flight_delay", "4", "--as", "dana")
    assert shell.json("approve", "flight_delay", "4", "--as", "alba", "--reason", "go")["stage"] == "prod"
    refused(
        shell.run("approve", "flight_delay", "4", "--as", "alba", "--reason", "go"),
        1,
        "P1  got: approve version 4",
    )


def test_a_revoked_token_acts_no_more(shell):
    shell.json("user", "revoke", "p-3", "--as", "ada")
    refused(shell.run("approve", "flight_delay", "4", "--as", "amir", "--reason", "go"), 1, "A2")


def test_a_ledger_newer_than_the_code_is_left_alone(shell):
    with sqlite3.connect(shell.home / "record.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    refused(shell.run("status"), 3, "got a ledger at schema 9999", "upgrade")


def test_a_ledger_that_is_no_database_fails_in_one_sentence(shell):
    for name in ("record.db-wal", "record.db-shm"):
        (shell.home / name).unlink(missing_ok=True)
    (shell.home / "record.db").write_bytes(b"this is not a database, and long enough to be read as one" * 40)
    refused(shell.run("status"), 3, "could not")


def test_a_broken_registry_stops_promotion_but_loses_nothing(shell):
    (shell.home / "mlflow" / "mlflow.db").write_bytes(b"broken" * 1000)
    done = shell.run("promote", "flight_delay", "4", "--as", "dana")
    assert done.returncode in {1, 3}, done.stdout + done.stderr
    assert shell.json("audit", "verify")["faults"] == []
    # Rolling back must not depend on MLflow: the act stands, the registry is told later (P5).
    shell.json("user", "list")
    stopped = shell.run("rollback", "flight_delay", "--stop", "--as", "otto", "--reason", "MLflow is down")
    assert stopped.returncode == 0, stopped.stderr
    assert "not told to the registry yet" in stopped.stderr
    assert "prod" not in shell.json("status")["models"]["flight_delay"]["stages"]


def test_a_real_clock_never_writes_into_a_simulated_ledger(shell):
    # Without TIDEGATE_NOW the ledger's own clock stands still; that is a clock of its kind.
    assert shell.run("promote", "flight_delay", "4", "--as", "dana").returncode == 0
    assert shell.json("log")[-1]["occurred_at"].startswith("2014-01-04")


def test_reading_before_anything_happened_says_how_to_begin(empty):
    refused(empty.run("status"), 2, "got no ledger", "tidegate demo")
    assert list(empty.home.rglob("*")) == []


def test_outside_a_project_there_is_nothing_to_do(tmp_path, empty):
    refused(Shell(empty.home, tmp_path).run("status"), 2, "outside any Tidegate project")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TIDEGATE_PROFILE", "lunar", "got the profile `lunar`"),
        ("TIDEGATE_PROFILE", "../../etc/passwd", "got the profile"),
        ("TIDEGATE_PROFILE", "production", "got no environment variable TIDEGATE_LEDGER_URL"),
        ("TIDEGATE_NOW", "yesterday", "got 'yesterday'"),
        ("TIDEGATE_NOW", "2013-01-01T00:00:00", "without a zone"),
    ],
)
def test_settings_that_cannot_be_used_are_named(empty, variable, value, said):
    refused(empty.run("status", **{variable: value}), 2, said)


def test_json_errors_have_one_shape(shell):
    done = shell.run("promote", "nobody", "1", "--as", "dana", "--json")
    assert done.returncode == 2
    assert set(json.loads(done.stdout)) == {"code", "error", "hint", "data"}


def test_tokens_and_keys_are_readable_by_their_owner_only(shell):
    shell.json("user", "list")
    private = [*(shell.home / "tokens").iterdir(), shell.home / "keys" / "ledger.pem"]
    assert len(private) == 14
    assert all(path.stat().st_mode & 0o077 == 0 for path in private)
