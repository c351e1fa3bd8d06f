"""The commands around a bundle, on a home: what they print, what they refuse, and that they leave no trace."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from tidegate.adapters.ed25519_signer import Ed25519Verifier
from tidegate.application.attest import signature_fault, signed
from tidegate.bootstrap import Tidegate
from tidegate.domain.attestation import packet_statement
from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.events import EventType
from tidegate.settings import load
from tidegate.testing.crier import MODEL
from tidegate.testing.shell import Shell
from tidegate.testing.town import Town

ROOT = Path(__file__).parents[2]
EXPORT = ("audit", "export", "--model")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with three versions: two with a packet that is not signed, of which the second has a signed one too."""
    folder = tmp_path_factory.mktemp("home") / "home"
    environment = {
        "TIDEGATE_PROJECT": str(ROOT),
        "TIDEGATE_HOME": str(folder),
        "TIDEGATE_NOW": "2013-05-12T09:00:00Z",
    }
    here = Tidegate(load(ROOT, environment))
    here.open()
    town = Town(here.ledger, here.policies.load()).with_data().with_version(1).with_version(2)
    for number in (1, 2):
        town.asked(number, "candidate", "staging")
    body, bound = town._bound(2)
    body |= {"mended": True}
    bound |= {"packet": sha256(canonical(body))}
    stated = packet_statement(MODEL, 2, bound["artifact"], bound["packet"], body)
    sealed = {"digest": bound["packet"], "model": MODEL, "version": 2, "body": body}
    town.say(EventType.PACKET_SEALED, "p-2", {**sealed, "envelope": signed(here.signer, stated)})
    town.with_version(3)
    return Shell(folder, ROOT), here.signer.public_key, stated, body


def count(shell):
    with contextlib.closing(sqlite3.connect(shell.home / "record.db")) as database:
        return database.execute("SELECT count(*) FROM events").fetchone()[0]


def test_a_packet_is_printed_with_what_it_is_and_those_before_it(home):
    shell, _, _, body = home
    said = shell.run("packet", MODEL, "2")
    assert said.returncode == 0
    assert said.stdout.startswith(f"packet {sha256(canonical(body))}, sealed at event ")
    assert ", signed\nbefore it: sha256:" in said.stdout
    assert '"mended": true' in said.stdout
    told = shell.json("packet", MODEL, "2")
    assert (told["body"], len(told["before"])) == (body, 1)
    assert "not signed: sealed before packets were attested" in shell.run("packet", MODEL, "1").stdout


def test_an_attestation_is_printed_as_it_is_and_verifies(home):
    shell, key, stated, _ = home
    envelope = json.loads(shell.run("packet", MODEL, "2", "--envelope").stdout)
    assert signature_fault(Ed25519Verifier(), envelope, stated, key) == ""
    assert shell.json("packet", MODEL, "2")["envelope"] == envelope


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["packet", "nobody", "1"], 2, "got the model `nobody`"),
        (["packet", MODEL, "9"], 2, "got version 9"),
        (["packet", MODEL, "3"], 2, "got version 3 of `tides`, for which no packet was sealed"),
        (["packet", MODEL, "1", "--envelope"], 2, "not signed: sealed before packets were attested"),
        ([*EXPORT, MODEL, "--version", "1", "-o", "{tmp}/b.zip"], 2, "got nobody to act as"),
        ([*EXPORT, "x", "--version", "1", "-o", "{tmp}/b.zip", "--as", "aude"], 2, "`x`"),
        ([*EXPORT, MODEL, "--version", "9", "-o", "{tmp}/b.zip", "--as", "aude"], 2, "version 9"),
        ([*EXPORT, MODEL, "--version", "1", "-o", "{tmp}", "--as", "aude"], 2, "cannot be written"),
        ([*EXPORT, MODEL, "--version", "1", "-o", "{tmp}/no/b.zip", "--as", "aude"], 2, "cannot be"),
        (
            [*EXPORT, MODEL, "--version", "1", "-o", "{tmp}/b.zip", "--as", "aude",
             "--anchor", "README.md"], 2, "is no anchor",
        ),
        (["audit", "verify-bundle", "README.md", "--key", "README.md"], 2, "got README.md, which is no whole ZIP"),
        (["audit", "verify-bundle", "{tmp}/nothing.zip", "--key", "README.md"], 2, "got nothing.zip, which cannot"),
        (["audit", "verify-bundle", "README.md"], 2, "--key"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)  # fmt: skip
def test_each_mistake_gets_one_sentence_and_leaves_nothing(home, tmp_path, words, code, said):
    shell = home[0]
    before = count(shell)
    done = shell.run(*(word.replace("{tmp}", str(tmp_path)) for word in words))
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert list(tmp_path.rglob("*")) == []
    assert count(shell) == before


def test_only_an_auditor_exports_and_the_refusal_is_an_event(home, tmp_path):
    shell = home[0]
    before = count(shell)
    words = ["audit", "export", "--model", MODEL, "--version", "1", "-o", str(tmp_path / "b.zip")]
    done = shell.run(*words, "--as", "otto")
    assert done.returncode == 1
    assert "A1  p-5 holds no role that permits `ledger:bundle:export`" in done.stderr
    assert count(shell) == before + 1
    assert not (tmp_path / "b.zip").exists()
    assert shell.run(*words, "--as", "aude").returncode == 0
    assert count(shell) == before + 1


def test_a_bundle_is_exported_with_the_anchors_kept_and_judged_by_the_key_given(home, tmp_path):
    shell, key, _, _ = home
    (tmp_path / "ledger.pub").write_text(key)
    shell.json("audit", "anchor", "--to", str(tmp_path / "anchors"), "--as", "aude")
    words = [
        "audit",
        "export",
        "--model",
        MODEL,
        "--version",
        "2",
        "-o",
        str(tmp_path / "b.zip"),
        "--as",
        "aude",
    ]
    told = shell.json(*words, "--anchor", str(tmp_path / "anchors" / "head.json"), "--with-texts")
    assert {"anchors/01.json", "texts.jsonl"} <= set(told["members"])
    warned = shell.run(*words, "--with-texts")
    assert "what is erased from the ledger later stays in this file" in warned.stderr
    checked = shell.run(
        "audit", "verify-bundle", str(tmp_path / "b.zip"), "--key", str(tmp_path / "ledger.pub")
    )
    assert "1 packet(s) of the chain are signed by the key; 2 not signed" in checked.stdout
    for name in ("b.zip", "README.md"):
        bad = tmp_path / name if name == "b.zip" else ROOT / name
        refused = shell.run("audit", "verify-bundle", str(tmp_path / "b.zip"), "--key", str(bad))
        assert refused.returncode == 2
        assert "not usable: got " in refused.stderr


def test_with_a_key_the_ledger_s_own_verification_asks_for_signatures_too(home, tmp_path):
    shell, key, _, _ = home
    (tmp_path / "ledger.pub").write_text(key)
    (tmp_path / "other.pub").write_text(
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
        "-----END PUBLIC KEY-----\n"
    )
    attestation = "its packet's attestation: its signature does not belong to this key"
    assert attestation not in shell.run("audit", "verify", "--key", str(tmp_path / "ledger.pub")).stdout
    refused = shell.run("audit", "verify", "--key", str(tmp_path / "other.pub"))
    assert (refused.returncode, attestation in refused.stdout) == (1, True)
