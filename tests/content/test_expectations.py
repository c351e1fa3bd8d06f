"""The reference contracts and suites: real data passes, and every rule catches what it is for."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tidegate.adapters.arrow_batches import ArrowBatches
from tidegate.adapters.contract_files import ContractFiles
from tidegate.adapters.gx_gate import GxGate
from tidegate.domain.contract import Contract, GateReport, OnRow, Severity, judge
from tidegate.domain.evidence import Verdict

ROOT = Path(__file__).parents[2]
EXPECTATIONS = ROOT / "expectations"
FLIGHTS = ContractFiles(EXPECTATIONS).load("flights")
AIRPORTS = ContractFiles(EXPECTATIONS).load("airports")
GATE = GxGate(EXPECTATIONS / "suites")
FEBRUARY = datetime(2013, 2, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def drops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    spec = importlib.util.spec_from_file_location("feed", ROOT / "pipelines" / "feed.py")
    assert spec is not None
    assert spec.loader is not None
    feed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(feed)
    names = ["2013-01", "2013-02", "2013-07"]
    paths = feed.deliver(names, tmp_path_factory.mktemp("drops"))
    return dict(zip([*names, "airports"], paths, strict=True))


@pytest.fixture(scope="module")
def january(drops: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return ArrowBatches(tmp_path_factory.mktemp("home")).read(drops["2013-01"], FLIGHTS)


@pytest.fixture(scope="module")
def airports(drops: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return ArrowBatches(tmp_path_factory.mktemp("home")).read(drops["airports"], AIRPORTS)


def judged(contract: Contract, table: pa.Table, now: datetime = FEBRUARY + timedelta(days=1)) -> GateReport:
    return judge(contract, table.num_rows, GATE.run(contract, table), FEBRUARY, now)


def planted(table: pa.Table, changes: Mapping[int, Mapping[str, object]]) -> pa.Table:
    """Return the table with some cells changed."""
    for name in table.column_names:
        cells = {row: cell[name] for row, cell in changes.items() if name in cell}
        if cells:
            values = table.column(name).to_pylist()
            for row, value in cells.items():
                values[row] = value
            table = table.set_column(
                table.column_names.index(name), name, pa.array(values, table.schema.field(name).type)
            )
    return table


# ── the files ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["flights", "airports"])
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
    assert set(suites) == {"flights", "airports"}
    for contract in (FLIGHTS, AIRPORTS):
        expectations = suites[contract.dataset].expectations
        assert [part.meta["rule"] for part in expectations] == [check.id for check in contract.checks]
        assert [str(part.severity.value) for part in expectations] == [
            check.severity for check in contract.checks
        ]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")
@pytest.mark.parametrize("name", ["flights", "airports"])
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
    assert FLIGHTS.key == ("year", "month", "day", "origin", "carrier", "flight")
    assert (FLIGHTS.owner, FLIGHTS.max_age) == ("flight-operations", timedelta(days=10))
    assert FLIGHTS.period_columns == ("year", "month")
    assert (AIRPORTS.owner, AIRPORTS.key, AIRPORTS.max_age) == ("reference-data", ("faa",), None)
    assert {column.classification for column in (*FLIGHTS.columns, *AIRPORTS.columns)} == {"public"}


def test_the_zones_of_the_four_absent_airports_are_declared(airports: pa.Table) -> None:
    declared = {row["faa"]: row["tzone"] for row in AIRPORTS.declared["zones"]}
    assert declared == {
        "SJU": "America/Puerto_Rico", "BQN": "America/Puerto_Rico", "PSE": "America/Puerto_Rico",
        "STT": "America/St_Thomas",
    }  # fmt: skip
    assert not declared.keys() & set(airports.column("faa").to_pylist())


def test_the_volume_is_one_number_in_both_files() -> None:
    suite = json.loads((EXPECTATIONS / "suites" / "flights.json").read_text())
    rows = next(part["kwargs"] for part in suite["expectations"] if part["meta"]["rule"] == "F02")
    assert (rows["min_value"], rows["max_value"]) == (FLIGHTS.min_rows, FLIGHTS.max_rows)


def test_severity_and_what_happens_to_rows_are_two_things() -> None:
    rows = {(check.severity, check.on_row) for check in FLIGHTS.checks if check.row_level}
    assert (Severity.CRITICAL, OnRow.QUARANTINE) in rows
    assert (Severity.WARNING, OnRow.QUARANTINE) in rows
    assert (Severity.WARNING, OnRow.KEEP) in rows
    assert (Severity.INFO, OnRow.KEEP) in rows


# ── the real data ─────────────────────────────────────────────────────────────────────────────────


def test_january_passes_and_its_rows_reconcile(january: pa.Table) -> None:
    report = judged(FLIGHTS, january)
    assert (report.verdict, report.stops) == (Verdict.PASSED, ())
    assert (report.read, report.accepted, report.quarantined) == (27_004, 27_004, 0)
    assert [result.check.id for result in report.results if result.verdict is not Verdict.PASSED] == ["F42"]


def test_a_destination_absent_from_the_airports_is_no_ground_for_quarantine(
    january: pa.Table, airports: pa.Table
) -> None:
    gaps = pc.invert(pc.is_in(january.column("dest"), airports.column("faa").combine_chunks()))
    assert pc.sum(gaps).as_py() > 500
    assert judged(FLIGHTS, january).quarantined == 0


@pytest.mark.parametrize(
    ("month", "rule", "column", "value"),
    [("2013-02", "F41", "tailnum", "D942DN"), ("2013-07", "F31", "distance", 17)],
)
def test_a_really_bad_row_is_quarantined_for_its_reason(
    drops: dict[str, Path], tmp_path: Path, month: str, rule: str, column: str, value: object
) -> None:
    table = ArrowBatches(tmp_path).read(drops[month], FLIGHTS)
    reasons = judged(FLIGHTS, table).reasons
    held = [position for position, rules in reasons.items() if rule in rules]
    assert [table.column(column)[position].as_py() for position in held] == [value]


def test_airports_without_a_zone_or_on_the_wrong_side_of_the_earth_are_quarantined(
    airports: pa.Table,
) -> None:
    report = judged(AIRPORTS, airports)
    codes = airports.column("faa").to_pylist()
    assert report.verdict is Verdict.PASSED
    assert {codes[position]: rules for position, rules in report.reasons.items()} == {
        "DVT": ("A10", "A11", "A12"), "MYF": ("A10", "A11", "A12"), "EEN": ("A08", "A09", "A10"),
        "LRO": ("A08",), "YAK": ("A08",),
    }  # fmt: skip
    assert report.read == report.accepted + report.quarantined == 1458


def test_a_late_drop_is_held_back_whole(january: pa.Table) -> None:
    report = judged(FLIGHTS, january, FEBRUARY + timedelta(days=11))
    assert [(stop.rule, stop.code) for stop in report.stops] == [("G5", "freshness")]
    assert report.accepted == 0


# ── every rule catches what it is for ─────────────────────────────────────────────────────────────

LEFT: Mapping[str, object] = {"dep_time": 900, "dep_delay": 1, "arr_time": 1000, "arr_delay": 1,
                              "air_time": 40, "tailnum": "N12345", "distance": 500,
                              "flight": 7001}  # fmt: skip
GONE: Mapping[str, object] = dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"))

#: For each row-level rule, the cells that break it; what else they break is not looked at.
FLIGHT_FAULTS: Mapping[str, Mapping[str, object]] = {
    "F05": {"year": None}, "F06": {"month": None}, "F07": {"day": None}, "F08": {"sched_dep_time": None},
    "F09": {"sched_arr_time": None}, "F10": {"carrier": None}, "F11": {"flight": None},
    "F12": {"origin": None},
    "F13": {"dest": None}, "F14": {"distance": None}, "F15": {"hour": None}, "F16": {"minute": None},
    "F17": {"time_hour": None}, "F18": {"year": 2014}, "F19": {"month": 13}, "F20": {"day": 32},
    "F21": {"hour": 24}, "F22": {"minute": 60}, "F23": {"sched_dep_time": 1260}, "F24": {"dep_time": 2401},
    "F25": {"time_hour": datetime(2013, 1, 1, 10, 30, tzinfo=UTC)}, "F26": {"carrier": "UAL"},
    "F27": {"origin": "BOS"}, "F28": {"dest": "lax"}, "F29": {"origin": "JFK", "dest": "JFK"},
    "F30": {"flight": 0},
    "F31": {"distance": 17}, "F32": {"air_time": 5}, "F33": {"distance": 100, "air_time": 100},
    "F34": {"dep_delay": 2000}, "F35": {"arr_delay": -500}, "F36": {"dep_delay": None},
    "F37": {**GONE, "arr_delay": 3}, "F38": {**GONE, "arr_time": 900}, "F39": {"arr_time": None},
    "F40": {"tailnum": None}, "F41": {"tailnum": "D942DN"}, "F42": {"flight": 8500},
}  # fmt: skip

AIRPORT_FAULTS: Mapping[str, Mapping[str, object]] = {
    "A02": {"faa": None}, "A04": {"faa": "jfk"}, "A05": {"name": None}, "A06": {"lat": None},
    "A07": {"lon": None},
    "A08": {"tzone": None}, "A09": {"lat": 5.0}, "A10": {"lon": 74.0, "tz": -5}, "A11": {"tz": 5},
    "A12": {"tzone": "Europe/Paris"}, "A13": {"dst": "X"},
}  # fmt: skip


def _whole(contract: Contract) -> set[str]:
    return {check.id for check in contract.checks if not check.row_level}


def test_every_rule_has_a_planted_fault() -> None:
    assert {*FLIGHT_FAULTS, "F04", *_whole(FLIGHTS)} == {check.id for check in FLIGHTS.checks}
    assert {*AIRPORT_FAULTS, "A03", *_whole(AIRPORTS)} == {check.id for check in AIRPORTS.checks}
    assert _whole(FLIGHTS) == {"F01", "F02", "F03"}
    assert _whole(AIRPORTS) == {"A01"}


def _assert_caught(
    contract: Contract, table: pa.Table, faults: Mapping[str, Mapping[str, object]], **base: Any
) -> None:
    at = {rule: 10 * place for place, rule in enumerate(faults, 1)}
    broken = planted(table, {at[rule]: {**base, **faults[rule]} for rule in faults})
    results = {result.check.id: result for result in GATE.run(contract, broken)}
    missed = [rule for rule in faults if at[rule] not in results[rule].failing]
    assert not missed
    report = judge(contract, table.num_rows, tuple(results.values()), FEBRUARY, FEBRUARY)
    kept = {check.id for check in contract.checks if check.on_row is OnRow.KEEP}
    for rule in faults:
        reasons = report.reasons.get(at[rule], ())
        assert (rule in reasons) is (rule not in kept), rule
    assert report.verdict is Verdict.PASSED


def test_each_planted_fault_of_a_flight_is_caught_by_the_rule_meant_for_it(january: pa.Table) -> None:
    _assert_caught(FLIGHTS, january, FLIGHT_FAULTS, **LEFT)


def test_each_planted_fault_of_an_airport_is_caught_by_the_rule_meant_for_it(airports: pa.Table) -> None:
    # On sound airports only, so that each rule fails its own row and no other.
    sound = airports.filter(pc.equal(airports.column("tzone"), "America/Chicago"))
    at = {rule: 10 * place for place, rule in enumerate(AIRPORT_FAULTS, 1)}
    results = GATE.run(AIRPORTS, planted(sound, {at[rule]: AIRPORT_FAULTS[rule] for rule in at}))
    assert {r.check.id: r.failing for r in results if r.check.id in at} == {rule: (at[rule],) for rule in at}


@pytest.mark.parametrize(
    ("rule", "contract", "key"), [("F04", FLIGHTS, FLIGHTS.key), ("A03", AIRPORTS, AIRPORTS.key)]
)
def test_every_copy_of_a_repeated_key_is_quarantined(
    rule: str, contract: Contract, key: tuple[str, ...], january: pa.Table, airports: pa.Table
) -> None:
    table = january if contract is FLIGHTS else airports
    copy = {name: table.column(name)[100].as_py() for name in key}
    report = judged(contract, planted(table, {200: copy, 300: copy}))
    assert [position for position, rules in report.reasons.items() if rule in rules] == [100, 200, 300]


def test_a_flight_number_flown_from_two_airports_on_one_day_is_no_copy(january: pa.Table) -> None:
    copy = {name: january.column(name)[100].as_py() for name in FLIGHTS.key}
    other = next(code for code in ("EWR", "JFK", "LGA") if code != copy["origin"])
    report = judged(FLIGHTS, planted(january, {200: {**copy, "origin": other}}))
    assert not [rules for rules in report.reasons.values() if "F04" in rules]


def test_a_missing_column_stops_the_drop(january: pa.Table, airports: pa.Table) -> None:
    for contract, table, rule in ((FLIGHTS, january, "F01"), (AIRPORTS, airports, "A01")):
        results = {r.check.id: r for r in GATE.run(contract, table.drop_columns([table.column_names[-1]]))}
        assert results[rule].verdict is Verdict.FAILED
        assert f"missing {table.column_names[-1]}" in results[rule].observed


def test_too_few_rows_and_a_silent_airport_stop_the_drop(january: pa.Table) -> None:
    few = january.filter(pc.not_equal(january.column("origin"), "EWR"))
    report = judged(FLIGHTS, few)
    assert report.verdict is Verdict.FAILED
    assert [stop.code for stop in report.stops] == ["critical-check", "critical-check", "volume"]
    assert "All three airports report" in report.stops[1].sentence
    assert report.accepted == 0
    assert report.quarantined == report.read


def test_too_many_bad_rows_stop_the_drop(january: pa.Table) -> None:
    report = judged(FLIGHTS, planted(january, {row: {"carrier": None} for row in range(300)}))
    assert [(stop.rule, stop.code) for stop in report.stops] == [("G3", "quarantine-share")]
