"""Model folders: ``models/NAME/model.yaml`` read into a `ModelSpec`.

Every fault of a file is reported at once, each with its line. What only the outcome can tell (the label,
the time it is known, the status) is refused as an input: that is the shortest road to a leak.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tidegate.adapters.shared.model_code import folder_digest
from tidegate.adapters.shared.yaml_reader import Node, Reader, read_text
from tidegate.application.ports import ModelSpec
from tidegate.domain.errors import BadInput
from tidegate.domain.policy import Tier

#: What a model folder holds beside ``model.yaml``.
FILES = ("rows.sql", "train.py", "card.md")
#: What `tidegate model new` leaves where only a person knows.
BLANK = "FILL IN"
FALLBACKS = ("base_rate", "abstain")
PREDICTIONS = ("probability", "number")
_COLUMNS = ("label", "label_time", "entity_time")
_REQUIRED: tuple[str, ...] = ("name", "owner", "purpose", "tier", "service", "datasets", "prediction")
_REQUIRED += (*_COLUMNS, "keys", "inputs", "fallback")
_OPTIONAL = ("windows", "parameters", "evaluation", "risks", "consumers")
#: How many risks an owner may declare, and how long each may be; likewise consumers.
_RISKS, _RISK_LENGTH = 20, 300
_CONSUMERS, _CONSUMER_LENGTH = 20, 100
_WINDOWS = ("train_days", "calibrate_days", "validate_days")
_EVALUATION: Mapping[str, Callable[[Node], float | int | str]] = {
    "status": lambda node: node.text("the column that says what came of a row"),
    "sensitivity": lambda node: node.text("a status that has no label"),
    "slice_by": lambda node: node.text("a column"),
    "slice_rows": lambda node: node.integer(1, 1_000_000),
    "resamples": lambda node: node.integer(100, 10_000),
    "day_starts_hour": lambda node: node.integer(0, 23),
    "onnx_tolerance": lambda node: node.number(0, 1e-2),
}


class ModelFolders:
    """The team's model folders, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> tuple[str, ...]:
        """Return the names of all folders that hold a ``model.yaml``, sorted."""
        return tuple(sorted(path.parent.name for path in self._folder.glob("*/model.yaml")))

    def spec(self, model: str) -> ModelSpec:
        """Return the model's declaration.

        ``parameters`` holds the estimator's own, the days of ``windows`` under their names, and how it is
        judged as ``evaluation.<name>``.

        Raises:
            BadInput: no such model, or its file breaks the format. ``faults`` lists all of them, each as
                {line, sentence}.
        """
        if model not in self.names():
            known = ", ".join(self.names()) or "none"
            raise BadInput(
                "unknown-model",
                f"got the model {model!r}, expected one that has a folder: {known}",
                "write models/NAME/model.yaml for it",
                model=model,
            )
        folder = self._folder / model
        # Digest first: if a file changes while it is read, what is used no longer matches the digest.
        source_digest = folder_digest(folder)
        reader = Reader(
            read_text(folder / "model.yaml", "model", "a model's declaration"),
            f"models/{model}/model.yaml",
            "model",
        )
        spec = _spec(reader, folder, source_digest)
        reader.close()
        return spec


def _spec(reader: Reader, folder: Path, source_digest: str) -> ModelSpec:
    root = reader.root
    fields = root.members(_REQUIRED, _OPTIONAL)
    for name in FILES:
        if not (folder / name).is_file():
            reader.fault(root.line, f"got no {name} beside it, expected {', '.join(FILES)}")
        elif lines := _blanks(folder / name):
            reader.fault(
                root.line, f"got {name} with {BLANK} on line {', '.join(lines)}, expected it filled in"
            )
    if "name" in fields and fields["name"].value != folder.name:
        fields["name"].fault(fields["name"].shown, f"{folder.name!r}, the folder's name")
    columns = {name: _text(fields, name, "a column's name") for name in _COLUMNS}
    prediction = _choice(fields, "prediction", PREDICTIONS)
    evaluation = _evaluation(fields, prediction)
    numeric, categorical = _inputs(
        fields, (columns["label"], columns["label_time"], evaluation.get("status"))
    )
    return ModelSpec(
        name=folder.name,
        owner=_text(fields, "owner", "who answers for it"),
        purpose=_text(fields, "purpose", "what it is for"),
        tier=_choice(fields, "tier", tuple(str(tier) for tier in Tier)),
        service=_text(fields, "service", "a feature service"),
        prediction=prediction,
        keys=_names(fields, "keys", "key columns"),
        numeric=numeric,
        categorical=categorical,
        datasets=_names(fields, "datasets", "datasets"),
        fallback=_fallback(fields),
        parameters={
            **_parameters(fields),
            **_windows(fields),
            **{f"evaluation.{name}": value for name, value in evaluation.items()},
        },
        source_digest=source_digest,
        folder=folder,
        risks=_risks(fields),
        consumers=_consumers(fields),
        **columns,
    )


