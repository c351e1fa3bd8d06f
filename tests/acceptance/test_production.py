"""The production profile on a real PostgreSQL and a real Redis: the ledger, MLflow, online features, tokens only."""

import json
import re
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

from tidegate.testing.databases import new_database
from tidegate.testing.shell import Shell

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def production(postgres_url, redis_address, tmp_path, played):
    """A production project: nothing is local but artifacts and work files."""
    with new_database(postgres_url) as registry:
        variables = {
            "TIDEGATE_PROFILE": "production",
            "TIDEGATE_LEDGER_URL": postgres_url,
            "TIDEGATE_MLFLOW_URL": registry,
            "TIDEGATE_ARTIFACTS": str(tmp_path / "artifacts"),
            "TIDEGATE_ONLINE_URL": redis_address,
        }
        yield Shell(tmp_path / "home", ROOT), variables, played[0].home / "landing"


def test_the_same_loop_runs_on_postgresql(production, postgres_url):
    shell, variables, landing = production
    refused = shell.run("status", **variables)
    assert refused.returncode == 2
    assert "got no ledger" in refused.stderr

    now = {**variables, "TIDEGATE_NOW": "2013-01-02T06:00:00Z"}
    (admin,) = shell.json("open", **now)["tokens"].values()
    assert shell.json("open", **now) == {"opened": False, "policy": "reference 3", "tokens": {}}
    nobody = shell.run("status", **now)
    assert (nobody.returncode, "TIDEGATE_TOKEN" in nobody.stderr) == (2, True)

    # One process for many commands: what is asked of them lies in PostgreSQL, and the tools are imported once.
    services = {
        "feed": "ingest_service",
        "views": "feature_service",
        "scores": "scoring_service",
        "rollout": "rollout_service",
    }
    people = {"Dana": "data_scientist", "Amir": "approver", "Otto": "operator"}
    added = [("user", "add", name, "--role", role, "--service") for name, role in services.items()]
    added += [("user", "add", name, "--role", role) for name, role in people.items()]
    made = shell.several(*((words, {**now, "TIDEGATE_TOKEN": admin}) for words in added))
    feed, views, scores, rollout, dana, amir, otto = (each["token"] for each in made)

    def act(who, moment, *words):
        return words, {**now, "TIDEGATE_NOW": moment, "TIDEGATE_TOKEN": who}

    def arrives(moment, *drops):
        for dataset, period in drops:
            drop = landing / dataset / f"{dataset}-{period}.zip"
            yield act(feed, moment, "ingest", dataset, str(drop))

    monthly, spring, may = ("flights", "weather", "arrivals"), "2013-04-04T12:00:00Z", "2013-05-04T07:00:00Z"
    *_, trained, promoted = shell.several(
        *arrives("2013-01-02T06:00:00Z", ("airports", "2013"), ("planes", "2013")),
        *arrives("2013-02-04T06:00:00Z", *((name, "2013-01") for name in monthly)),
        *arrives("2013-03-04T06:00:00Z", *((name, "2013-02") for name in monthly)),
        *arrives("2013-04-04T06:00:00Z", *((name, "2013-03") for name in monthly)),
        act(views, spring, "run", "materialize"),
        act(dana, spring, "train", "flight_delay"),
        act(dana, spring, "promote", "flight_delay", "1"),
    )
    assert (trained["version"], promoted["stage"]) == (1, "canary")
    *_, (step,), approved, stopped = shell.several(
        *arrives("2013-05-04T06:00:00Z", *((name, "2013-04") for name in monthly)),
        act(views, may, "run", "materialize"),
        act(scores, may, "run", "score", "model=flight_delay", "period=2013-04"),
        act(rollout, may, "run", "canary", "model=flight_delay"),
        act(amir, may, "approve", "flight_delay", "1", "--reason", "Read the packet; go."),
        act(otto, may, "rollback", "flight_delay", "--stop", "--reason", "A drill."),
    )
    assert (step["verdict"], step["stage"], step["promotion"] != "") == ("passed", "canary", True)
    assert (approved["stage"], stopped["stage"]) == ("prod", "candidate")
    after = {**now, "TIDEGATE_NOW": may, "TIDEGATE_TOKEN": admin}
    assert shell.json("audit", "verify", **after)["faults"] == []

    engine = sa.create_engine(postgres_url)
    with engine.connect() as connection:
        bodies = " ".join(connection.scalars(sa.text("SELECT body FROM events")))
    engine.dispose()
    assert not re.search("Dana|Amir|Otto|tg_", bodies), "names and tokens never enter the chain"
    assert not any(secret in bodies for secret in (admin, feed, dana, amir))

    url, prefix = variables["TIDEGATE_ONLINE_URL"].split("?prefix=")
    client = redis.Redis.from_url(url)
    windows = [json.loads(client.get(key)) for key in client.scan_iter(f"{prefix}:*:window")]
    client.close()
    assert len(windows) == 5, "what is online lies in Redis"
    assert len({window["until"] for window in windows}) == 1
    overlay = (shell.home / "feast" / "feature_store.yaml").read_text()
    assert "${TIDEGATE_ONLINE_URL}" in overlay, "the address stays in its variable"
    assert prefix not in overlay
