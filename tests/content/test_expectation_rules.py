"""Every rule of the reference suites catches what it is for, and holds back what it says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tidegate.adapters.contract_files import ContractFiles
from tidegate.domain.contract import OnRow, Severity, judge
from tidegate.domain.evidence import Verdict

NAMES = ("airports", "arrivals", "flights", "planes", "weather")
CONTRACTS = {name: ContractFiles(Path(__file__).parents[2] / "expectations").load(name) for name in NAMES}
AIRPORTS, ARRIVALS, FLIGHTS, PLANES, WEATHER = CONTRACTS.values()
CLOSED = datetime(2013, 2, 1, tzinfo=UTC)  # when the period is said to have closed


@pytest.fixture(scope="module")
def january(drops: Any) -> pa.Table:
    return drops["flights-2013-01"]


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


HALF_PAST = datetime(2013, 1, 1, 10, 30, tzinfo=UTC)

#: For each dataset a sound row that faults are planted in, and for each row-level rule the cells that break
#: it; what else they break is not looked at. Uniqueness has a test of its own.
SOUND: Mapping[str, Mapping[str, object]] = {
    "flights": {"dep_time": 900, "dep_delay": 1, "tailnum": "N14228", "distance": 500, "flight": 7001},
    "arrivals": {"arr_time": 1000, "arr_delay": 1, "air_time": 40, "flight": 7001},
    "weather": {"temp": 40.0, "dewp": 30.0, "wind_speed": 5.0, "wind_gust": 20.0},
    "planes": {"year": 2000, "speed": 400},
    "airports": {},
}
FAULTS: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "flights": {
        "F05": {"year": None}, "F06": {"month": None}, "F07": {"day": None},
        "F08": {"sched_dep_time": None}, "F09": {"sched_arr_time": None}, "F10": {"carrier": None},
        "F11": {"flight": None}, "F12": {"origin": None}, "F13": {"dest": None}, "F14": {"distance": None},
        "F15": {"hour": None}, "F16": {"minute": None}, "F17": {"time_hour": None}, "F18": {"year": 2014},
        "F19": {"month": 13}, "F20": {"day": 32}, "F21": {"hour": 24}, "F22": {"minute": 60},
        "F23": {"sched_dep_time": 1260}, "F24": {"dep_time": 2401}, "F25": {"time_hour": HALF_PAST},
        "F26": {"carrier": "UAL"}, "F27": {"origin": "BOS"}, "F28": {"dest": "lax"},
        "F29": {"origin": "EWR", "dest": "JFK"}, "F30": {"flight": 0}, "F31": {"distance": 17},
        "F34": {"dep_delay": 2000}, "F36": {"dep_delay": None}, "F40": {"tailnum": None},
        "F41": {"tailnum": "D942DN"}, "F42": {"flight": 8500}, "F43": {"tailnum": "N00000"},
        "F44": {"dest": "XXX"},
    },
    "arrivals": {
        "R06": {"year": None}, "R07": {"month": None}, "R08": {"day": None}, "R09": {"origin": None},
        "R10": {"carrier": None}, "R11": {"flight": None}, "R12": {"year": 2014}, "R13": {"month": 0},
        "R14": {"day": 32}, "R15": {"origin": "BOS"}, "R16": {"carrier": "UAL"}, "R17": {"flight": 0},
        "R18": {"arr_time": 2460}, "R19": {"arr_delay": -500}, "R20": {"air_time": 5},
        "R21": {"arr_time": None}, "R22": {"air_time": None}, "R23": {"arr_delay": None},
    },
    "weather": {
        "W06": {"origin": None}, "W07": {"year": None}, "W08": {"month": None}, "W09": {"day": None},
        "W10": {"hour": None}, "W11": {"time_hour": None}, "W12": {"origin": "BOS"}, "W13": {"year": 2014},
        "W14": {"month": 13}, "W15": {"day": 0}, "W16": {"hour": 24}, "W17": {"time_hour": HALF_PAST},
        "W19": {"temp": 200.0}, "W20": {"dewp": -80.0}, "W21": {"temp": 40.0, "dewp": 41.0},
        "W22": {"humid": 101.0}, "W23": {"wind_dir": 361}, "W24": {"wind_speed": 1048.36058},
        "W25": {"wind_gust": 250.0}, "W26": {"wind_speed": 30.0, "wind_gust": 29.0}, "W27": {"precip": -0.1},
        "W28": {"pressure": 30.1}, "W29": {"visib": 11.0},
    },
    "planes": {
        "P02": {"tailnum": None}, "P04": {"tailnum": "D942DN"}, "P05": {"year": None}, "P06": {"year": 0},
        "P07": {"type": "Balloon"}, "P08": {"manufacturer": None}, "P09": {"model": None},
        "P10": {"engines": 8}, "P11": {"seats": 0}, "P12": {"speed": 5}, "P13": {"engine": "Rubber band"},
    },
    "airports": {
        "A02": {"faa": None}, "A04": {"faa": "jfk"}, "A05": {"name": None}, "A06": {"lat": None},
        "A07": {"lon": None}, "A08": {"tzone": None}, "A09": {"lat": 5.0}, "A10": {"lon": 74.0, "tz": -5},
        "A11": {"tz": 5}, "A12": {"tzone": "Europe/Paris"}, "A13": {"dst": "X"},
    },
}  # fmt: skip

#: The rules about copies, each with the columns that make a copy.
UNIQUE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "F04": ("flights-2013-01", FLIGHTS.key),
    "R05": ("arrivals-2013-01", ARRIVALS.key),
    "W05": ("weather-2013-01", WEATHER.key),
    "W18": ("weather-2013-01", ("origin", "year", "month", "day", "hour")),
    "P03": ("planes-2013", PLANES.key),
    "A03": ("airports-2013", AIRPORTS.key),
}

#: What is done to a drop as a whole, and the rules it breaks.
WHOLE: Mapping[tuple[str, str], set[str]] = {
    ("flights-2013-01", "column"): {"F01"},
    ("flights-2013-01", "origin"): {"F02", "F03"},
    ("arrivals-2013-01", "column"): {"R01"},
    ("arrivals-2013-01", "origin"): {"R02", "R03"},
    ("arrivals-2013-01", "days"): {"R04"},
    ("arrivals-2013-01", "arr_delay"): {"R24"},
    ("weather-2013-01", "column"): {"W01"},
    ("weather-2013-01", "origin"): {"W02", "W03"},
    ("weather-2013-01", "days"): {"W04"},
    ("weather-2013-01", "temp"): {"W30"},
    ("weather-2013-01", "humid"): {"W31"},
    ("weather-2013-01", "wind_speed"): {"W32"},
    ("weather-2013-01", "precip"): {"W33"},
    ("weather-2013-01", "visib"): {"W34"},
    ("weather-2013-01", "pressure"): {"W35"},
    ("planes-2013", "column"): {"P01"},
    ("airports-2013", "column"): {"A01"},
}


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_has_a_planted_fault(name: str) -> None:
    checks = CONTRACTS[name].checks
    prefix = checks[0].id[0]
    whole = {rule for rules in WHOLE.values() for rule in rules if rule[0] == prefix}
    assert {check.id for check in checks if not check.row_level} == whole
    copies = {one for one in UNIQUE if one[0] == prefix}
    assert {check.id for check in checks if check.row_level} == {*FAULTS[name], *copies}


@pytest.mark.parametrize(
    "drop", ["flights-2013-01", "arrivals-2013-01", "weather-2013-01", "planes-2013", "airports-2013"]
)
def test_each_planted_fault_is_caught_by_the_rule_meant_for_it_and_set_aside_where_it_says_so(
    drops: Any, drop: str
) -> None:
    name = drop.partition("-")[0]
    contract, table, faults = CONTRACTS[name], drops[drop], FAULTS[name]
    if name == "airports":  # on sound airports only: the real drop has unsound ones
        table = table.filter(pc.equal(table.column("tzone"), "America/Chicago"))
    table = table.slice(0, 1000)
    at = {rule: 10 * place for place, rule in enumerate(faults, 1)}
    results = drops.results(
        contract, planted(table, {at[rule]: {**SOUND[name], **faults[rule]} for rule in faults})
    )
    failing = {one.check.id: one.failing for one in results}
    assert not [rule for rule in faults if at[rule] not in failing[rule]]
    report = judge(contract, table.num_rows, results, CLOSED, CLOSED)
    kept = {check.id for check in contract.checks if check.on_row is OnRow.KEEP}
    for rule in faults:
        held = [code for code in report.reasons.get(at[rule], ()) if not code.startswith("batch:")]
        assert (rule in held) is (rule not in kept), rule


@pytest.mark.parametrize("rule", UNIQUE)
def test_every_copy_of_a_repeated_key_is_named(drops: Any, rule: str) -> None:
    drop, key = UNIQUE[rule]
    copy = {name: drops[drop].column(name)[100].as_py() for name in key}
    contract = CONTRACTS[drop.partition("-")[0]]
    results = drops.results(contract, planted(drops[drop].slice(0, 1000), {200: copy, 300: copy}))
    assert next(one.failing for one in results if one.check.id == rule) == (100, 200, 300)


@pytest.mark.parametrize(("drop", "what"), WHOLE)
def test_a_drop_that_is_wrong_as_a_whole_fails_the_rules_meant_for_it_and_no_other(
    drops: Any, drop: str, what: str
) -> None:
    table, contract = drops[drop], CONTRACTS[drop.partition("-")[0]]
    match what:
        case "column":
            table = table.drop_columns([table.column_names[-1]])
        case "origin":
            table = table.filter(pc.equal(table.column("origin"), "JFK"))
        case "days":
            table = table.filter(pc.less_equal(table.column("day"), 27))
        case _:
            table = planted(table, {row: {what: None} for row in range(table.num_rows // 4)})
    whole = [one for one in drops.results(contract, table) if not one.check.row_level]
    assert {one.check.id for one in whole if one.verdict is Verdict.FAILED} == WHOLE[drop, what]
    stops = judge(contract, table.num_rows, whole, CLOSED, CLOSED).stops
    critical = {one.check.id for one in whole if one.check.severity is Severity.CRITICAL}
    stopped = {stop.sentence.partition(" ")[0] for stop in stops if stop.code == "critical-check"}
    assert stopped == WHOLE[drop, what] & critical


def test_a_flight_number_flown_from_two_airports_on_one_day_is_no_copy(drops: Any, january: pa.Table) -> None:
    copy = {name: january.column(name)[100].as_py() for name in FLIGHTS.key}
    other = next(code for code in ("EWR", "JFK", "LGA") if code != copy["origin"])
    report = drops.judged(FLIGHTS, planted(january, {200: {**copy, "origin": other}}))
    assert not [rules for rules in report.reasons.values() if "F04" in rules]


def test_too_few_rows_and_a_silent_airport_stop_the_drop(drops: Any, january: pa.Table) -> None:
    few = january.filter(pc.not_equal(january.column("origin"), "EWR"))
    report = drops.judged(FLIGHTS, few)
    assert report.verdict is Verdict.FAILED
    assert [stop.code for stop in report.stops] == ["critical-check", "critical-check", "volume"]
    assert "All three airports report" in report.stops[1].sentence
    assert report.accepted == 0
    assert report.quarantined == report.read


def test_too_many_bad_rows_stop_the_drop(drops: Any, january: pa.Table) -> None:
    report = drops.judged(FLIGHTS, planted(january, {row: {"carrier": None} for row in range(300)}))
    assert [(stop.rule, stop.code) for stop in report.stops] == [("G3", "quarantine-share")]


def test_an_instrument_that_fails_does_not_take_the_months_other_readings_with_it(drops: Any) -> None:
    table = drops["weather-2013-01"]
    report = drops.judged(WEATHER, planted(table, {row: {"humid": None} for row in range(table.num_rows)}))
    assert (report.verdict, report.quarantined) == (Verdict.PASSED, 0)
    silent: dict[str, Any] = {
        one.check.id: one.verdict for one in report.results if one.verdict is not Verdict.PASSED
    }
    assert silent == {"W22": Verdict.INCONCLUSIVE, "W31": Verdict.FAILED}
