"""The port `Contracts`: the fake, the real adapter, and what only files can get wrong."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.adapters.contract_files import ContractFiles
from tidegate.adapters.contract_files.suite import ROW_LEVEL, TABLE_LEVEL
from tidegate.application.ports import Contracts
from tidegate.domain.contract import Reference
from tidegate.domain.errors import BadInput
from tidegate.domain.keeping import Term
from tidegate.testing.contracts.contracts import ContractsContract
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.tides import TIDES, write_tides


def related(folder: Path) -> Path:
    """Write tides and buoys, where the stations of the tides refer to those of the buoys."""
    write_tides(write_tides(folder), "buoys")
    edit(folder, "- name: buoys\n", "- id: list\n    name: buoys\n", "contracts/buoys.yaml")
    edit(folder, "- name: station\n", "- id: code\n        name: station\n", "contracts/buoys.yaml")
    relationship = f"        relationships:\n          - to: {TO}\n"
    edit(folder, "- name: station\n", f"- name: station\n{relationship}")
    return folder


TO = "buoys.yaml#/schema/list/properties/code"


class TestFakeContracts(ContractsContract):
    @pytest.fixture
    def subject(self) -> Contracts:
        tides = replace(TIDES, references=(Reference("station", "buoys", "station"),))
        return FakeContracts(tides, replace(TIDES, dataset="buoys", digest="sha256:" + "8" * 64))


class TestContractFiles(ContractsContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Contracts:
        return ContractFiles(related(tmp_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tides(tmp_path)


def edit(folder: Path, old: str, new: str, name: str = "contracts/tides.yaml") -> int:
    """Replace one place in a file and return its line."""
    path = folder / name
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    path.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


def faults(folder: Path) -> list[tuple[str, int, str]]:
    with pytest.raises(BadInput) as caught:
        ContractFiles(folder).load("tides")
    assert caught.value.code == "contract"
    found = caught.value.data["faults"]
    for fault in found:
        assert f"{fault['file']} line {fault['line']}: {fault['sentence']}" in caught.value.sentence
    return [(fault["file"], fault["line"], fault["sentence"]) for fault in found]


def test_the_files_say_what_the_contract_says(folder: Path) -> None:
    contract = ContractFiles(folder).load("tides")
    assert replace(contract, digest=TIDES.digest) == TIDES


@pytest.mark.parametrize("name", ["contracts/tides.yaml", "suites/tides.json"])
def test_the_digest_covers_both_files(folder: Path, name: str) -> None:
    before = ContractFiles(folder).load("tides").digest
    (folder / name).write_text((folder / name).read_text() + "\n")
    assert ContractFiles(folder).load("tides").digest != before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("v3.1.0", "v2.2.0", "expected a version of the standard like v3.1.0"),
        ("kind: DataContract", "kind: DataProduct", "expected a kind: DataContract"),
        ("name: tides\nversion", "name: waves\nversion", "got the name 'waves', expected tides"),
        ("status: active", "status: cooking", "expected a status: proposed"),
        ("  name: harbour-office", "  title: harbour-office", "got no name"),
        ("  purpose: Levels", "  usage: Levels", "got no purpose"),
        ("logicalType: number", "logicalType: array", "expected a logical type a table can hold"),
        ("        classification: confidential\n", "", "got no classification"),
        ("primaryKeyPosition: 2", "primaryKeyPosition: 1", "expected each position once"),
        ("primaryKeyPosition: 2", "primaryKeyPosition: 3", "got the key positions [1, 3]"),
        ("[2, 1000]", "[1000, 2]", "the smaller one first"),
        ("[2, 1000]", "[2]", "got the bounds [2]"),
        ("metric: rowCount", "metric: nullValues", "got 0 rules on rowCount"),
        ("engine: greatExpectations", "engine: soda", "got 0 suites"),
        ("suite: tides", "suite: waves", "got the suite 'waves', expected tides"),
        ("unit: h", "unit: fortnights", "expected a unit"),
        ("name: note", "name: LEVEL", "got the column `LEVEL` beside `level`, expected another name"),
        ("name: note", "name: _row", "got the column `_row`, expected another name"),
        ("name: note", 'name: "no\\nte"', "got a column whose name cannot be printed"),
        ("value: 48", "value: soon", "expected a number"),
        ("value: 0.5", "value: 50", "expected a number from 0 to 1"),
        ("quarantineLimit", "quarantineLimits", "got no quarantineLimit"),
        ("periodColumns", "columns", "got freshness without periodColumns"),
        ("value: [at]", "value: [when]", "got the column 'when', expected a column of the contract"),
        ("version: 1.0.0", "version: 1.0.0\nflavour: salty", "got flavour against the standard"),
        (
            "    properties:",
            "    description: [1]\n    properties:",
            "schema.0.description against the standard",
        ),
    ],
)
def test_a_fault_in_the_contract_is_named_with_its_line(folder: Path, old: str, new: str, said: str) -> None:
    edit(folder, old, new)
    found = faults(folder)
    assert any(file == "contracts/tides.yaml" and said in sentence for file, _, sentence in found), found


PUSHED = "customProperties:\n  - property: pushRows\n    value: "


def test_a_contract_says_how_many_rows_may_be_pushed_at_once(folder: Path) -> None:
    assert ContractFiles(folder).load("tides").push is None
    edit(folder, "customProperties:\n", f"{PUSHED}[1, 500]\n")
    assert ContractFiles(folder).load("tides").push == (1, 500)


@pytest.mark.parametrize(
    ("bounds", "period", "said"),
    [
        ("[0, 5]", "[at]", "got pushes without a row, expected at least one row in each"),
        ("[9, 5]", "[at]", "the smaller one first"),
        ("many", "[at]", "expected a list of two whole numbers"),
        ("[1, 5]", "[station]", "got pushes of rows that do not name their period"),
        ("[1, 5]", "[at, reading]", "got pushes of rows that do not name their period"),
    ],
)
def test_pushes_that_cannot_be_are_named_with_their_line(
    folder: Path, bounds: str, period: str, said: str
) -> None:
    edit(folder, "customProperties:\n", f"{PUSHED}{bounds}\n")
    edit(folder, "value: [at]", f"value: {period}")
    found = faults(folder)
    assert any(file == "contracts/tides.yaml" and line and said in told for file, line, told in found), found


@pytest.mark.parametrize("name", ["..", ".tides", "high tides", "high-tides", "1st", "t" * 101])
def test_a_dataset_that_sql_or_a_folder_cannot_be_called_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        ContractFiles(write_tides(tmp_path, name)).load(name)
    assert "expected letters, digits and underscores" in caught.value.sentence


def treat(folder: Path, column: str, value: str, classification: str = "restricted") -> None:
    """Have a column of the contract treated."""
    path = folder / "contracts" / "tides.yaml"
    head, name, rest = path.read_text().partition(f"      - name: {column}\n")
    kind, label, rest = rest.partition("        classification: ")
    before, line, rest = label, *rest.partition("\n")[::2]
    treated = f"        customProperties: [{{property: treatment, value: {value}}}]\n" if value else ""
    path.write_text(f"{head}{name}{kind}{before}{classification if line else line}\n{treated}{rest}")


def test_what_is_treated_is_delivered_as_it_comes_and_kept_as_it_is_treated(folder: Path) -> None:
    treat(folder, "note", "hash")
    treat(folder, "reading", "drop")
    treat(folder, "level", "{generalise: 0.5}")
    contract = ContractFiles(folder).load("tides")
    assert [(each.name, each.type) for each in contract.columns] == [
        ("station", "string"), ("at", "timestamp"), ("level", "number"), ("note", "string"),
    ]  # fmt: skip
    assert [(each.name, each.treatment and str(each.treatment.mask)) for each in contract.delivered] == [
        ("station", None), ("at", None), ("level", "generalise"), ("reading", "drop"), ("note", "hash"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("note", "", "got the restricted column `note` without a treatment, expected one of drop, hash, token"),
        ("note", "encrypt", "got 'encrypt', expected a treatment, or generalise: with what to: drop, hash, token"),
        ("note", "[hash]", "got a list, expected a treatment"),
        ("note", "{blur: 3}", "got 'blur', expected one of generalise"),
        ("note", "{generalise: month}", "got 'month', expected a whole number from 1 to 1000"),
        ("reading", "{generalise: 1}", "got '1', expected a whole number from 2"),
        ("level", "hash", "got hash of a number, expected drop or generalise"),
        ("level", "{generalise: 0}", "got '0', expected a number from 1e-09"),
        ("at", "{generalise: hour}", "got 'hour', expected what a timestamp is generalised to: day, month, year"),
        ("at", "{generalise: day}", "got the key column `at` dropped or generalised, expected hash or token"),
        ("at", "hash", "got the treated column 'at', expected a column that says which period it is"),
        ("station", "drop", "got the key column `station` dropped or generalised"),
        ("station", "hash", "got expect_column_values_to_match_regex on the masked column 'station', expected"),
        ("level", "drop", "got the column 'level', expected a column of the contract that is kept"),
    ],
)  # fmt: skip
def test_a_treatment_that_cannot_be_is_named_with_its_line(
    folder: Path, column: str, value: str, said: str
) -> None:
    treat(folder, column, value)
    found = faults(folder)
    assert any(said in sentence and line > 1 for _, line, sentence in found), found


def mark(folder: Path, column: str, *properties: str) -> None:
    """Give a column of the contract custom properties."""
    path = folder / "contracts" / "tides.yaml"
    told = f"      - name: {column}\n        customProperties: [{', '.join(properties)}]\n"
    path.write_text(path.read_text().replace(f"      - name: {column}\n", told))


SUBJECT = "{property: subject, value: true}"


def test_whom_rows_are_about_and_how_long_they_are_kept_is_said_in_the_contract(folder: Path) -> None:
    mark(folder, "note", SUBJECT, "{property: treatment, value: hash}")
    edit(folder, "slaProperties:\n", "slaProperties:\n  - {property: retention, value: 3, unit: y}\n")
    contract = ContractFiles(folder).load("tides")
    assert (contract.subject, contract.keeps, str(contract.keeps)) == ("note", Term(3, "year"), "3 years")


def test_where_the_contract_says_neither_nobody_is_named_and_rows_are_kept_without_end(folder: Path) -> None:
    mark(folder, "note", "{property: subject, value: false}")
    contract = ContractFiles(folder).load("tides")
    assert (contract.subject, contract.keeps) == ("", None)


@pytest.mark.parametrize(
    ("column", "properties", "said"),
    [
        ("note", ["{property: subject, value: maybe}"], "got 'maybe', expected true or false"),
        ("level", [SUBJECT], "got a subject that is a number, expected one of type string or integer"),
        ("at", [SUBJECT], "got a subject that is a timestamp, expected one of type string or integer"),
        (
            "note",
            [SUBJECT, "{property: treatment, value: drop}"],
            "got the subject's column `note` dropped or generalised, expected hash or token, or none",
        ),
    ],
)
def test_a_subject_that_cannot_be_is_named_with_its_line(
    folder: Path, column: str, properties: list[str], said: str
) -> None:
    mark(folder, column, *properties)
    found = faults(folder)
    assert any(said in sentence and line > 1 for _, line, sentence in found), found


@pytest.mark.parametrize(
    ("promise", "said"),
    [
        (
            "{property: retention, value: 3, unit: fortnights}",
            "got 'fortnights', expected a unit of retention: d, day",
        ),
        ("{property: retention, value: 3}", "got no unit"),
        ("{property: retention, value: 0, unit: d}", "got '0', expected a whole number from 1 to 36500"),
        ("{property: retention, value: 1.5, unit: y}", "got '1.5', expected a whole number from 1 to 100"),
        ("{property: retention, value: 101, unit: y}", "got '101', expected a whole number from 1 to 100"),
    ],
)
def test_a_retention_that_cannot_be_is_named_with_its_line(folder: Path, promise: str, said: str) -> None:
    line = edit(folder, "slaProperties:\n", f"slaProperties:\n  - {promise}\n") + 1
    assert any(said in sentence and at == line for _, at, sentence in faults(folder)), faults(folder)


def test_two_subjects_and_two_retentions_are_told_at_once_with_all_else(folder: Path) -> None:
    mark(folder, "note", SUBJECT)
    mark(folder, "station", SUBJECT)
    twice = "  - {property: retention, value: 3, unit: y}\n" * 2
    edit(folder, "slaProperties:\n", f"slaProperties:\n{twice}")
    edit(folder, "status: active", "status: cooking")
    told = [sentence for *_, sentence in faults(folder)]
    assert len(told) == 3
    assert any("got `note` as the subject beside `station`, expected one column" in each for each in told)
    assert any("got a second retention, expected one" in each for each in told)


def test_all_faults_of_both_files_come_at_once_each_with_its_line(folder: Path) -> None:
    expected = {
        ("contracts/tides.yaml", edit(folder, "status: active", "status: cooking")),
        ("contracts/tides.yaml", edit(folder, "value: 0.5", "value: 50")),
        ("contracts/tides.yaml", edit(folder, "unit: h", "unit: fortnights")),
        ("suites/tides.json", edit(folder, '"severity": "info"', '"severity": "dire"', "suites/tides.json")),
        ("suites/tides.json", edit(folder, '"rule": "T05"', '"rule": "T02"', "suites/tides.json")),
    }
    assert {(file, line) for file, line, _ in faults(folder)} == expected


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("buoys.station", "expected one to another contract: DATASET.yaml#/schema/ID/properties/ID"),
        ("https://example.org/buoys.yaml#/schema/list/properties/code", "expected one to another contract"),
        ("../buoys.yaml#/schema/list/properties/code", "expected one to another contract"),
        ("[a.b, c.d]", "got the reference a list"),
        ("waves.yaml#/schema/list/properties/code", "waves.yaml, which cannot be read"),
        ("buoys.yaml#/schema/buoys/properties/code", "has no schema object with the id 'buoys'"),
        ("buoys.yaml#/schema/list/properties/station", "has no property with the id 'station'"),
    ],
)
def test_a_reference_that_leads_nowhere_is_named_with_its_line(tmp_path: Path, to: str, said: str) -> None:
    line = edit(related(tmp_path), TO, to)
    ((file, found, sentence),) = faults(tmp_path)
    assert (file, found) == ("contracts/tides.yaml", line)
    assert said in sentence


def test_only_texts_are_compared_with_what_another_dataset_lists(tmp_path: Path) -> None:
    relationship = f"        relationships:\n          - to: {TO}\n"
    line = edit(related(tmp_path), "- name: reading\n", f"- name: reading\n{relationship}")
    ((_, found, sentence),) = faults(tmp_path)
    assert (found, sentence) == (
        line + 2, "got a reference from `reading`, of type integer, expected type string: values are compared as text"
    )  # fmt: skip


def test_a_relationship_of_another_type_is_refused(tmp_path: Path) -> None:
    edit(related(tmp_path), f"- to: {TO}", f"- to: {TO}\n            type: cousin")
    assert "expected a type of relationship: foreignKey" in faults(tmp_path)[0][2]


def test_a_suite_names_as_parameters_what_the_contracts_relationships_give(tmp_path: Path) -> None:
    listed = {"column": "station", "value_set": {"$PARAMETER": "buoys__station"}}
    alter(related(tmp_path), 4, type="expect_column_values_to_be_in_set", kwargs=listed)
    assert ContractFiles(tmp_path).load("tides").references == (Reference("station", "buoys", "station"),)
    alter(tmp_path, 4, kwargs={**listed, "value_set": {"$PARAMETER": "waves__station"}})
    ((file, _, sentence),) = faults(tmp_path)
    assert file == "suites/tides.json"
    assert "got the parameter 'waves__station'" in sentence
    assert "relationships give: buoys__station" in sentence


def alter(folder: Path, index: int, **changes: object) -> None:
    path = folder / "suites" / "tides.json"
    suite = json.loads(path.read_text())
    suite["expectations"][index] |= changes
    path.write_text(json.dumps(suite, indent=1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": "expect_the_best"}, "an expectation type this gate can run"),
        ({"severity": None}, "expected a severity: critical, warning, info"),
        (
            {"meta": {"rule": "T05", "on_row": "eat", "sentence": "x"}},
            "what happens to failing rows: quarantine, keep",
        ),
        ({"meta": {"rule": "T05", "on_row": "keep"}}, "got no sentence"),
        (
            {"meta": {"rule": "volume", "on_row": "keep", "sentence": "x"}},
            "got the rule 'volume', expected another id",
        ),
        ({"meta": {}}, "got no rule and no on_row and no sentence"),
        (
            {"kwargs": {"column": "depth", "min_value": 0}},
            "got the column 'depth', expected a column of the contract",
        ),
        (
            {"type": "expect_column_mean_to_be_between"},
            "expected keep: it judges the drop as a whole and names no row",
        ),
    ],
)
def test_a_fault_in_the_suite_is_named(folder: Path, changes: dict[str, object], said: str) -> None:
    alter(folder, 4, **changes)
    found = faults(folder)
    assert [file for file, _, _ in found] == ["suites/tides.json"]
    assert said in found[0][2]


def test_a_required_column_without_a_not_null_rule_is_refused(folder: Path) -> None:
    alter(folder, 1, kwargs={"column": "note"})
    assert "`station` as required without expect_column_values_to_not_be_null" in faults(folder)[0][2]


def test_a_not_null_rule_under_a_condition_does_not_count(folder: Path) -> None:
    alter(folder, 1, kwargs={"column": "station", "row_condition": {"type": "nullity"}})
    assert "`station` as required without" in faults(folder)[0][2]


def test_a_suite_without_checks_is_refused(folder: Path) -> None:
    (folder / "suites" / "tides.json").write_text('{"name": "tides", "expectations": []}')
    assert "a suite without checks checks nothing" in faults(folder)[0][2]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [("{\n  oops", 2, "got no JSON"), ('{"name": "tides", "name": "tides"}', 1, "again, expected it once")],
)
def test_a_suite_that_is_no_json_object_is_refused(folder: Path, text: str, line: int, said: str) -> None:
    (folder / "suites" / "tides.json").write_text(text)
    file, found, sentence = faults(folder)[0]
    assert (file, found) == ("suites/tides.json", line)
    assert said in sentence


def test_a_missing_suite_is_refused_where_the_contract_names_it(folder: Path) -> None:
    (folder / "suites" / "tides.json").unlink()
    file, _, sentence = faults(folder)[0]
    assert file == "contracts/tides.yaml"
    assert "got no readable suites/tides.json" in sentence


@pytest.mark.parametrize(
    ("raw", "said"), [(b"name: ]", "expected YAML"), (b"\xff\xfe", "UTF-8"), (b"", "empty file")]
)
def test_a_contract_that_is_no_yaml_is_refused(folder: Path, raw: bytes, said: str) -> None:
    (folder / "contracts" / "tides.yaml").write_bytes(raw)
    file, line, sentence = faults(folder)[0]
    assert (file, line) == ("contracts/tides.yaml", 1)
    assert said in sentence


def test_an_empty_folder_has_no_datasets(tmp_path: Path) -> None:
    assert ContractFiles(tmp_path / "nowhere").datasets() == ()
    with pytest.raises(BadInput, match="none at all"):
        ContractFiles(tmp_path / "nowhere").load("tides")


@pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")  # GX's own imports
def test_the_sets_of_expectations_are_those_of_great_expectations() -> None:
    """Derived from GX's own classes, so that an upgrade that moves one is noticed."""
    from inspect import isclass

    from great_expectations.expectations import core
    from great_expectations.expectations import expectation as gx

    by_row = (gx.ColumnMapExpectation, gx.ColumnPairMapExpectation, gx.MulticolumnMapExpectation)
    classes = [kind for kind in vars(core).values() if isclass(kind) and issubclass(kind, gx.Expectation)]
    maps = {kind.expectation_type for kind in classes if issubclass(kind, by_row)} - {""}
    rest = {kind.expectation_type for kind in classes if not issubclass(kind, by_row)}
    # On typed pandas columns the two about types look at the column's type and name no row.
    of_type = {"expect_column_values_to_be_of_type", "expect_column_values_to_be_in_type_list"}
    sql_only = {kind for kind in maps if "like_pattern" in kind}
    assert maps - of_type - sql_only == ROW_LEVEL
    assert rest | of_type >= TABLE_LEVEL
    assert not ROW_LEVEL & TABLE_LEVEL


def test_reading_a_contract_imports_no_heavy_library() -> None:
    import subprocess

    code = (
        "import sys; from pathlib import Path; from tidegate.adapters.contract_files.files import ContractFiles;"
        "ContractFiles(Path(sys.argv[1])).load('flights');"
        "print([m for m in ('great_expectations', 'pandas', 'numpy', 'pyarrow') if m in sys.modules])"
    )
    folder = Path(__file__).parents[2] / "expectations"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
