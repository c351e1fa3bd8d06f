"""Reads one Open Data Contract Standard file, noting every fault with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

from tidegate.adapters.contract_files.references import Relationship, read_relationships
from tidegate.adapters.contract_files.suite import NOT_NULL
from tidegate.adapters.contract_files.treatments import RESTRICTED, read_subject, read_treatment, treats
from tidegate.adapters.shared.yaml_reader import Node, Reader
from tidegate.application.ports import EXPORTED
from tidegate.domain.contract import Check, Column, Contract, Reference
from tidegate.domain.keeping import Term
from tidegate.domain.masking import Mask, kept

#: ODCS's logical types that a table of rows and columns can hold; time, object, array, map, vector cannot.
_TYPES = ("integer", "number", "string", "timestamp", "boolean", "date")
_STATUS = ("proposed", "draft", "active", "deprecated", "retired")
_SECONDS = {"d": 86400, "day": 86400, "days": 86400, "h": 3600, "hour": 3600, "hours": 3600}
#: What a dataset, a declared table or a step may be called: it is a folder, and a name in SQL.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_OURS = ("periodColumns", "quarantineLimit", "declared", "pushRows")
#: What period columns may be, for each row of a push to name its period.
_PERIODS = (
    ("integer",),
    ("integer", "integer"),
    ("integer", "integer", "integer"),
    ("date",),
    ("timestamp",),
)
_TERMS = {"d": "day", "day": "day", "days": "day", "y": "year", "yr": "year", "years": "year"}
#: What a subject may be named by: the same value is written in one way.
_NAMING = ("string", "integer")
_REQUIRED = ("apiVersion", "kind", "id", "name", "version", "status", "team", "description", "schema")


class OdcsFile:
    """A contract file as read. While its reader holds faults, the rest is not to be trusted."""

    def __init__(self, reader: Reader, dataset: str) -> None:
        """Read the file that ``reader`` has parsed, as the contract of ``dataset``."""
        self.suite: Node | None = None  # where the file names its suite
        self.relationships: list[Relationship] = []  # as stated; the contracts they lead to are other files
        self._reader, self._dataset = reader, dataset
        self._columns: dict[str, Column] = {}
        self._nodes: dict[str, Node] = {}
        self._key: dict[int, str] = {}
        self._volume = (0, 0)
        self._max_age: timedelta | None = None
        self._keeps: Term | None = None
        self._subject = ""
        self._limit = 0.0
        self._period: tuple[str, ...] = ()
        self._push: tuple[int, int] | None = None
        self._declared: dict[str, tuple[Mapping[str, object], ...]] = {}
        self._read(reader.root)

    @property
    def columns(self) -> frozenset[str]:
        """Return the names of the columns that are kept."""
        return frozenset(column.name for column in kept(self._columns.values()))

    @property
    def masked(self) -> frozenset[str]:
        """Return the names of the columns of which only presence and sameness are left."""
        return frozenset(
            name for name, column in self._columns.items() if treats(column, Mask.HASH, Mask.TOKEN)
        )

    def contract(self, checks: Sequence[Check], references: Sequence[Reference], digest: str) -> Contract:
        """Return the contract; only to be asked for when there is no fault."""
        delivered = tuple(self._columns.values())
        return Contract(
            dataset=self._dataset,
            version=self._version,
            owner=self._owner,
            columns=kept(self._columns.values()),
            key=tuple(self._key[position] for position in sorted(self._key)),
            checks=tuple(checks),
            min_rows=self._volume[0],
            max_rows=self._volume[1],
            max_age=self._max_age,
            quarantine_limit=self._limit,
            digest=digest,
            purpose=self._purpose,
            period_columns=self._period,
            declared=self._declared,
            references=tuple(references),
            push=self._push,
            delivered=delivered if any(column.treatment for column in delivered) else (),
            subject=self._subject,
            keeps=self._keeps,
        )

    def guard(self, not_null: set[str]) -> None:
        """Note each required column without a not-null rule: nulls pass most other expectations."""
        for name, column in self._columns.items():
            if column.required and name not in not_null:
                self._nodes[name].fault(
                    f"`{name}` as required without {NOT_NULL}", "that expectation in the suite"
                )

    def conform(self) -> None:
        """Note what breaks the standard's own model, in fields we do not read ourselves."""
        from open_data_contract_standard.model import OpenDataContractStandard
        from pydantic import ValidationError

        try:
            OpenDataContractStandard.model_validate(self._reader.root.plain())
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_input=False, include_context=False):
                node = self._reader.root
                for step in fault["loc"]:  # a union's own step names a type, not a place in the file
                    if isinstance(step, str) and isinstance(node.value, dict):
                        node = node.value.get(step, node)
                    elif isinstance(step, int) and isinstance(node.value, list):
                        node = node.value[step]
                where = ".".join(str(step) for step in fault["loc"])
                node.fault(f"{where} against the standard", fault["msg"].lower())

    def _read(self, root: Node) -> None:
        parts = root.members(required=_REQUIRED)
        if "apiVersion" in parts and not parts["apiVersion"].word("v3.1.0").startswith("v3."):
            parts["apiVersion"].fault(parts["apiVersion"].shown, "a version of the standard like v3.1.0")
        if "kind" in parts:
            parts["kind"].one_of(("DataContract",), "a kind")
        if "name" in parts and parts["name"].value != self._dataset:
            parts["name"].fault(
                f"the name {parts['name'].shown}", f"{self._dataset}: a file is called what its dataset is"
            )
        elif "name" in parts and not _NAME.fullmatch(self._dataset):
            parts["name"].fault(
                f"the name {parts['name'].shown}",
                "letters, digits and underscores, 100 at most: SQL has it as a name",
            )
        if "status" in parts:
            parts["status"].one_of(_STATUS, "a status")
        self._version = parts["version"].word("a version like 1.0.0") if "version" in parts else ""
        team = parts["team"].members(required=("name",)) if "team" in parts else {}
        self._owner = team["name"].text("the name of the team that owns the data") if "name" in team else ""
        about = parts["description"].members(required=("purpose",)) if "description" in parts else {}
        self._purpose = about["purpose"].text("a purpose") if "purpose" in about else ""
        if "schema" in parts:
            self._read_schema(parts["schema"])
        self._read_custom(parts.get("customProperties"), root)
        if "slaProperties" in parts:
            self._read_sla(parts["slaProperties"])

    def _read_schema(self, node: Node) -> None:
        objects = node.items("one schema object")
        if len(objects) > 1:
            objects[1].fault(f"{len(objects)} schema objects", "one: a contract covers one dataset")
        for table in objects[:1]:
            parts = table.members(required=("name", "properties", "quality"))
            if "name" in parts and parts["name"].value != self._dataset:
                parts["name"].fault(f"the schema {parts['name'].shown}", self._dataset)
            if "properties" in parts:
                for column in parts["properties"].items("columns"):
                    self._read_column(column)
                self._read_key(parts["properties"])
            if "quality" in parts:
                self._read_quality(parts["quality"])

    def _read_column(self, node: Node) -> None:
        parts = node.members(required=("name", "logicalType", "classification"))
        name = parts["name"].text("a column's name") if "name" in parts else ""
        kind = (
            parts["logicalType"].one_of(_TYPES, "a logical type a table can hold")
            if "logicalType" in parts
            else None
        )
        label = (
            parts["classification"].text("a classification like public") if "classification" in parts else ""
        )
        required = _flag(parts.get("required"))
        if not name or kind is None:
            return
        self._check_name(name, node)
        treatment = read_treatment(parts.get("customProperties"), kind)
        if treatment is None and label == RESTRICTED:
            node.fault(f"the restricted column `{name}` without a treatment", f"one of {', '.join(Mask)}")
        self._columns[name], self._nodes[name] = Column(name, kind, required, label, treatment), node
        if (subject := read_subject(parts.get("customProperties"))) is not None:
            self._read_subject(self._columns[name], subject)
        if "relationships" in parts:
            self.relationships += read_relationships(name, kind, parts["relationships"])
        if _flag(parts.get("primaryKey")):
            position = parts["primaryKeyPosition"].integer(1, 1000) if "primaryKeyPosition" in parts else 1
            if position in self._key:
                node.fault(
                    f"key position {position} for `{name}` and `{self._key[position]}`", "each position once"
                )
            elif not required:
                node.fault(f"the key column `{name}` as not required", "required: true")
            elif treats(self._columns[name], Mask.DROP, Mask.GENERALISE):
                node.fault(
                    f"the key column `{name}` dropped or generalised", "hash or token, which keep rows apart"
                )
            self._key.setdefault(position, name)

    def _read_subject(self, column: Column, node: Node) -> None:
        if self._subject:
            node.fault(f"`{column.name}` as the subject beside `{self._subject}`", "one column that names it")
        elif column.type not in _NAMING:
            node.fault(f"a subject that is a {column.type}", f"one of type {' or '.join(_NAMING)}")
        elif treats(column, Mask.DROP, Mask.GENERALISE):
            node.fault(
                f"the subject's column `{column.name}` dropped or generalised", "hash or token, or none"
            )
        self._subject = column.name

    def _check_name(self, name: str, node: Node) -> None:
        if name in self._columns:
            node.fault(f"the column `{name}` a second time", "each column once")
        elif same := [other for other in self._columns if other.casefold() == name.casefold()]:
            node.fault(f"the column `{name}` beside `{same[0]}`", "another name: SQL has both as one")
        if name in EXPORTED:
            node.fault(
                f"the column `{name}`", "another name: exports of held-back rows have one of that name"
            )
        if not name.isprintable():
            node.fault("a column whose name cannot be printed", "a name on one line")

    def _read_key(self, node: Node) -> None:
        if self._columns and not self._key:
            node.fault(
                "no column with primaryKey: true", "a key, which also states the order of a batch's rows"
            )
        elif sorted(self._key) != list(range(1, len(self._key) + 1)):
            node.fault(f"the key positions {sorted(self._key)}", "1, 2, 3 without a gap")

    def _read_quality(self, node: Node) -> None:
        volumes, suites = [], []
        for rule in node.items("quality rules"):
            parts = rule.members()
            if "metric" in parts and parts["metric"].value == "rowCount":
                volumes.append(rule.members(required=("mustBeBetween",)).get("mustBeBetween"))
            elif parts.get("engine") and parts["engine"].value == "greatExpectations":
                suites.append(rule.members(required=("implementation",)).get("implementation"))
            else:
                rule.fault("a rule nobody evaluates", "metric: rowCount, or engine: greatExpectations")
        if len(volumes) != 1:
            node.fault(f"{len(volumes)} rules on rowCount", "one, with mustBeBetween: the volume promised")
        if len(suites) != 1:
            node.fault(f"{len(suites)} suites", "one rule with engine: greatExpectations")
        for bounds in volumes[:1]:
            if bounds is not None:
                self._volume = _bounds(bounds)
        for implementation in suites[:1]:
            self.suite = implementation.members(required=("suite",)).get("suite") if implementation else None
            if self.suite is not None and self.suite.value != self._dataset:
                self.suite.fault(
                    f"the suite {self.suite.shown}", f"{self._dataset}: a suite carries its dataset's name"
                )
                self.suite = None

    def _read_sla(self, node: Node) -> None:
        for promise in node.items("service levels"):
            parts = promise.members(required=("property", "value"))
            if "property" not in parts or "value" not in parts:
                continue
            if parts["property"].value == "retention":
                self._read_retention(promise, parts["value"])
            if parts["property"].value != "freshness":
                continue
            unit = promise.members(required=("unit",)).get("unit")
            seconds = _SECONDS.get(unit.one_of(tuple(_SECONDS), "a unit") or "d", 0) if unit else 0
            self._max_age = timedelta(seconds=parts["value"].number(0, 36500) * seconds)
            if not self._period:
                promise.fault(
                    "freshness without periodColumns", "the columns that say which period a drop covers"
                )

    def _read_retention(self, promise: Node, value: Node) -> None:
        if self._keeps is not None:
            promise.fault("a second retention", "one: a dataset's rows are kept for one term")
        unit = promise.members(required=("unit",)).get("unit")
        named = unit.one_of(tuple(_TERMS), "a unit of retention") if unit else None
        self._keeps = Term(
            value.integer(1, 36500 if _TERMS.get(named or "") == "day" else 100),
            _TERMS.get(named or "", "year"),
        )

    def _read_custom(self, node: Node | None, root: Node) -> None:
        found: dict[str, Node] = {}
        for entry in node.items("custom properties") if node else []:
            parts = entry.members(required=("property", "value"))
            if "vendor" in parts and parts["vendor"].value != "tidegate":
                continue  # another tool's
            if (
                "property" in parts
                and "value" in parts
                and (name := parts["property"].one_of(_OURS, "a property"))
            ):
                found[name] = parts["value"]
        if "quarantineLimit" in found:
            self._limit = found["quarantineLimit"].number(0, 1)
        else:
            (node or root).fault(
                "no quarantineLimit", "the share of bad rows above which a drop is held back whole"
            )
        if "periodColumns" in found:
            self._read_period(found["periodColumns"])
        if "pushRows" in found:
            self._read_push(found["pushRows"])
        if "declared" in found:
            for table, rows in found["declared"].members().items():
                self._declared[table] = tuple(
                    {name: cell.plain() for name, cell in row.members().items()} for row in rows.items("rows")
                )

    def _read_period(self, node: Node) -> None:
        nodes = node.items("columns")
        for column in nodes:
            if column.value not in self._columns:
                column.fault(f"the column {column.shown}", "a column of the contract")
            elif self._columns[str(column.value)].treatment is not None:
                column.fault(f"the treated column {column.shown}", "a column that says which period it is")
        self._period = tuple(str(column.value) for column in nodes)

    def _read_push(self, node: Node) -> None:
        self._push = _bounds(node)
        if self._push[0] < 1:
            node.fault("pushes without a row", "at least one row in each")
        if tuple(self._columns[name].type for name in self._period) not in _PERIODS:
            node.fault(
                "pushes of rows that do not name their period",
                "periodColumns that are year, with month, with day, as integers; or one date or timestamp",
            )


def _flag(node: Node | None) -> bool:
    if node is None:
        return False
    if not isinstance(node.value, bool):
        node.fault(node.shown, "true or false")
        return False
    return node.value


def _bounds(node: Node) -> tuple[int, int]:
    numbers = [bound.integer(0, 2**53) for bound in node.items("two whole numbers")]
    match numbers:
        case [least, most] if least <= most:
            return least, most
    node.fault(f"the bounds {numbers}", "two, the smaller one first")
    return 0, 0
