"""The production profile on a real PostgreSQL: the ledger on one database, MLflow on another, tokens only."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from tidegate.testing.databases import new_database
from tidegate.testing.shell import Shell

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def production(postgres_url, tmp_path, played):
    """A production project: nothing is local but artifacts and work files."""
    with new_database(postgres_url) as registry:
        variables = {
            "TIDEGATE_PROFILE": "production",
            "TIDEGATE_LEDGER_URL": postgres_url,
            "TIDEGATE_MLFLOW_URL": registry,
            "TIDEGATE_ARTIFACTS": str(tmp_path / "artifacts"),
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

    def token(name, role, *more):
        words = ("user", "add", name, "--role", role, *more)
        return shell.json(*words, **now, TIDEGATE_TOKEN=admin)["token"]

    feed = token("feed", "ingest_service", "--service")
    views = token("views", "feature_service", "--service")
    scores = token("scores", "scoring_service", "--service")
    rollout = token("rollout", "rollout_service", "--service")
    dana, amir, otto = token("Dana", "data_scientist"), token("Amir", "approver"), token("Otto", "operator")

    def act(who, moment, *words):
        return shell.json(*words, **{**now, "TIDEGATE_NOW": moment, "TIDEGATE_TOKEN": who})

    def arrives(moment, *drops):
        for dataset, period in drops:
            drop = landing / dataset / f"{dataset}-{period}.zip"
            act(feed, moment, "ingest", dataset, str(drop))

    arrives("2013-01-02T06:00:00Z", ("airports", "2013"), ("planes", "2013"))
    for month, moment in (("01", "2013-02"), ("02", "2013-03"), ("03", "2013-04")):
        arrives(
            f"{moment}-04T06:00:00Z",
            *((name, f"2013-{month}") for name in ("flights", "weather", "arrivals")),
        )
    spring = "2013-04-04T12:00:00Z"
    act(views, spring, "run", "materialize")
    assert act(dana, spring, "train", "flight_delay")["version"] == 1
    assert act(dana, spring, "promote", "flight_delay", "1")["stage"] == "canary"
    arrives("2013-05-04T06:00:00Z", *((name, "2013-04") for name in ("flights", "weather", "arrivals")))
    may = "2013-05-04T07:00:00Z"
    act(views, may, "run", "materialize")
    act(scores, may, "run", "score", "model=flight_delay", "period=2013-04")
    (step,) = act(rollout, may, "run", "canary", "model=flight_delay")
    assert (step["verdict"], step["stage"], step["promotion"] != "") == ("passed", "canary", True)
    approved = act(amir, may, "approve", "flight_delay", "1", "--reason", "Read the packet; go.")
    assert approved["stage"] == "prod"
    words = ("rollback", "flight_delay", "--stop", "--reason", "A drill.")
    assert act(otto, may, *words)["stage"] == "candidate"
    assert act(admin, may, "audit", "verify")["faults"] == []

    engine = sa.create_engine(postgres_url)
    with engine.connect() as connection:
        bodies = " ".join(connection.scalars(sa.text("SELECT body FROM events")))
    engine.dispose()
    assert not re.search("Dana|Amir|Otto|tg_", bodies), "names and tokens never enter the chain"
    assert not any(secret in bodies for secret in (admin, feed, dana, amir))
