"""What a profile says of sinks and online features: whole or refused; a variable that is not set stops nobody."""

from __future__ import annotations

import pytest

from tidegate.adapters.feast_store import repository
from tidegate.adapters.log_sink import LogSink
from tidegate.adapters.prefect_sink import PrefectSink
from tidegate.adapters.webhook_sink import WebhookSink
from tidegate.bootstrap import Tidegate
from tidegate.domain.errors import BadInput
from tidegate.settings import OFFLINE, SinkSettings, load

PROFILE = """
assurance = "local"
ledger = "sqlite:///{home}/record.db"
registry = "sqlite:///{home}/mlflow/mlflow.db"
artifacts = "{home}/mlflow/artifacts"
reader = "aude"
accounts = [{ name = "ada", kind = "person", roles = ["administrator"] }]
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.tidegate]\n")
    (tmp_path / "profiles").mkdir()

    def holding(sinks):
        (tmp_path / "profiles" / "embedded.toml").write_text(PROFILE + sinks)
        return tmp_path

    return holding


def sinks(project, **environment):
    return load(project, environment).profile.sinks


def fault(project, **environment):
    with pytest.raises(BadInput) as caught:
        sinks(project, **environment)
    assert caught.value.code == "bad-profile"
    assert caught.value.hint
    return caught.value.sentence


def test_each_kind_is_read_with_what_it_is_told_by(project):
    written = """sinks = [
      { name = "log", kind = "log", file = "{home}/events.jsonl" },
      { name = "pager", kind = "webhook", url = "https://${HOST}/hook", secret = "${PAGER_SECRET}" },
      { name = "prefect", kind = "prefect" },
    ]"""
    home = project(written) / ".tidegate"
    assert sinks(project(written), HOST="hooks.example.org", PAGER_SECRET="whsec_x") == (
        SinkSettings("log", "log", file=f"{home}/events.jsonl"),
        SinkSettings("pager", "webhook", url="https://hooks.example.org/hook", secret="whsec_x"),
        SinkSettings("prefect", "prefect"),
    )


@pytest.mark.parametrize("environment", [{}, {"ONLINE": "redis://:hidden@host:6379/0"}])
def test_the_address_of_online_features_keeps_its_variable_whether_it_is_set_or_not(project, environment):
    found = load(project('online = "${ONLINE}"'), environment).profile
    assert found.online == "${ONLINE}"
    assert "hidden" not in repr(found)
    assert load(project(""), environment).profile.online == ""


def test_a_profile_may_say_where_offline_features_lie(project):
    assert load(project('offline = "postgresql"'), {}).profile.offline == "postgresql"
    assert load(project(""), {}).profile.offline == ""


def test_the_places_of_offline_features_are_those_that_the_feature_store_knows():
    assert set(OFFLINE) == set(repository.OFFLINE)


@pytest.mark.parametrize("offline", ["nonsense", "DuckDB", "postgresql://tide:hunter2@db/features", " "])
def test_another_place_of_offline_features_is_refused_where_settings_are_read(project, offline):
    sentence = fault(project(f'offline = "{offline}"'))
    assert sentence.endswith("as offline in embedded.toml, expected one of: duckdb, postgresql, spark")
    assert ("'nonsense'" in sentence) == (offline == "nonsense")
    assert "hunter2" not in sentence


def test_a_profile_that_says_nothing_of_sinks_has_none(project):
    assert sinks(project("")) == ()
    assert sinks(project("sinks = []")) == ()


@pytest.mark.parametrize("environment", [{}, {"HOST": ""}, {"HOST": "h"}, {"PAGER_SECRET": "whsec_x"}])
def test_a_variable_of_a_sink_that_is_not_set_stops_nobody(project, environment):
    """A rollback does not wait for somebody to set a webhook's address."""
    written = (
        'sinks = [{ name = "pager", kind = "webhook", url = "https://${HOST}/", secret = "${PAGER_SECRET}" }]'
    )
    (found,) = sinks(project(written), **environment)
    assert found.url == ("https://h/" if environment.get("HOST") else "")
    assert found.secret == environment.get("PAGER_SECRET", "")


def test_neither_address_nor_secret_is_shown_by_what_holds_them(project):
    written = (
        'sinks = [{ name = "pager", kind = "webhook", url = "https://h/${PATH_TOKEN}", secret = "${S}" }]'
    )
    settings = load(project(written), {"PATH_TOKEN": "hunter2", "S": "whsec_hunter3"})
    assert "hunter" not in repr(settings)


@pytest.mark.parametrize(
    ("written", "got"),
    [
        ('sinks = "log"', "got 'log' in `sinks`"),
        ("sinks = [1]", "got 1 in `sinks`"),
        (
            'sinks = [{ name = "log", kind = "log", file = 5 }]',
            "got {'name': 'log', 'kind': 'log', 'file': 5}",
        ),
        ('sinks = [{ kind = "log", file = "f" }]', "got the name ''"),
        ('sinks = [{ name = "Log", kind = "log", file = "f" }]', "got the name 'Log'"),
        ('sinks = [{ name = "registry", kind = "log", file = "f" }]', "got the name 'registry'"),
        ('sinks = [{ name = "../x", kind = "log", file = "f" }]', "got the name '../x'"),
        ('sinks = [{ name = "a", kind = "fax" }]', "got the kind 'fax'"),
        ('sinks = [{ name = "a" }]', "got the kind ''"),
        ('sinks = [{ name = "a", kind = "log" }]', "got no file of a log"),
        ('sinks = [{ name = "a", kind = "prefect", api = "x" }]', "got unknown api of a prefect"),
        ('sinks = [{ name = "a", kind = "webhook", url = "https://h/" }]', "got no secret of a webhook"),
        (
            'sinks = [{ name = "a", kind = "webhook", url = "https://h/", secret = "whsec_hunter2" }]',
            "got a secret that is not just ${VARIABLE}",
        ),
        (
            'sinks = [{ name = "a", kind = "prefect" }, { name = "a", kind = "log", file = "f" }]',
            "got two sinks called 'a'",
        ),
    ],
)
def test_what_is_not_known_is_refused_and_a_secret_is_not_repeated(project, written, got):
    sentence = fault(project(written))
    assert got in sentence
    assert "embedded.toml" in sentence
    assert "hunter2" not in sentence


