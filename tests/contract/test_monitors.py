from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.adapters.evidently_monitor import EvidentlyMonitors
from tidegate.application.ports import Segment
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.evidence import Verdict
from tidegate.domain.merkle import merkle_root
from tidegate.testing.contracts.monitors import MonitorCase, MonitorsContract
from tidegate.testing.fakes.monitors import FakeMonitors
from tidegate.testing.material import model_spec, write_decisions, write_rows

P, F, U, E = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.ERROR
START = datetime(2024, 3, 1, tzinfo=UTC)
KNOWN_BY = START + timedelta(days=31)

MONITOR = """\
monitor: tram_delay
day_starts_hour: 3
minimum: {labelled_rows: 500, days: 10}
binding:
  calibration_gap: {within: 0.08}
  gain_over_base_rate: {at_least: 0.0}
  roc_auc: {at_least: 0.55}
  missing_share: {at_most: 0.02}
  unlabelled_share: {at_most: 0.1}
  unscored_share: {at_most: 0.0}
drift: {method: psi, threshold: 0.2, columns: [score, load, stops, line]}
"""


NUMBER_MONITOR = """\
monitor: tram_delay
day_starts_hour: 3
minimum: {labelled_rows: 500, days: 10}
binding:
  calibration_gap: {within: 1.5}
  gain_over_base_rate: {at_least: 1.0}
  mae: {at_most: 4.5}
  missing_share: {at_most: 0.02}
  unlabelled_share: {at_most: 0.1}
  unscored_share: {at_most: 0.0}
drift: {method: psi, threshold: 0.2, columns: [score, load, stops, line]}
"""
PROBABILITY = pytest.mark.parametrize("prediction", ["probability"])
NUMBER = pytest.mark.parametrize("prediction", ["number"])


def minutes(rows):
    """Return the same trips with the expected delay in minutes as score, and the delay that came."""
    noise = random.Random(len(rows))
    return [
        {**row, "score": 20 * row["load"] - 5,
         "delay": None if row["late"] is None else 20 * row["load"] - 5 + noise.gauss(0, 4)}
        for row in rows
    ]  # fmt: skip


