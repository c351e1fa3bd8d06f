"""The desk: one page that shows everything, loads nothing, runs nothing, and lets no text pose as markup."""

from __future__ import annotations

import re
import shutil
import stat
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from tidegate.application.ports import Ledger
from tidegate.bootstrap import Tidegate
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.events import Draft, EventType
from tidegate.entrypoints.web.desk import agenda, plain, render, write
from tidegate.entrypoints.web.measures import number, side_by_side
from tidegate.entrypoints.web.timeline import LAST
from tidegate.entrypoints.web.view import Desk, build
from tidegate.settings import Settings, load
from tidegate.testing.crier import MODEL
from tidegate.testing.model_town import REPORT
from tidegate.testing.town import Town

ROOT = Path(__file__).parents[2]
WEB = ROOT / "src" / "tidegate" / "entrypoints" / "web"
NOW = "2013-05-12T09:00:00Z"
HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(2)> \'"><b>&amp;'
TURNED = "please \u202ereject\u202c it"


class Page(HTMLParser):
    """What the tests look at in a page."""

    VOID = frozenset({"meta", "br", "path", "img", "link", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, *names: str) -> list[dict[str, str]]:
        return [attrs for tag, attrs in self.tags if tag in names]


def at_home(home: Path) -> Settings:
    return load(ROOT, {"TIDEGATE_HOME": str(home), "TIDEGATE_NOW": NOW})


def town_in(settings: Settings, words: str = "The evidence holds.") -> Town:
    here = Tidegate(settings)
    here.open()
    return Town(here.ledger, here.policies.load(), words)


def desk_of(settings: Settings, ledger: Ledger | None = None) -> Desk:
    here = Tidegate(settings)
    reports = settings.home / "reports"
    known = (ledger or here.ledger, here.policies, here.expressions, here.clock, reports, "../reports")
    return build(*known, agenda(here))


@pytest.fixture(scope="module")
def old_town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which everything has happened; tests work on copies of it."""
    home = tmp_path_factory.mktemp("old") / "home"
    town_in(at_home(home)).lived()
    return home


@pytest.fixture(scope="module")
def page(old_town: Path) -> Page:
    return Page(write(at_home(old_town)).read_text("utf-8"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return at_home(tmp_path / "home")


@pytest.fixture
def lived(settings: Settings, old_town: Path) -> Town:
    """A town of the test's own, in which everything has happened."""
    shutil.copytree(old_town, settings.home)
    return town_in(settings)


# ── what it is made of ────────────────────────────────────────────────────────────────────────────


def test_the_town_has_seen_every_type_of_event_and_its_record_is_sound(lived: Town) -> None:
    assert {event.type for event in lived.ledger.events()} == set(EventType)
    assert lived.ledger.verify() == ()


def test_it_has_one_title_and_headings_without_a_gap(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_table_has_a_caption_and_header_cells_with_a_scope(page: Page) -> None:
    names = [tag for tag, _ in page.tags]
    tables, captions = names.count("table"), names.count("caption")
    assert tables == captions > 5
    assert {attrs.get("scope") for attrs in page.all("th")} <= {"col", "row", "rowgroup"}
    starts = [index for index, name in enumerate(names) if name == "table"]
    for start, end in zip(starts, [*starts[1:], len(names)], strict=True):
        assert "th" in names[start:end]


def test_it_loads_nothing_and_runs_nothing(page: Page) -> None:
    assert not page.all("script", "link", "iframe", "img", "object", "embed", "form", "input", "base")
    for _, attrs in page.tags:
        assert not [
            name for name in attrs if name.startswith("on") or name in {"src", "srcset", "action", "style"}
        ]
        assert re.match(r"#|\.\./reports/[0-9a-f]{64}\.html$", attrs.get("href", "#"))
    policy = next(attrs for attrs in page.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert not re.search(r"url\(|@import|https?:", (WEB / "desk.css").read_text("utf-8"))


def test_the_keyboard_gets_everywhere(page: Page) -> None:
    first = page.all("a")[0]
    assert first["href"] == "#main"
    places = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {attrs["href"][1:] for attrs in page.all("a") if attrs["href"].startswith("#")} <= places
    assert len(places) == sum("id" in attrs for _, attrs in page.tags), "no id occurs twice"


def test_every_verdict_is_a_symbol_and_a_word(page: Page) -> None:
    for symbol, word in (
        ("✓", "passed"),
        ("✕", "failed"),
        ("?", "inconclusive"),
        ("✕", "refused"),
        ("!", "overdue"),
    ):
        assert f"{symbol} {word}" in page.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_ink_reads_on_every_paper(scheme: str) -> None:
    css = (WEB / "desk.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", dark))

    def light_of(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    inks = ("ink", "soft", "link", "passed", "failed", "doubt", "error", "other")
    pairs = [(ink, paper) for ink in inks for paper in ("paper", "card")]
    pairs += [(ink, paper) for ink in ("ink", "soft", "link") for paper in ("sunk", "sky", "water")]
    for ink, paper in [*pairs, ("card", "link"), ("failed", "water")]:
        high, low = sorted((light_of(colours[ink]), light_of(colours[paper])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{ink} on {paper}"


# ── what it says ──────────────────────────────────────────────────────────────────────────────────


def test_an_open_promotion_shows_what_was_found_what_it_waits_for_and_who_may_approve(page: Page) -> None:
    assert f"{MODEL} version 4: canary → to prod" in page.text
    assert "way_back ✓ passed it declares a way back" in page.text
    assert "P4 the gate into prod waits for 1 more approval by role approver" in page.text
    assert "amir , The evidence holds. may approve it." in page.text
    assert f"tidegate approve {MODEL} 4 --as NAME" in page.text


def test_an_open_promotion_shows_the_digests_an_approval_binds_to(settings: Settings, lived: Town) -> None:
    (request,) = desk_of(settings).requests
    bound = f"Artifact {request.artifact} Packet {request.packet} Policy {request.policy}"
    assert request.policy == lived.policy.digest
    assert bound in Page(write(settings).read_text("utf-8")).text


def test_an_open_promotion_shows_slices_risks_and_what_nobody_measured(page: Page) -> None:
    assert "Gain over version 1 by slice" in page.text
    assert "origin=EWR 0.0016 −0.0031 to 0.0062 4,896 cannot tell" in page.text
    assert "Open risks: 1 that the facts show, 1 declared" in page.text
    assert "The evidence holds. declared by the owner" in page.text
    assert (
        "fewer than 30 labelled rows or rows of one day alone: line=The evidence holds. (3) and 1 more"
        in page.text
    )


def test_a_section_that_nobody_supplied_is_named(settings: Settings, lived: Town) -> None:
    lived.facts = {**lived.facts, "lineage": {}, "slices_against_champion": {}}
    lived.asked(4, "canary", "prod")
    text = Page(write(settings).read_text("utf-8")).text
    assert "2 sections that nobody supplied" in text
    assert "Nobody supplied: slices against champion, lineage" in text


def test_a_packet_of_an_older_format_says_less_and_nothing_of_it_is_called_missing(
    settings: Settings, lived: Town
) -> None:
    kept = ("model", "version", "tier", "metrics", "champion", "canary", "way_back")
    lived.facts = {"schema": "tg.packet/2", **{name: lived.facts[name] for name in kept}}
    lived.asked(4, "canary", "prod")
    (request,) = desk_of(settings).requests
    assert (request.sealed.gaps, request.sealed.slices) == ((), ())
    assert "canary → to prod" in Page(write(settings).read_text("utf-8")).text


def test_a_gate_that_opened_shows_how_the_way_back_was_tried(page: Page) -> None:
    assert "tried: The evidence holds." in page.text


def test_an_approver_who_may_not_is_named_with_the_rule(settings: Settings, lived: Town) -> None:
    lived.say(
        EventType.ROLES_CHANGED, "p-1", {"id": "p-2", "roles": ["data_scientist", "approver"]}, "actors"
    )
    (request,) = desk_of(settings).requests
    (dana,) = [each for each in request.deciders if each.reasons]
    assert (dana.name, [reason.rule for reason in dana.reasons]) == ("dana", ["P4"])
    assert "amir" in [each.name for each in request.able]


def test_approvals_given_so_far_are_shown_with_their_reasons(settings: Settings, lived: Town) -> None:
    (before,) = desk_of(settings).requests
    lived.decided(before.id, 4, EventType.PROMOTION_APPROVED)
    (after,) = desk_of(settings).requests
    assert [(note.who, note.reason) for note in after.approved] == [("amir", "The evidence holds.")]
    assert after.waits == ()


def test_a_request_bound_to_another_policy_is_called_stale(settings: Settings, lived: Town) -> None:
    body = lived.policy.body + "# another\n"
    changed = {"digest": sha256(body.encode()), "name": "reference", "version": "2", "body": body}
    lived.say(EventType.POLICY_ADOPTED, "p-1", changed, "policy")
    (request,) = desk_of(settings).requests
    assert request.stale
    assert "! stale" in Page(render(desk_of(settings))).text


def test_a_policy_that_cannot_be_read_any_more_hides_nothing_else(settings: Settings) -> None:
    town = town_in(settings).with_version(1)
    broken = {"digest": "sha256:broken", "name": "n", "version": "1", "body": "policy: 1"}
    town.say(EventType.POLICY_ADOPTED, "p-1", broken, "policy")
    bound = {"artifact": "sha256:a", "packet": "sha256:p", "policy": "sha256:broken"}
    ask = {"id": "P", "model": MODEL, "version": 1, "source": "candidate", "target": "staging", **bound}
    more = {"requester": "p-2", "on_behalf_of": "", "kind": "regular", "due_at": ""}
    town.say(EventType.PROMOTION_REQUESTED, "p-2", {**ask, **more})
    (request,) = desk_of(settings).requests
    assert request.fault
    assert "cannot be judged here" in Page(render(desk_of(settings))).text


def test_an_open_review_shows_its_cause_its_role_and_that_it_is_overdue(page: Page) -> None:
    assert "Review R-2" in page.text
    assert "! overdue by 2013-05-08 07:00 , by role reviewer , held by rita" in page.text
    assert "calibration_gap ? inconclusive −0.0465 −0.0996 to 0.0042 27,452" in page.text


def test_a_review_that_asks_for_a_certificate_shows_the_act_that_gives_it(
    settings: Settings, lived: Town
) -> None:
    about = {"id": "R-8", "model": MODEL, "period": "", "version": 1, "kind": "recertification"}
    due = {"cause": "its term is over", "role": "approver", "due_at": "2013-09-01T00:00:00Z"}
    lived.say(EventType.REVIEW_OPENED, "s-6", {**about, **due})
    html = render(desk_of(settings))
    assert f"tidegate recertify {MODEL} 1 --as NAME" in html
    assert "tidegate review R-8" not in html


def test_a_version_shows_who_trained_who_approved_and_which_rule_refused(page: Page) -> None:
    assert "Trained by svc-train for dana" in page.text
    assert "✓ approved into prod by amir , approver" in page.text
    assert "✕ rejected into staging by amir , approver" in page.text
    assert "✕ refused dana (p-2) was refused approve" in page.text
    assert sha256(b"artifact 4") in page.text
    assert "tg1:rows4 70,644 rows from 1 batch" in page.text


def test_a_number_that_could_not_be_measured_is_a_dash(page: Page) -> None:
    assert "brier its loss: lower is better 4 canary — — 14,289" in page.text


def test_data_show_every_row_counted_and_every_failing_check(page: Page) -> None:
    assert "2013-01 ✓ passed ↻ restated since 1,200 1,196 3 1 erased 0.25 % 1 passed, 1 not" in page.text
    assert "2013-02 ✕ held back 1,200 0 1,200 100.00 % 1 passed, 1 not" in page.text
    assert "T01 ✕ failed warning quarantined 3" in page.text
    assert "tidegate quarantine gauges --period 2013-02" in page.text
    assert "turned away A drop of gauges 2013-03" in page.text
    assert "waived T01 of gauges 2013-02 was not to count until 2013-03-20 00:00 , by amir" in page.text
    assert "Used 0 of 2 times, for 0 rows. W-1, which let T01 through, was ended." in page.text


def test_a_canary_shows_both_versions_its_verdict_and_why(page: Page) -> None:
    failed = "2013-02 version 2 candidate version 1 ✕ failed 48 of 50 0.1723 beside 0.1600 −0.0123 −0.0341 to 0.0087"
    assert f"{failed} V2 The evidence holds. ( brier ) · review R-0" in page.text
    assert "2013-04 version 4 canary the fallback ? inconclusive 48 of 50" in page.text


def test_a_canary_without_labels_waits_and_one_that_only_scored_has_no_verdict(page: Page) -> None:
    waits = "2013-05 version 4 canary the fallback ? inconclusive … waits for labels 0 of 50 — — V1"
    assert waits in page.text
    assert (
        "2013-06 version 4 canary — … not compared yet 50 rows — — Its rows are scored, and not compared yet."
        in (page.text)
    )


def test_a_canary_of_the_first_stay_is_told_and_one_that_scored_nothing_yet_is_none(
    settings: Settings,
) -> None:
    town = town_in(settings).with_version(1)
    for source, target in (("candidate", "staging"), ("staging", "canary")):
        town.applied(town.asked(1, source, target), (1, source, target))
    (model,) = desk_of(settings).models
    assert model.canaries == ()
    town.scored("2013-04", 1, "canary")
    (model,) = desk_of(settings).models
    assert [(each.period, each.compared, each.verdict) for each in model.canaries] == [("2013-04", False, "")]


def test_a_review_that_a_canary_asked_for_leads_to_its_figures(settings: Settings, lived: Town) -> None:
    lived.analysed("2013-06", 4, "error", "waits", review="R-7")
    cards = {review.id: review for review in desk_of(settings).reviews}
    assert (cards["R-7"].canary, cards["R-7"].cause, cards["R-2"].canary) == (True, lived.words, False)
    html = render(desk_of(settings))
    assert f'<a href="#{MODEL}-canaries">the canary’s figures</a>' in html
    assert '… review R-7 <a href="#R-7">' in " ".join(html.replace("</span>", "").split()).replace(
        '<span class="mark open"><span aria-hidden="true">', ""
    )


def test_a_restated_batch_counts_no_more_and_names_who_had_learned_from_it(page: Page) -> None:
    assert "2013-01 r1 ✓ passed ↻ restates it 1,200 1,197 3 0.25 %" in page.text
    assert "In force 2,400 1,197 1,203" in page.text  # the restated 2013-01 once, and what was held back
    told = (
        f"gauges 2013-01 was restated by revision 1. {MODEL} version 1 , {MODEL} version 2 had learned from"
    )
    assert told in page.text
    assert "70,644 rows from 1 batch, ↻ 1 restated since" in page.text
    assert f"#{MODEL}-1" in [attrs["href"] for attrs in page.all("a")]


def test_a_review_shows_what_was_done_about_it_and_what_was_not_yet(page: Page) -> None:
    assert f"R-1 {MODEL} version 1, 2013-03 retrain by rita" in page.text
    assert "Done about it: The evidence holds." in page.text
    assert f"R-0 {MODEL} version 2, 2013-02 roll back by rita" in page.text
    assert "… not carried out yet tidegate run follow" in page.text


def test_schedules_show_their_last_run_what_was_missed_and_the_next(page: Page) -> None:
    assert "collect 30 5 1,4 * * UTC 2013-04-01 05:30" in page.text
    assert "✓ done The evidence holds. It made good for 2 earlier slots." in page.text
    assert "✕ refused The evidence holds." in page.text
    # The town lives on 12 May: three of collect's slots lie behind its last run.
    assert "! 3 missed 2013-04-04 05:30 , 2013-05-01 05:30 , 2013-05-04 05:30 2013-06-01 05:30" in page.text
    assert "$ tidegate schedule run" in page.text


def test_schedules_that_cannot_be_read_hide_nothing_else(settings: Settings, lived: Town) -> None:
    here = Tidegate(settings)
    known = (here.ledger, here.policies, here.expressions, here.clock, settings.home, "../reports")
    page = Page(render(build(*known, lambda _: ([], "got a file that is none, expected one"))))
    assert "! unreadable The schedules cannot be read: got a file that is none" in page.text
    assert "collect declared no more 2013-04-01 05:30" in page.text


def test_incidents_say_what_differed_and_in_whose_command_it_was_found(page: Page) -> None:
    assert page.text.count("Incidents 1") == 1
    section = page.text[page.text.index("Incident I-1") :]
    assert section.startswith(f"Incident I-1 {MODEL} ! differed The evidence holds. Found by svc-rollout ,")


def test_without_an_incident_there_is_no_section_of_them(settings: Settings) -> None:
    town_in(settings)
    page = Page(write(settings).read_text("utf-8"))
    assert "ncident" not in page.text
    assert not [attrs for attrs in page.all("a") if attrs.get("href") == "#incidents"]


def test_a_model_of_numbers_is_shown_in_its_own_unit_its_loss_first(page: Page) -> None:
    section = page.text[page.text.index("predicts a number") :]
    rows = [
        "mae its loss: lower is better 1 candidate 12.34 10.50 to 14.75 1,640",
        "skill of that loss, beside the base rate 1 candidate 0.2862 0.1000 to 0.4000 1,640",
        "base_rate 1 candidate 30.25 24.50 to 36.75 1,640",
        "calibration_gap 1 candidate −2.50 −6.12 to 1.50 1,640",
        "rmse 1 candidate 1,234.5 1,100.2 to 1,400.8 1,640",
    ]
    places = [section.index(row) for row in rows]
    assert places == sorted(places)
    assert "roc_auc" not in section[: section.index("predicts a probability")]


def test_the_timeline_is_folded_by_month_and_its_headings_say_what_happened(settings: Settings) -> None:
    town = town_in(settings).with_data()
    for day in (1, 2, 3, 4):
        town.ran("collect", f"2013-05-0{day}T05:30:00Z")
    town.restated("2013-01", f"{MODEL}/1")
    (month,) = desk_of(settings).months
    assert (month.name, month.open, month.told) == ("2013-05", True, len(list(town.ledger.events())))
    assert dict(month.counts) == {"refused": 2, "restated": 1}
    (day,) = month.days
    folds = [stretch.folded for stretch in day.stretches]
    assert folds == ["", "Accounts and tokens", "", "Data and runs", ""]
    assert [note.type for note in day.stretches[-1].notes] == [
        EventType.BATCH_ACCEPTED
    ]  # a restatement is news


def test_of_several_months_the_last_is_open_and_every_event_is_on_the_page(settings: Settings) -> None:
    months = []
    for moment in ("2013-05-12T09:00:00Z", "2013-06-01T09:00:00Z", "2013-07-01T09:00:00Z"):
        later = load(ROOT, {"TIDEGATE_HOME": str(settings.home), "TIDEGATE_NOW": moment})
        town_in(later).ran("collect", moment)
        months = [(month.name, month.open) for month in desk_of(later).months]
    assert months == [("2013-05", False), ("2013-06", False), ("2013-07", True)]
    page = Page(write(later).read_text("utf-8"))
    opened = [attrs for attrs in page.all("details") if attrs.get("class") == "month"]
    assert [("open" in attrs) for attrs in opened] == [False, False, True]
    places = [attrs["id"] for attrs in page.all("li") if attrs.get("id", "").startswith("event-")]
    assert len(places) == len(list(Tidegate(later).ledger.events()))


def test_a_report_is_linked_where_its_file_lies_and_nowhere_else(settings: Settings, lived: Town) -> None:
    link = f"../reports/{REPORT[7:]}.html"
    assert link not in write(settings).read_text("utf-8")
    (settings.home / "reports").mkdir()
    (settings.home / link.removeprefix("../")).write_text("<title>report</title>")
    page = write(settings)
    assert link in page.read_text("utf-8")
    assert (page.parent / link).resolve().is_file()


def test_the_timeline_tells_every_event_and_the_footer_where_the_chain_ends(page: Page, lived: Town) -> None:
    events = list(lived.ledger.events())
    places = [attrs["id"] for attrs in page.all("li") if attrs.get("id", "").startswith("event-")]
    assert places == [f"event-{event.sequence}" for event in events]
    assert f"Events {len(events)} Head {events[-1].hash}" in page.text
    assert "Assurance local" in page.text
    assert "tidegate audit verify --anchor" in page.text


def test_a_long_record_is_cut_and_says_so(settings: Settings, lived: Town) -> None:
    with lived.ledger.transaction() as tx:
        for index in range(LAST):
            payload = {"dataset": "gauges", "drop": f"d{index}", "period": "2013-03", "code": "truncated"}
            tx.append(Draft(EventType.DROP_REFUSED, "dataset/other", "s-1", payload))
    desk = desk_of(settings)
    assert desk.told == LAST < desk.events
    page = Page(render(desk))
    assert f"The last 1,000 of {desk.events:,} events" in page.text
    places = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {attrs["href"][1:] for attrs in page.all("a") if attrs["href"].startswith("#")} <= places


def test_a_name_that_was_erased_shows_as_its_id_and_a_reason_as_erased(
    settings: Settings, lived: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lived.ledger, "text", lambda _: None)  # as after an erasure
    page = Page(render(desk_of(settings, lived.ledger)))
    assert "this reason was erased" in page.text
    assert "Trained by s-2 for p-2" in page.text
    assert "The evidence holds.”" not in page.text


# ── what it withstands ────────────────────────────────────────────────────────────────────────────


def test_text_never_becomes_markup(settings: Settings, page: Page) -> None:
    town_in(settings, HOSTILE).lived()
    hostile = Page(render(desk_of(settings)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in page.tags]
    assert " ".join(HOSTILE.split()) in hostile.text


def test_text_that_turns_the_reading_direction_is_shown_harmless(settings: Settings) -> None:
    town_in(settings, TURNED).lived()
    html = render(desk_of(settings))
    assert "\u202e" not in html
    assert "please ⟨U+202E⟩reject⟨U+202C⟩ it" in html


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("שלום, café, 東京", "שלום, café, 東京"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("\u2066isolated\u2069", "⟨U+2066⟩isolated⟨U+2069⟩"),
        ("bell\x07", "bell⟨U+0007⟩"),
        ("two\nlines\tand\u00a0more", "two\nlines and more"),
    ],
)
def test_the_invisible_becomes_visible_and_every_script_stays(written: str, shown: str) -> None:
    assert plain(written) == shown


def test_a_name_in_a_command_is_quoted_for_the_shell(settings: Settings) -> None:
    town = town_in(settings)
    batch = {
        "read": 1,
        "accepted": 1,
        "quarantined": 0,
        "drop": "d",
        "period": "2013; rm -rf ~",
        "batch": "b",
        "revision": 0,
        "supersedes": "",
        "touches": {"training_sets": [], "versions": []},
    }
    check = {
        "id": "T",
        "severity": "info",
        "on_row": "keep",
        "verdict": "failed",
        "evaluated": 1,
        "failing": 1,
    }
    report = {"checks": [{**check, "sentence": "s"}], "stops": []}
    payload = {
        **batch,
        "dataset": "x",
        "verdict": "passed",
        "quarantine_root": "r",
        "contract": "c",
        "report": report,
    }
    town.say(EventType.BATCH_ACCEPTED, "s-1", payload, "dataset/x")
    assert "tidegate quarantine x --period '2013; rm -rf ~'" in Page(render(desk_of(settings))).text


def test_an_empty_ledger_has_a_page(settings: Settings) -> None:
    page = Page(write(settings).read_text("utf-8"))
    assert "The ledger is empty." in page.text
    assert "Policy in force none: every gate is shut" in page.text
    assert "Nothing has happened yet." in page.text


def test_a_ledger_just_opened_waits_for_nobody(settings: Settings) -> None:
    town_in(settings)
    page = Page(write(settings).read_text("utf-8"))
    assert "Nothing waits for anybody." in page.text
    assert "No model is registered yet." in page.text


# ── how it is written ─────────────────────────────────────────────────────────────────────────────


def test_it_is_written_whole_by_absolute_path_for_this_account_only(settings: Settings) -> None:
    town_in(settings)
    path = write(settings)
    assert path == settings.home / "desk" / "index.html"
    assert path.is_absolute()
    assert [each.name for each in path.parent.iterdir()] == ["index.html"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_page_that_cannot_be_replaced_leaves_the_one_before(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    town_in(settings)
    before = write(settings).read_bytes()
    town_in(settings).with_data()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DependencyFailed) as failed:
        write(settings)
    assert failed.value.code == "disk-full"
    assert [each.name for each in (settings.home / "desk").iterdir()] == ["index.html"]
    assert (settings.home / "desk" / "index.html").read_bytes() == before


def test_the_same_record_gives_the_same_bytes(settings: Settings, lived: Town) -> None:
    assert write(settings).read_bytes() == write(settings).read_bytes()


# ── its numbers ───────────────────────────────────────────────────────────────────────────────────


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    assert [number(value) for value in (-0.0833, 0.5, -0.00001, None)] == ["−0.0833", "0.5000", "0.0000", "—"]


def test_intervals_of_one_metric_share_a_scale() -> None:
    low, high = (
        {"value": 0.2, "low": 0.1, "high": 0.3, "n": 9},
        {"value": 0.4, "low": 0.3, "high": 0.5, "n": 9},
    )
    (metric,) = side_by_side({1: {"m": low}, 2: {"m": high}})
    one, two = (row.drawing for row in metric.rows)
    assert one is not None
    assert two is not None
    assert (one.high, one.low < one.value < one.high) == (two.low, True)
    assert (one.zero, two.zero) == (None, None)