def _blanks(file: Path) -> list[str]:
    lines = file.read_bytes().splitlines()
    return [str(number) for number, line in enumerate(lines, 1) if BLANK.encode() in line]


def _inputs(
    fields: Mapping[str, Node], outcomes: tuple[object, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return numeric and categorical inputs; refuse what only the outcome tells."""
    if "inputs" not in fields:
        return (), ()
    node = fields["inputs"]
    kinds = node.members((), ("numeric", "categorical"))
    seen: set[str] = set()
    for kind in kinds.values():
        for item in kind.items("columns"):
            if item.raw in outcomes:
                item.fault(f"the input {item.raw!r}", "nothing that only the outcome tells")
            elif item.raw in seen:
                item.fault(f"the input {item.raw!r} again", "each column once")
            seen.add(item.raw)
    if isinstance(node.value, dict) and not kinds:
        node.fault("no input", "numeric or categorical columns")
    return _names(kinds, "numeric", "columns"), _names(kinds, "categorical", "columns")


def _evaluation(fields: Mapping[str, Node], prediction: str) -> dict[str, float | int | str]:
    if "evaluation" not in fields:
        return {}
    given = fields["evaluation"].members((), tuple(_EVALUATION))
    if "sensitivity" in given and "status" not in given:
        given["sensitivity"].fault("a sensitivity without `status`", "the column whose value it is")
    if "sensitivity" in given and prediction == "number":
        # Of a probability a row without a label can be taken as true: that is the worst case.
        given["sensitivity"].fault("a sensitivity of a number", "it of a probability alone")
    return {name: _EVALUATION[name](node) for name, node in given.items() if name in _EVALUATION}


def _windows(fields: Mapping[str, Node]) -> dict[str, int]:
    """Return how many days each window has; they are laid back from the moment of training."""
    if "windows" not in fields:
        return {}
    return {name: node.integer(1, 3660) for name, node in fields["windows"].members(_WINDOWS, ()).items()}


def _parameters(fields: Mapping[str, Node]) -> dict[str, float | int | str]:
    if "parameters" not in fields:
        return {}
    kept: dict[str, float | int | str] = {}
    for name, node in fields["parameters"].members((), None).items():
        value = node.plain()
        if isinstance(value, (int, float, str)):
            kept[name] = int(value) if isinstance(value, bool) else value
        else:
            node.fault(node.shown, "a number or a text")
    return kept


def _fallback(fields: Mapping[str, Node]) -> str:
    """Return kind and sentence as one text: what the record keeps and people are shown."""
    if "fallback" not in fields:
        return ""
    parts = fields["fallback"].members(("kind", "sentence"), ())
    return (
        f"{_choice(parts, 'kind', FALLBACKS)}: {_text(parts, 'sentence', 'what then happens to a request')}"
    )


def _risks(fields: Mapping[str, Node]) -> tuple[str, ...]:
    """Return what the owner says is open: it is sealed with every version, so it is short."""
    if "risks" not in fields:
        return ()
    told = fields["risks"].items("sentences")
    if len(told) > _RISKS:
        fields["risks"].fault(f"{len(told)} risks", f"at most {_RISKS}: the ones that an approver must know")
    return tuple(" ".join(node.text("a sentence", _RISK_LENGTH).split()) for node in told)


def _consumers(fields: Mapping[str, Node]) -> tuple[str, ...]:
    """Return who acts on the decisions, as the owner says: it stands in a line of the inventory, so it is short."""
    if "consumers" not in fields:
        return ()
    told = fields["consumers"].items("short texts")
    if len(told) > _CONSUMERS:
        fields["consumers"].fault(
            f"{len(told)} consumers", f"at most {_CONSUMERS}: who acts on the decisions"
        )
    return tuple(" ".join(node.text("who acts on it", _CONSUMER_LENGTH).split()) for node in told)


def _text(fields: Mapping[str, Node], name: str, what: str) -> str:
    return fields[name].text(what) if name in fields else ""


def _choice(fields: Mapping[str, Node], name: str, choices: tuple[str, ...]) -> str:
    return fields[name].one_of(choices, f"a {name}") or "" if name in fields else ""


def _names(fields: Mapping[str, Node], name: str, what: str) -> tuple[str, ...]:
    return tuple(node.text("a name") for node in fields[name].items(what)) if name in fields else ()