def scored(days=30, a_day=60, seed=1):
    """Return rows whose scores are the true chance of being late."""
    chance = random.Random(seed)
    rows = []
    for number in range(days * a_day):
        load = chance.random()
        departs = START + timedelta(days=number // a_day, minutes=300 + number % a_day)
        row = {"departs_at": departs, "line": "ABC"[number % 3], "trip": number, "load": load,
               "stops": 5 + number % 7, "score": 0.05 + 0.6 * load}  # fmt: skip
        arrived = number % 40 != 0
        row["late"] = chance.random() < row["score"] if arrived else None
        row["known_at"] = departs + timedelta(hours=3) if arrived else None
        rows.append(row)
    return rows


@pytest.fixture
def monitor_file(tmp_path, prediction):
    folder = tmp_path / "monitoring"
    folder.mkdir()
    (folder / "tram_delay.yaml").write_text(MONITOR if prediction == "probability" else NUMBER_MONITOR)
    return folder / "tram_delay.yaml"


@pytest.fixture
def case_of(tmp_path, prediction):
    """Return a function that writes rows: decided, come out, and those the version was judged on."""

    def write(decided=None, came=None, judged=None):
        of = minutes if prediction == "number" else list
        decided = of(scored()) if decided is None else decided
        came = decided if came is None else came
        judged = of(scored(15, seed=2)) if judged is None else judged
        worse = [{**row, "score": row["score"] / 2} for row in decided]
        inputs = ("departs_at", "line", "trip", "load", "stops", "score")

        def only(rows, *names):
            return [{name: row[name] for name in names} for row in rows]

        return MonitorCase(
            model=(model := model_spec(tmp_path, prediction)),
            decisions=write_decisions(only(decided, *inputs), tmp_path / "decisions.parquet", model),
            worse=write_decisions(only(worse, *inputs), tmp_path / "worse.parquet", model),
            reference=write_rows(only(judged, *inputs, model.label), tmp_path / "reference.parquet"),
            outcomes=write_rows(
                only(came, "departs_at", "line", "trip", model.label, "known_at"),
                tmp_path / "outcomes.parquet",
            ),
            known_by=KNOWN_BY,
        )

    return write


class TestEvidentlyMonitors(MonitorsContract):
    @pytest.fixture
    def subject(self, tmp_path, monitor_file):
        return EvidentlyMonitors(monitor_file.parent, tmp_path / "home")

    @pytest.fixture
    def case(self, case_of):
        return case_of()

    def verdicts(self, result):
        return {each.kind: each.verdict for each in result.evidence}

    def test_what_binds_comes_in_the_file_s_order_with_n_and_interval(self, subject, case):
        result = case.run(subject)
        assert [each.kind for each in result.evidence] == [
            "calibration_gap", "gain_over_base_rate",
            "roc_auc" if case.model.prediction == "probability" else "mae",
            "missing_share", "unlabelled_share", "unscored_share",
        ]  # fmt: skip
        for each in result.evidence:
            measure = each.values[each.kind]
            assert measure.low <= measure.value <= measure.high
            assert "30 whole days" in measure.method
            assert "expected " in each.sentence

    @PROBABILITY
    def test_drift_is_information_and_never_binds(self, subject, case_of):
        rows = scored()
        for row in rows:
            row["stops"] += 100
        result = case_of(rows).run(subject)
        told = {each.kind: each.verdict for each in result.information}
        assert told.pop("performance") is P
        assert told == {"drift:score": P, "drift:load": P, "drift:stops": F, "drift:line": P}
        assert result.verdict is P

    @PROBABILITY
    @pytest.mark.parametrize(
        ("shift", "verdict"),
        [(0.0, P), (0.08, U), (0.2, F), (-0.2, F)],
        ids=["none", "at the limit", "up", "down"],
    )
    def test_the_calibration_gap_fails_only_where_the_whole_interval_is_beyond(
        self, subject, case_of, shift, verdict
    ):
        rows = scored()
        for row in rows:
            row["score"] = min(1.0, max(0.0, row["score"] + shift))
        assert self.verdicts(case_of(rows).run(subject))["calibration_gap"] is verdict

    @NUMBER
    @pytest.mark.parametrize(
        ("shift", "verdict"),
        [(0.0, P), (1.5, U), (3, F), (-3, F)],
        ids=["none", "at the limit", "up", "down"],
    )
    def test_the_gap_of_a_number_is_in_its_labels_unit(self, subject, case_of, shift, verdict):
        rows = minutes(scored())
        for row in rows:
            row["score"] += shift
        result = case_of(rows).run(subject)
        assert self.verdicts(result)["calibration_gap"] is verdict
        gap = result.evidence[0]
        assert gap.values["calibration_gap"].value == pytest.approx(shift, abs=0.3)
        assert gap.sentence.startswith("mean prediction minus the mean of what came: got ")
        assert gap.sentence.endswith("expected within ±1.5")

    @NUMBER
    def test_a_number_is_measured_against_the_mean_of_the_reference_s_labels(self, subject, case_of):
        rows, judged = minutes(scored()), minutes(scored(15, seed=2))
        result = case_of(rows, judged=judged).run(subject)
        came = [row for row in rows if row["delay"] is not None]
        known = [row["delay"] for row in judged if row["delay"] is not None]
        always = sum(known) / len(known)
        loss = sum(abs(row["score"] - row["delay"]) for row in came) / len(came)
        fallback = sum(abs(always - row["delay"]) for row in came) / len(came)
        values = {each.kind: each.values[each.kind].value for each in result.evidence}
        assert values["mae"] == pytest.approx(loss)
        assert values["gain_over_base_rate"] == pytest.approx(fallback - loss)

    @NUMBER
    def test_a_number_expects_nothing_of_itself(self, subject, case):
        assert {each.kind.partition(":")[0] for each in case.run(subject).information} == {"drift"}

    @PROBABILITY
    def test_the_page_shows_the_realised_score_beside_the_one_the_model_expected(self, subject, case_of):
        rows = scored()
        result = case_of(rows).run(subject)
        (told,) = [each for each in result.information if each.kind == "performance"]
        hoped = sum(row["score"] * (1 - row["score"]) for row in rows) / len(rows)
        came = [row for row in rows if row["late"] is not None]
        realised = sum((row["score"] - row["late"]) ** 2 for row in came) / len(came)
        assert told.values["expected_brier"].value == pytest.approx(hoped)
        assert told.values["expected_brier"].n == len(rows)
        assert told.values["brier"].value == pytest.approx(realised)
        assert told.values["brier"].n == len(came)
        assert told.verdict is P
        assert (
            f"expected a Brier score of {hoped:.4f} on 1,800 decisions; got {realised:.4f}" in told.sentence
        )
        assert told.sentence in result.report.read_text()

    @PROBABILITY
    def test_a_model_that_is_surer_than_it_may_be_expects_too_much(self, subject, case_of):
        rows = scored()
        for row in rows:
            row["score"] = 0.02 if row["score"] < 0.3 else 0.98
        told = case_of(rows).run(subject).information[0]
        assert (told.kind, told.verdict) == ("performance", F)
        assert told.values["brier"].low > told.values["expected_brier"].high

    def test_without_any_known_label_all_that_rests_on_outcomes_is_inconclusive(self, subject, case):
        result = case.run(subject, START)
        found = self.verdicts(result)
        assert {kind: verdict for kind, verdict in found.items() if verdict is not U} == {
            "missing_share": P, "unscored_share": P,
        }  # fmt: skip
        assert result.verdict is U
        assert (
            "got 0 labelled decisions on 0 days, expected at least 500 on 10" in result.evidence[0].sentence
        )
        told = [each for each in result.information if each.kind == "performance"]
        if case.model.prediction == "probability":
            assert [(each.verdict, tuple(each.values)) for each in told] == [(U, ("expected_brier",))]
            assert told[0].sentence.endswith("; no outcome is known yet")

    def test_labels_that_stay_away_for_a_part_of_the_rows_fail(self, subject, case_of, prediction):
        rows = minutes(scored()) if prediction == "number" else scored()
        for row in rows[::4]:
            row["late"] = row["known_at"] = row["delay"] = None
        assert self.verdicts(case_of(rows).run(subject))["unlabelled_share"] is F

    def test_scores_that_are_not_what_is_predicted_are_not_compared(self, subject, case_of, prediction):
        rows = minutes(scored()) if prediction == "number" else scored()
        rows[3]["score"], rows[4]["score"] = float("nan"), float("inf")
        case = case_of(rows)
        with pytest.raises(BadInput) as refusal:
            case.compare(subject, case.decisions, case.worse)
        assert refusal.value.code == "unsound-scores"
        kind = "probability" if prediction == "probability" else "finite number"
        assert f"got 2 of 1800 scores of the candidate that are no {kind}" in refusal.value.sentence
        with pytest.raises(BadInput) as refusal:
            case_of().compare(subject, case_of().decisions, float("nan"))
        assert refusal.value.code == "unsound-scores"

    def test_a_comparison_draws_as_the_model_s_evaluation_says(self, subject, case):
        judged = {"evaluation.resamples": 250, "seed": 3}
        case = replace(case, model=replace(case.model, parameters={**case.model.parameters, **judged}))
        found = case.compare(subject, case.decisions, case.worse)
        assert found.gain.method == "paired, 95 % percentile interval, 250 resamples of 30 whole days"
        other = replace(case, model=replace(case.model, parameters={**case.model.parameters, "seed": 4}))
        assert other.compare(subject, case.decisions, case.worse).gain.low != found.gain.low

    def test_a_row_that_occurs_twice_is_not_compared(self, subject, case_of, prediction):
        rows = minutes(scored()) if prediction == "number" else scored()
        case = case_of([*rows, rows[0]], rows)
        with pytest.raises(BadInput) as refusal:
            case.compare(subject, case.decisions, case.worse)
        assert refusal.value.code == "monitor-keys"

    @NUMBER
    def test_a_measure_of_the_other_kind_is_a_fault_with_its_line(self, subject, case, monitor_file):
        monitor_file.write_text(NUMBER_MONITOR.replace("  mae: {at_most: 4.5}", "  roc_auc: {at_least: 0.5}"))
        with pytest.raises(BadInput) as caught:
            case.run(subject)
        ((line, sentence),) = [(each["line"], each["sentence"]) for each in caught.value.data["faults"]]
        assert line == 7
        assert sentence.startswith(
            "got 'roc_auc', expected one of calibration_gap, gain_over_base_rate, mae,"
        )

    @NUMBER
    @pytest.mark.parametrize(
        ("limit", "fault"),
        [
            ("mae: {at_most: 120}", None),
            ("mae: {at_most: .inf}", "got '.inf', expected a number from -1e+15 to 1e+15"),
            ("missing_share: {at_most: 2}", "got '2', expected a number from -1 to 1"),
        ],
    )
    def test_a_limit_in_the_labels_unit_is_any_finite_number(self, subject, case, monitor_file, limit, fault):
        name = limit.partition(":")[0]
        lines = [
            f"  {limit}" if line.startswith(f"  {name}:") else line for line in NUMBER_MONITOR.splitlines()
        ]
        monitor_file.write_text("\n".join(lines))
        if fault is None:
            assert case.run(subject).verdict is P
            return
        with pytest.raises(BadInput) as caught:
            case.run(subject)
        assert [each["sentence"] for each in caught.value.data["faults"]] == [fault]

    @PROBABILITY
    def test_a_model_worse_than_its_fallback_loses_score(self, subject, case_of):
        rows = scored()
        for row in rows:
            row["score"] = 0.7 - row["score"]
        found = self.verdicts(case_of(rows).run(subject))
        assert (found["gain_over_base_rate"], found["roc_auc"]) == (F, F)

    @PROBABILITY
    def test_a_broken_feed_is_named_by_its_input(self, subject, case_of):
        rows = scored()
        for row in rows[::3]:
            row["load"] = None
        result = case_of(rows).run(subject)
        missing = next(each for each in result.evidence if each.kind == "missing_share")
        assert missing.verdict is F
        assert "load: 600 rows" in missing.sentence

    @PROBABILITY
    def test_a_column_that_cannot_be_compared_is_an_error_of_its_own(self, subject, case_of):
        rows = scored()
        for row in rows:
            row["load"] = None
        rows[0]["stops"] = None
        result = case_of(rows).run(subject)
        drift = {each.kind: (each.verdict, each.sentence) for each in result.information}
        assert drift["drift:load"] == (E, "load: the period holds no value")
        assert drift["drift:score"][0] is P
        assert result.report.stat().st_size > 100_000

    @PROBABILITY
    def test_an_infinite_input_takes_no_report_down(self, subject, case_of):
        rows = scored()
        rows[7]["load"] = float("inf")
        drift = {each.kind: each.sentence for each in case_of(rows).run(subject).information}
        assert drift["drift:load"] == "load: the period holds an infinite number"

    @PROBABILITY
    def test_a_score_that_is_no_probability_is_an_error_of_what_rests_on_scores(self, subject, case_of):
        rows = scored()
        rows[3]["score"], rows[4]["score"] = float("nan"), 1.5
        result = case_of(rows).run(subject)
        gap = next(each for each in result.evidence if each.kind == "calibration_gap")
        assert (gap.verdict, gap.sentence.rpartition(": ")[2]) == (E, "2 of 1800 scores are no probability")
        assert self.verdicts(result)["missing_share"] is P

    @PROBABILITY
    def test_few_labels_are_inconclusive_however_good_they_look(self, subject, case_of):
        result = case_of(scored(days=8)).run(subject)
        kinds = ("calibration_gap", "gain_over_base_rate", "roc_auc", "unlabelled_share")
        assert {self.verdicts(result)[kind] for kind in kinds} == {U}
        assert result.information[0].verdict is U
        assert (
            "got 468 labelled decisions on 8 days, expected at least 500 on 10" in result.evidence[0].sentence
        )

    @PROBABILITY
    def test_rows_that_nobody_scored_are_seen(self, subject, case_of):
        rows = scored()
        result = case_of([row for row in rows if row["line"] != "B"], rows).run(subject)
        assert self.verdicts(result)["unscored_share"] is F

    @PROBABILITY
    def test_no_decision_at_all_is_an_error(self, subject, case_of, tmp_path):
        import pyarrow.parquet as pq

        case = case_of()
        pq.write_table(pq.read_table(case.decisions.path).slice(0, 0), case.decisions.path)
        none = Segment(merkle_root([]), case.decisions.path, 0)
        result = replace(case, decisions=none).run(subject)
        assert set(self.verdicts(result).values()) == {E}
        assert result.report.is_file()

    def test_evidently_and_we_measure_the_same_gap(self, subject, case):
        from tidegate.adapters.evidently_monitor.declaration import read_plan
        from tidegate.adapters.evidently_monitor.report import _GAP, _comparable, _evidently, _run
        from tidegate.adapters.evidently_monitor.rows import read_period
        from tidegate.adapters.shared.frames import read_frame

        plan = read_plan(subject._folder / "tram_delay.yaml", case.model)
        period = read_period(case.model, plan, case.decisions, case.outcomes, case.known_by)
        judged = read_frame(case.reference, "reference")
        now, then, _ = _comparable(plan, case.model, period, judged)
        snapshot = _run(_evidently(), plan, case.model, now, then, ["score"], case.known_by, "x")
        means = {each["config"]["column"]: each["value"] for each in snapshot.dict()["metrics"]}
        ours = case.run(subject).evidence[0].values["calibration_gap"].value
        assert means[_GAP] == pytest.approx(ours, abs=1e-12)

    @PROBABILITY
    def test_the_report_is_one_page_with_what_binds_on_top_and_nothing_from_outside(self, subject, case):
        page = case.run(subject).report.read_text()
        assert page.index("<body") < page.index("What binds") < page.index('<div id="root_metric_')
        assert "✓ passed" in page
        assert "<script src=" not in page
        assert "<link" not in page

    @PROBABILITY
    def test_another_process_writes_the_same_report(self, subject, case, monitor_file, tmp_path):
        code = (
            "import sys; from datetime import datetime; from pathlib import Path;"
            "from tidegate.adapters.evidently_monitor.monitors import EvidentlyMonitors;"
            "from tidegate.application.ports import Frame, Segment;"
            "from tidegate.testing.material import model_spec;"
            "p = [Path(each) for each in sys.argv[1:6]]; named = sys.argv[6:9];"
            "r = EvidentlyMonitors(p[0], p[1]).run(model_spec(p[1]), Segment(named[0], p[2], 0),"
            " Frame(named[1], p[3], 0), Frame(named[2], p[4], 0),"
            " datetime.fromisoformat(sys.argv[9]), 'a month'); print(r.report_digest)"
        )
        files = (case.decisions.path, case.reference.path, case.outcomes.path)
        named = (case.decisions.root, case.reference.digest, case.outcomes.digest)
        arguments = (monitor_file.parent, tmp_path / "other", *files, *named, KNOWN_BY.isoformat())
        command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == case.run(subject).report_digest

    @PROBABILITY
    def test_a_row_that_occurs_twice_is_refused(self, subject, case_of):
        rows = scored()
        with pytest.raises(BadInput) as caught:
            case_of([*rows, rows[0]], rows).run(subject)
        assert caught.value.code == "monitor-keys"
        assert "got 1 decisions whose line, trip, departs_at occur more than once" in caught.value.sentence

    @PROBABILITY
    def test_a_missing_column_or_file_has_a_name(self, subject, case):
        other = replace(case, model=replace(case.model, numeric=("load", "stops", "speed")))
        with pytest.raises(BadInput) as caught:
            other.run(subject)
        assert caught.value.code == "monitor-columns"
        assert "without speed" in caught.value.sentence
        case.decisions.path.write_bytes(b"no parquet")
        with pytest.raises(DependencyFailed) as broken:
            case.run(subject)
        assert broken.value.code == "frame-unreadable"

    @PROBABILITY
    def test_a_declaration_that_has_lost_an_input_since_accuses_nobody(self, subject, case, monitor_file):
        monitor_file.write_text(MONITOR.replace("load, stops, line", "load, line"))
        fewer = replace(case, model=replace(case.model, numeric=("load",)))
        assert fewer.run(subject).verdict is P

    @PROBABILITY
    def test_a_monitor_with_mistakes_reports_all_of_them_with_lines(self, subject, case, monitor_file):
        text = MONITOR
        for old, new in [
            ("monitor: tram_delay", "monitor: bus_delay"),
            ("days: 10", "days: 1"),
            ("{within: 0.08}", "{within: 0.08, at_most: 1}"),
            ("  roc_auc:", "  speed:"),
            ("columns: [score, load", "columns: [score, loud"),
        ]:
            assert old in text
            text = text.replace(old, new)
        monitor_file.write_text(text)
        with pytest.raises(BadInput) as caught:
            case.run(subject)
        assert caught.value.code == "monitor"
        assert [(each["line"], each["sentence"].split(",")[0]) for each in caught.value.data["faults"]] == [
            (1, "got 'bus_delay'"),
            (3, "got '1'"),
            (5, "got 2 limits"),
            (7, "got 'speed'"),
            (11, "got 'loud'"),
        ]

    @PROBABILITY
    def test_a_model_without_a_monitor_is_bad_input(self, subject, case):
        other = replace(case, model=replace(case.model, name="bus_delay"))
        with pytest.raises(BadInput) as caught:
            other.run(subject)
        assert caught.value.code == "monitor"
        assert "bus_delay.yaml" in caught.value.sentence


SOUND = "view: carrier_day\nbaseline: 2013-04\nminimum_rows: 300\nlimits: {psi: 0.2, missing_shift: 0.05}\n"


class TestLimitsOfFeatures:
    """``monitoring/features/VIEW.yaml``: what is allowed of a view, and every fault with its line."""

    @pytest.fixture
    def file(self, tmp_path):
        (tmp_path / "monitoring" / "features").mkdir(parents=True)
        return tmp_path / "monitoring" / "features" / "carrier_day.yaml"

    def limits(self, tmp_path):
        return EvidentlyMonitors(tmp_path / "monitoring", tmp_path / "home").limits("carrier_day")

    def test_a_sound_file_says_the_baseline_and_the_limits(self, file, tmp_path):
        file.write_text(SOUND)
        allowed = self.limits(tmp_path)
        assert (allowed.baseline, allowed.minimum_rows) == ("2013-04", 300)
        assert dict(allowed.limits) == {"missing_shift": 0.05, "psi": 0.2}
        file.write_text(SOUND.replace("2013-04", "2013"))
        assert self.limits(tmp_path).baseline == "2013"

    def test_without_a_file_it_says_where_one_is_expected(self, tmp_path):
        with pytest.raises(BadInput) as refused:
            self.limits(tmp_path)
        assert refused.value.code == "feature-limits"
        assert refused.value.sentence == (
            "got no monitoring/features/carrier_day.yaml, expected what is allowed of carrier_day: "
            "without limits there is no verdict"
        )

    @pytest.mark.parametrize(
        ("sound", "broken", "fault"),
        [
            ("view: carrier_day", "view: route_day", "line 1: got 'route_day', expected the file's own view"),
            ("2013-04", "April", "line 2: got 'April', expected a period like 2026, 2026-01 or 2026-01-31"),
            ("2013-04", "2013-13", "line 2: got '2013-13', expected a period"),
            ("baseline: 2013-04", "baseline:", "line 2: got nothing, expected a period"),
            ("300", "1", "line 3: got '1', expected a whole number from 2 to"),
            ("psi: 0.2", "psi: high", "line 4: got 'high', expected a number from 0 to"),
            ("psi: 0.2", "psi: .nan", "line 4: got '.nan', expected a number from 0 to"),
            ("missing_shift: 0.05", "missing_shift: 5", "line 4: got '5', expected a number from 0 to 1"),
            ("psi: 0.2", "ks: 0.2", "line 4: got 'ks', expected one of missing_shift, mean_shift, psi"),
            ("{psi: 0.2, missing_shift: 0.05}", "{}", "line 4: got no limit, expected at least one of"),
            ("limits: {psi: 0.2, missing_shift: 0.05}", "", "got no limits, expected view, baseline"),
            ("minimum_rows", "rows", "line 3: got 'rows', expected one of view, baseline, minimum_rows"),
        ],
    )
    def test_a_fault_is_named_with_its_line(self, file, tmp_path, sound, broken, fault):
        assert sound in SOUND
        file.write_text(SOUND.replace(sound, broken))
        with pytest.raises(BadInput) as refused:
            self.limits(tmp_path)
        assert refused.value.sentence.startswith("monitoring/features/carrier_day.yaml has ")
        assert fault in refused.value.sentence

    def test_every_fault_is_told_at_once(self, file, tmp_path):
        file.write_text("view: x\nbaseline: x\nminimum_rows: x\nlimits: {psi: x}\n")
        with pytest.raises(BadInput) as refused:
            self.limits(tmp_path)
        assert [each["line"] for each in refused.value.data["faults"]] == [1, 2, 3, 4]


class TestFakeMonitors(MonitorsContract):
    @pytest.fixture
    def subject(self, tmp_path):
        return FakeMonitors(tmp_path / "home")

    @pytest.fixture
    def case(self, case_of):
        return case_of()


def test_the_adapter_imports_no_heavy_library():
    code = (
        "import sys; import tidegate.adapters.evidently_monitor, tidegate.adapters.policy_files,"
        " tidegate.adapters.cel_expressions;"
        "heavy = ('evidently', 'pandas', 'numpy', 'pyarrow', 'ruamel.yaml', 'cel');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_team_s_own_monitor_reads(tmp_path):
    from tidegate.adapters.evidently_monitor.declaration import read_plan
    from tidegate.adapters.model_folders import ModelFolders

    root = Path(__file__).parents[2]
    plan = read_plan(
        root / "monitoring" / "flight_delay.yaml", ModelFolders(root / "models").spec("flight_delay")
    )
    assert {"calibration_gap", "gain_over_base_rate", "missing_share"} <= set(plan.binding)
    assert plan.minimum_rows >= 1000
