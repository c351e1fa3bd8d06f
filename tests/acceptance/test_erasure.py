"""Erasure, retention and anchors at the command line, on a ledger that is opened for it."""

from __future__ import annotations

import re
import subprocess

import pytest

WHY = ("--reason", "Article 17, letter of 3 May")


def refused(done, code, *parts):
    assert done.returncode == code, done.stdout + done.stderr
    for part in parts:
        assert part in done.stderr, done.stderr


def texts_in(folder):
    """Every byte of every file below a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def opened(empty):
    """A home with an account of Zoe Marlowe, who tried something and can still act."""
    empty.json("user", "add", "Zoe Marlowe", "--role", "approver", "--as", "ada")
    assert [row["id"] for row in empty.json("user", "list") if row["name"] == "Zoe Marlowe"] == ["p-8"]
    refused(empty.run("audit", "anchor", "--as", "Zoe Marlowe"), 1, "A1")
    return empty


@pytest.fixture
def gone(opened):
    """Zoe has left."""
    opened.json("user", "revoke", "Zoe Marlowe", "--as", "ada")
    return opened


def test_a_person_is_erased_and_the_record_stays_sound(gone):
    gone.json("desk")
    assert b"Zoe Marlowe" in texts_in(gone.home / "desk")
    done = gone.run("erase", "Zoe Marlowe", *WHY, "--as", "ada")
    assert (done.returncode, done.stdout) == (
        0,
        "erased 1 text about p-8, and the key that opens their copies\n",
    )
    assert [row["name"] for row in gone.json("user", "list") if row["id"] == "p-8"] == ["p-8"]
    verified = gone.run("audit", "verify")
    assert verified.returncode == 0
    assert "erased since: 1 personal text, each by an event that says so" in verified.stdout
    assert gone.json("audit", "verify")["erased"] == 1
    assert "erased 1 text of p-8" in gone.run("log").stdout
    assert gone.json("log")[-1]["reason"] == WHY[1]
    gone.json("desk")
    gone.json("status")


def test_nothing_in_the_home_says_who_it_was(gone):
    assert (gone.home / "tokens" / "Zoe Marlowe").exists()
    gone.json("desk")
    gone.json("erase", "p-8", *WHY, "--as", "ada")
    assert b"Marlowe" not in texts_in(gone.home)
    assert not [path for path in gone.home.rglob("*") if "Marlowe" in path.name]


def test_a_person_who_can_still_act_is_refused_with_the_next_step(opened):
    refused(
        opened.run("erase", "Zoe Marlowe", *WHY, "--as", "ada"),
        1,
        "T1  p-8 can still act",
        "next: `tidegate user revoke p-8` first",
    )
    assert "was refused erase: T1" in opened.run("log", "--last", "1").stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["erase", "p-8", *WHY, "--as", "amir"], 1, "A1  p-3 holds no role that permits `ledger:text:erase`"),
        (["erase", "p-99", *WHY, "--as", "ada"], 2, "got the actor `p-99`"),
        (["erase", "p-8", "--reason", "", "--as", "ada"], 2, "got no reason"),
        (["erase", "p-8", *WHY], 2, "got nobody to act as"),
        (["retention", "--as", "otto"], 1, "A1  p-5 holds no role that permits `ledger:text:erase`"),
    ],
)
def test_what_may_not_or_cannot_be_erased_is_one_sentence(gone, words, code, said):
    before = gone.json("audit", "verify")["events"]
    refused(gone.run(*words), code, said)
    assert gone.json("audit", "verify")["events"] == before + (code == 1)
    assert [row["name"] for row in gone.json("user", "list") if row["id"] == "p-8"] == ["Zoe Marlowe"]


def test_retention_lets_go_what_is_over_and_nothing_else(gone):
    now = gone.json("log")[-1]["occurred_at"]
    rows = gone.json("retention", "--dry-run")
    assert [(row["kind"], row["commitments"]) for row in rows] == [("name", []), ("reason", [])]
    gone.json("retention", "--as", "ada")
    assert gone.json("log")[-1]["occurred_at"] == now, "nothing went, so nothing is written"


def test_retention_on_a_clock_of_later_years(empty):
    late = {"TIDEGATE_NOW": "2031-06-01T00:00:00Z"}
    empty.json("user", "add", "Zoe", "--role", "approver", "--as", "ada", TIDEGATE_NOW="2020-01-01T00:00:00Z")
    empty.json("user", "revoke", "Zoe", "--as", "ada", TIDEGATE_NOW="2021-05-01T00:00:00Z")
    shown = empty.run("retention", "--dry-run", **late)
    assert re.search(r"^name +3650 days +1 +13 *$", shown.stdout, re.MULTILINE), shown.stdout
    shown = empty.run("retention", "--as", "ada", **late)
    assert re.search(r"^name +3650 days +1 +13 *$", shown.stdout, re.MULTILINE), shown.stdout
    assert empty.json("log")[-1]["type"] == "retention.applied"
    verified = empty.json("audit", "verify")
    assert (verified["faults"], verified["erased"]) == ([], 1)


# ── heads on commits ──────────────────────────────────────────────────────────────────────────────


def git(folder, *words):
    who = ("-c", "user.name=Aude", "-c", "user.email=aude@example.org")
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "kept elsewhere")
    return folder


def test_a_head_is_noted_on_a_commit_and_verified_from_there(opened, repository, tmp_path):
    anchors = str(tmp_path / "anchors")
    for _ in range(2):
        done = opened.run("audit", "anchor", "--as", "aude", "--to", anchors, "--git", str(repository))
        assert done.returncode == 0, done.stderr
        assert "push refs/notes/tidegate" in done.stdout
    key = ("--key", f"{anchors}/ledger.pub")
    done = opened.run("audit", "verify", "--git", str(repository), *key)
    assert "held against 2 anchors" in done.stdout
    opened.json("user", "add", "Otis", "--role", "reviewer", "--as", "ada")
    told = opened.json("audit", "verify", "--git", str(repository), "--anchor", f"{anchors}/head.json", *key)
    assert (told["faults"], told["anchors"], told["after_anchor"]) == ([], 3, 2)


def test_a_repository_inside_the_home_does_not_count(opened, repository, tmp_path):
    inside = opened.home / "kept"
    inside.mkdir()
    git(inside, "init", "-q")
    git(inside, "commit", "-q", "--allow-empty", "-m", "inside")
    git(inside, "worktree", "add", "-q", str(tmp_path / "beside"))
    before = opened.json("audit", "verify")["events"]
    for place in (inside, tmp_path / "beside"):  # the second lies outside, and its notes inside
        words = ("--git", str(place))
        anchored = opened.run("audit", "anchor", "--as", "aude", "--to", str(tmp_path / "anchors"), *words)
        refused(anchored, 2, "inside TIDEGATE_HOME")
        refused(opened.run("audit", "verify", *words), 2, "inside TIDEGATE_HOME")
    assert opened.json("audit", "verify")["events"] == before
    assert not (tmp_path / "anchors").exists()


def test_a_repository_without_a_head_or_a_commit_and_no_repository_are_bad_input(
    opened, repository, tmp_path
):
    refused(opened.run("audit", "verify", "--git", str(repository)), 2, "in which no head was noted")
    refused(
        opened.run("audit", "verify", "--git", str(tmp_path)), 2, "expected the folder of a git repository"
    )
    (tmp_path / "fresh").mkdir()
    git(tmp_path / "fresh", "init", "-q")
    words = ("--as", "aude", "--to", str(tmp_path / "anchors"), "--git")
    refused(opened.run("audit", "anchor", *words, str(tmp_path / "fresh")), 2, "without a commit")
    git(repository, "notes", "--ref=tidegate", "add", "-m", "looks fine")
    done = opened.run("audit", "verify", "--git", str(repository), "--key", str(repository / "none.pub"))
    refused(done, 2, "which is no anchor")
