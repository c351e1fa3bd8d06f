"""The reference contracts and suites: real data passes, and every rule catches what it is for."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tidegate.adapters.contract_files import ContractFiles
from tidegate.adapters.gx_gate import GxGate
from tidegate.domain.contract import (
    Contract,
    GateReport,
    OnRow,
    Reference,
    Severity,
    judge,
)
from tidegate.domain.evidence import Verdict

ROOT = Path(__file__).parents[2]
EXPECTATIONS = ROOT / "expectations"
NAMES = ("airports", "arrivals", "flights", "planes", "weather")
CONTRACTS = {name: ContractFiles(EXPECTATIONS).load(name) for name in NAMES}
AIRPORTS, ARRIVALS, FLIGHTS, PLANES, WEATHER = CONTRACTS.values()
GATE = GxGate(EXPECTATIONS / "suites")
CLOSED = datetime(2013, 2, 1, tzinfo=UTC)  # when the period is said to have closed


@pytest.fixture(scope="module")
def january(drops: Any) -> pa.Table:
    return drops["flights-2013-01"]


@pytest.fixture(scope="module")
def airports(drops: Any) -> pa.Table:
    return drops["airports-2013"]


def findings(report: GateReport) -> dict[str, int]:
    """Return how many rows broke each check that did not pass."""
    return {one.check.id: len(one.failing) for one in report.results if one.verdict is not Verdict.PASSED}


# ── the files ─────────────────────────────────────────────────────────────────────────────────────


def test_every_dataset_of_the_feed_is_under_contract() -> None:
    assert ContractFiles(EXPECTATIONS).datasets() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_is_a_valid_open_data_contract(name: str) -> None:
    from importlib.resources import files

    import jsonschema
    from open_data_contract_standard.model import OpenDataContractStandard
    from ruamel.yaml import YAML

    path = EXPECTATIONS / "contracts" / f"{name}.yaml"
    model = OpenDataContractStandard.from_file(str(path))
    assert model.name == name
    assert model.schema_ is not None
    assert model.schema_[0].quality is not None
    standard = json.loads((files("open_data_contract_standard") / "schema.json").read_text())
    jsonschema.validate(YAML(typ="safe", pure=True).load(path), standard)


@pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")  # GX's own imports
def test_the_folder_is_a_native_project_and_reading_it_leaves_nothing_behind(tmp_path: Path) -> None:
    import great_expectations as gx

    folder = tmp_path / "expectations"
    shutil.copytree(EXPECTATIONS, folder, ignore=shutil.ignore_patterns("uncommitted", "plugins"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    context = gx.get_context(context_root_dir=folder)
    suites = {suite.name: suite for suite in context.suites.all()}
    assert set(suites) == set(NAMES)
    for contract in CONTRACTS.values():
        expectations = suites[contract.dataset].expectations
        assert [part.meta["rule"] for part in expectations] == [check.id for check in contract.checks]
        assert [str(part.severity.value) for part in expectations] == [
            check.severity for check in contract.checks
        ]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_the_suite_is_written_as_gx_itself_writes_it(name: str, tmp_path: Path) -> None:
    import great_expectations as gx

    shutil.copy(EXPECTATIONS / "great_expectations.yml", tmp_path)
    written = json.loads((EXPECTATIONS / "suites" / f"{name}.json").read_text())
    context = gx.get_context(context_root_dir=tmp_path)
    context.suites.add(
        gx.ExpectationSuite(**{k: written[k] for k in ("name", "id", "expectations", "notes")})
    )
    again = json.loads((tmp_path / "suites" / f"{name}.json").read_text())
    for suite in (written, again):
        suite["meta"], suite["id"] = {}, ""  # GX's version, and ids that GX draws anew whenever it adds
        for part in suite["expectations"]:
            part["id"] = ""
    assert again == written


def test_the_contracts_say_who_owns_what_by_when() -> None:
    promised = {name: (one.owner, one.max_age, one.period_columns) for name, one in CONTRACTS.items()}
    ten, month = timedelta(days=10), ("year", "month")
    assert promised == {
        "airports": ("reference-data", None, ()),
        "arrivals": ("flight-operations", ten, month),
        "flights": ("flight-operations", ten, month),
        "planes": ("reference-data", None, ()),
        "weather": ("weather-desk", ten, month),
    }
    assert FLIGHTS.key == ARRIVALS.key == ("year", "month", "day", "origin", "carrier", "flight")
    assert (WEATHER.key, PLANES.key, AIRPORTS.key) == (("origin", "time_hour"), ("tailnum",), ("faa",))
    columns = [column for contract in CONTRACTS.values() for column in contract.columns]
    assert {column.classification for column in columns} == {"public"}


def test_nothing_of_the_outcome_is_known_with_the_departure() -> None:
    departures, outcomes = ({column.name for column in one.columns} for one in (FLIGHTS, ARRIVALS))
    assert outcomes - departures == {"arr_time", "arr_delay", "air_time"}
    assert departures & outcomes == set(FLIGHTS.key)


def test_flights_refer_to_planes_and_airports_and_nothing_else_refers() -> None:
    assert FLIGHTS.references == (
        Reference("tailnum", "planes", "tailnum"), Reference("dest", "airports", "faa")
    )  # fmt: skip
    assert not [name for name, one in CONTRACTS.items() if one.references and name != "flights"]


def test_the_zones_of_the_four_absent_airports_are_declared(airports: pa.Table) -> None:
    declared = {row["faa"]: row["tzone"] for row in AIRPORTS.declared["zones"]}
    assert declared == {
        "SJU": "America/Puerto_Rico", "BQN": "America/Puerto_Rico", "PSE": "America/Puerto_Rico",
        "STT": "America/St_Thomas",
    }  # fmt: skip
    assert not declared.keys() & set(airports.column("faa").to_pylist())


@pytest.mark.parametrize(("contract", "rule"), [(FLIGHTS, "F02"), (ARRIVALS, "R02"), (WEATHER, "W02")])
def test_the_volume_is_one_number_in_both_files(contract: Contract, rule: str) -> None:
    suite = json.loads((EXPECTATIONS / "suites" / f"{contract.dataset}.json").read_text())
    rows = next(part["kwargs"] for part in suite["expectations"] if part["meta"]["rule"] == rule)
    assert (rows["min_value"], rows["max_value"]) == (contract.min_rows, contract.max_rows)


def test_severity_and_what_happens_to_rows_are_two_things() -> None:
    rows = {(check.severity, check.on_row) for check in FLIGHTS.checks if check.row_level}
    assert (Severity.CRITICAL, OnRow.QUARANTINE) in rows
    assert (Severity.WARNING, OnRow.QUARANTINE) in rows
    assert (Severity.WARNING, OnRow.KEEP) in rows
    assert (Severity.INFO, OnRow.KEEP) in rows


# ── the real data ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("drop", "read", "found", "quarantined"),
    [
        ("flights-2013-01", 27_004, {"F42": 1, "F43": 4_324}, 0),
        ("flights-2013-07", 29_425, {"F29": 1, "F31": 1, "F41": 1, "F43": 4_349}, 2),
        ("arrivals-2013-07", 28_485, {"R23": 192}, 0),
        ("weather-2013-01", 2_226, {}, 0),
        ("weather-2013-02", 2_010, {"W24": 1}, 1),
        ("weather-2013-03", 2_227, {}, 0),
        ("weather-2013-11", 2_141, {"W18": 6}, 0),
        ("weather-2013-12", 2_144, {}, 0),
        ("planes-2013", 3_322, {"P05": 70}, 0),
    ],
)
def test_a_real_drop_passes_with_its_findings_and_its_rows_reconcile(
    drops: Any, drop: str, read: int, found: dict[str, int], quarantined: int
) -> None:
    report = drops.judged(CONTRACTS[drop.partition("-")[0]], drops[drop])
    assert (report.verdict, report.stops) == (Verdict.PASSED, ())
    assert (report.read, report.accepted, report.quarantined) == (read, read - quarantined, quarantined)
    assert findings(report) == found


def test_a_name_absent_from_another_table_is_a_finding_and_no_ground_for_quarantine(
    drops: Any, january: pa.Table
) -> None:
    found = {
        declared: {one.check.id: one for one in GATE.run(FLIGHTS, january, drops.references(declared))}
        for declared in (True, False)
    }
    for results in found.values():
        assert (results["F43"].verdict, len(results["F43"].failing)) == (Verdict.FAILED, 4_324)
        assert (results["F43"].check.severity, results["F43"].check.on_row) == (Severity.INFO, OnRow.KEEP)
    undeclared = found[False]["F44"]
    absent = {january.column("dest")[position].as_py() for position in undeclared.failing}
    assert len(undeclared.failing) == 680
    assert absent == {"SJU", "BQN", "STT", "PSE"}  # the four the owner declares
    assert (found[True]["F44"].verdict, found[True]["F44"].failing) == (Verdict.PASSED, ())


def test_over_the_year_the_gaps_are_those_that_are_known(drops: Any) -> None:
    known = drops.references(declared=False)
    gaps = dict.fromkeys(("tailnum", "dest"), 0)
    for month in range(1, 13):
        table = drops[f"flights-2013-{month:02d}"]
        for column, name in (("tailnum", "planes.tailnum"), ("dest", "airports.faa")):
            values = table.column(column).drop_null()
            gaps[column] += len(values) - pc.sum(pc.is_in(values, pa.array(known[name]))).as_py()
    assert gaps == {"tailnum": 50_094, "dest": 7_602}


def test_flights_cannot_be_gated_while_nobody_says_what_planes_lists(drops: Any, january: pa.Table) -> None:
    only = {name: values for name, values in drops.references().items() if name != "planes.tailnum"}
    results = GATE.run(FLIGHTS, january, only)
    assert [one.check.id for one in results if one.verdict is Verdict.ERROR] == ["F43"]
    report = judge(FLIGHTS, january.num_rows, results, CLOSED, CLOSED)
    assert [(stop.rule, stop.code) for stop in report.stops] == [("G1", "check-errored")]


@pytest.mark.parametrize(
    ("drop", "rule", "column", "value"),
    [
        ("flights-2013-02", "F41", "tailnum", "D942DN"),
        ("flights-2013-07", "F31", "distance", 17),
        ("weather-2013-02", "W24", "wind_speed", 1048.36058),
    ],
)
def test_a_really_bad_row_is_quarantined_for_its_reason(
    drops: Any, drop: str, rule: str, column: str, value: object
) -> None:
    reasons = drops.judged(CONTRACTS[drop.partition("-")[0]], drops[drop]).reasons
    held = [position for position, rules in reasons.items() if rule in rules]
    assert [drops[drop].column(column)[position].as_py() for position in held] == [value]


def test_airports_without_a_zone_or_on_the_wrong_side_of_the_earth_are_quarantined(
    drops: Any, airports: pa.Table
) -> None:
    report = drops.judged(AIRPORTS, airports)
    codes = airports.column("faa").to_pylist()
    assert report.verdict is Verdict.PASSED
    assert {codes[position]: rules for position, rules in report.reasons.items()} == {
        "DVT": ("A10", "A11", "A12"), "MYF": ("A10", "A11", "A12"), "EEN": ("A08", "A09", "A10"),
        "LRO": ("A08",), "YAK": ("A08",),
    }  # fmt: skip
    assert report.read == report.accepted + report.quarantined == 1458


def test_a_tail_number_is_missing_only_where_the_flight_was_cancelled(january: pa.Table) -> None:
    missing = january.filter(pc.is_null(january.column("tailnum")))
    assert missing.num_rows == 155
    assert missing.column("dep_time").null_count == 155


def test_a_diverted_flight_has_a_row_without_a_delay_and_a_cancelled_one_has_none(
    drops: Any, january: pa.Table
) -> None:
    arrivals = drops["arrivals-2013-01"]
    assert january.num_rows - january.column("dep_time").null_count == arrivals.num_rows
    assert arrivals.column("arr_delay").null_count == 85


def test_the_hour_that_clocks_repeat_is_two_observations_told_apart_by_utc(drops: Any) -> None:
    november = drops["weather-2013-11"]
    results = {one.check.id: one for one in drops.results(WEATHER, november)}
    rows = november.take(pa.array(results["W18"].failing)).to_pylist()
    assert {(row["month"], row["day"], row["hour"]) for row in rows} == {(11, 3, 1)}
    assert len({(row["origin"], row["time_hour"]) for row in rows}) == 6
    assert results["W05"].verdict is Verdict.PASSED


def test_the_weather_ends_on_30_december_at_18_o_clock_and_the_month_still_passes(drops: Any) -> None:
    december = drops["weather-2013-12"]
    last = pc.max(december.column("time_hour")).as_py()
    assert last == datetime(2013, 12, 30, 23, tzinfo=UTC)  # New York is five hours behind
    assert drops.judged(WEATHER, december).accepted == december.num_rows


# ── simulated trouble ─────────────────────────────────────────────────────────────────────────────


def test_a_stale_weather_feed_is_a_warning_and_does_not_hold_the_month_back(drops: Any) -> None:
    august = drops["weather-2013-08"]
    report = drops.judged(WEATHER, august)
    assert (report.verdict, report.accepted) == (Verdict.PASSED, august.num_rows)
    (found,) = [one for one in report.results if one.verdict is not Verdict.PASSED]
    assert (found.check.id, found.check.severity, found.observed) == ("W04", Severity.WARNING, "26")


def test_the_gate_cannot_tell_the_defect_of_september_from_the_truth(drops: Any) -> None:
    wrong, right = drops["arrivals-2013-09"], drops["arrivals-2013-09.r1"]
    assert pc.mean(wrong.column("arr_delay")).as_py() < pc.mean(right.column("arr_delay")).as_py() - 10
    for table in (wrong, right):
        report = drops.judged(ARRIVALS, table)
        assert (report.verdict, report.accepted, findings(report)) == (Verdict.PASSED, 27_122, {"R23": 112})


def test_a_late_drop_is_held_back_whole(drops: Any) -> None:
    report = drops.judged(WEATHER, drops["weather-2013-01"], CLOSED + timedelta(days=11))
    assert [(stop.rule, stop.code) for stop in report.stops] == [("G5", "freshness")]
    assert report.accepted == 0
