"""What a profile says of sinks: read whole or refused whole, and a variable that is not set stops nobody."""

from __future__ import annotations

import pytest

from tidegate.adapters.log_sink import LogSink
from tidegate.adapters.prefect_sink import PrefectSink
from tidegate.adapters.webhook_sink import WebhookSink
from tidegate.bootstrap import Tidegate
from tidegate.domain.errors import BadInput
from tidegate.settings import SinkSettings, load

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


@pytest.mark.parametrize("text", [b"ledger = \n", b"ledger = '\xff'\n", b"[[["])
def test_a_profile_that_is_no_toml_is_told_in_a_sentence(project, text):
    folder = project("")
    (folder / "profiles" / "embedded.toml").write_bytes(text)
    with pytest.raises(BadInput, match=r"got embedded\.toml, which cannot be read .* expected TOML in UTF-8"):
        load(folder, {})


@pytest.mark.parametrize(
    "account",
    [
        '{ kind = "person", roles = ["auditor"] }',
        '{ name = "x", kind = "person", roles = 5 }',
        '{ name = "x", kind = "person", roles = [5] }',
        '{ name = "x", kind = "person", roles = ["auditor"], more = 1 }',
        '"x"',
    ],
)
def test_an_account_that_is_none_is_told_with_its_place(project, account):
    folder = project("")
    first = '{ name = "ada", kind = "person", roles = ["administrator"] }'
    (folder / "profiles" / "embedded.toml").write_text(PROFILE.replace(first, f"{first}, {account}"))
    assert "got account 2 as " in fault(folder)