def test_all_faults_of_sinks_are_named_at_once(project):
    written = 'sinks = [{ name = "A", kind = "log" }, { name = "b", kind = "fax" }]'
    sentence = fault(project(written))
    for got in ("the name 'A'", "no file of a log", "the kind 'fax'"):
        assert got in sentence


def test_a_key_that_no_profile_has_is_still_refused(project):
    assert "unknown or missing sink in embedded.toml" in fault(project("sink = []"))


def test_the_root_makes_the_sinks_that_the_profile_names(project, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    monkeypatch.setenv("PREFECT_HOME", "prefect")  # else the root sets it, for every test after this one too
    written = """sinks = [
      { name = "log", kind = "log", file = "{home}/events.jsonl" },
      { name = "pager", kind = "webhook", url = "${URL}", secret = "${S}" },
      { name = "flows", kind = "prefect" },
    ]"""
    made = Tidegate(load(project(written), {})).sinks
    assert [(type(each), each.name) for each in made] == [
        (LogSink, "log"),
        (WebhookSink, "pager"),
        (PrefectSink, "flows"),
    ]


# ── files that are no settings ────────────────────────────────────────────────────────────────────

ACCOUNT = '{ name = "ada", kind = "person", roles = ["administrator"] }'


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"ledger = ", "got embedded.toml, which is no TOML (Invalid value (at end of document)), expected"),
        (b'ledger = "\xff"', "which is no TOML ('utf-8' codec can't decode byte 0xff"),
        (b"\xef\xbb\xbfledger = 1", "which is no TOML (Invalid statement (at line 1, column 1))"),
        (b"\x00", "which is no TOML"),
        (b"a = " + b"[" * 9999, "got values nested too deep in embedded.toml"),
        (b"a = " + b"9" * 9999, "which is no TOML"),
        (b"", "got unknown or missing accounts, artifacts, assurance"),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_a_profile_that_is_no_toml_is_a_sentence(project, data, got):
    folder = project("")
    (folder / "profiles" / "embedded.toml").write_bytes(data)
    assert got in fault(folder)


@pytest.mark.parametrize(
    ("old", "new", "got"),
    [
        ('name = "ada", ', "", "got no name of an account in `accounts` of embedded.toml"),
        ('kind = "person", ', "", "got no kind of an account"),
        ('roles = ["administrator"]', "roles = 5", "got the roles 5 in"),
        ('roles = ["administrator"]', 'roles = "administrator"', "got the roles 'administrator' in"),
        ('roles = ["administrator"]', "roles = [5]", "got the roles [5] in"),
        ('name = "ada"', "name = 5", "got the name 5 in"),
        ('kind = "person"', "kind = true", "got the kind True in"),
        ('kind = "person"', 'kind = "person", same = "p-1"', "got unknown same of an account"),
        (f"[{ACCOUNT}]", "5", "got 5 in `accounts`"),
        (f"[{ACCOUNT}]", "[[1]]", "got [1] in `accounts`"),
        (f"[{ACCOUNT}]", '[{ }, "x"]', "got no name of an account; no kind of an account; no roles of an account; 'x'"),
        ('reader = "aude"', "reader = 5", "got no text as reader in embedded.toml"),
        ('assurance = "local"', "assurance = 1979-05-27", "got no text as assurance in embedded.toml"),
    ],
)  # fmt: skip
def test_an_account_or_a_value_of_another_kind_is_a_sentence(project, old, new, got):
    folder = project("")
    assert old in PROFILE
    (folder / "profiles" / "embedded.toml").write_text(PROFILE.replace(old, new))
    assert got in fault(folder)


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"[tool.tidegate", "got pyproject.toml, which is no TOML"),
        (b"\xff", "got pyproject.toml, which is no TOML"),
        (b"tool = 5", "got a folder outside any Tidegate project"),
        (b"[tool]\ntidegate = 5", "got a tool.tidegate that is no table"),
        (b"[tool.tidegate]\nprofile = 5", "got a profile that is no text in [tool.tidegate]"),
        (b"[tool.tidegate]\nfolders = 5", "got folders that are no table in [tool.tidegate]"),
        (b"[tool.tidegate.folders]\nmodels = 5\nx = 1", "got folders.x, a folders.models that is no text"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_project_that_says_something_else_is_a_sentence(project, data, got):
    folder = project("")
    (folder / "pyproject.toml").write_bytes(data)
    with pytest.raises(BadInput) as caught:
        load(folder, {})
    assert got in caught.value.sentence
    assert caught.value.code in {"bad-settings", "no-project"}


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z", "tide"]
)
def test_a_moment_from_which_nothing_can_be_reckoned_is_a_sentence(project, moment):
    with pytest.raises(BadInput) as caught:
        load(project(""), {"TIDEGATE_NOW": moment})
    assert caught.value.code == "not-a-time"
    assert caught.value.sentence.startswith(f"got {moment}" if "4:00" in moment else f"got {moment!r}")
