"""A model's folder and its monitor, to be filled in: what only a person knows is left empty and marked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tidegate.domain.errors import BadInput
from tidegate.entrypoints.scaffolding.names import checked
from tidegate.entrypoints.scaffolding.placing import place
from tidegate.entrypoints.scaffolding.project import TEMPLATES

MARK = "FILL IN"
_FILES = ("model.yaml", "rows.sql", "card.md")
#: What differs between the two kinds of answers. Sentences, not code: that is in templates of its own.
_KINDS: Mapping[str, Mapping[str, str]] = {
    "probability": {
        "label_says": ", true or false; the answer is the probability of true",
        "label_sql": "BOOLEAN, what is predicted; NULL where nobody will ever know",
        "calibrates": " a\n# sigmoid calibrates it on the second,",
        "fallback": "Every row gets the share of true labels in the training window; nothing is ranked.",
        "says": "the probability of what",
        "built": "; a sigmoid fitted on later weeks calibrates them; both are one pipeline",
        "tolerance": "  onnx_tolerance: 1.0e-6         # largest allowed difference between artifact and estimator",
    },
    "number": {
        "label_says": ", a number; so is the answer",
        "label_sql": "a number, what is predicted; NULL where nobody will ever know",
        "calibrates": "\n# and from the second,",
        "fallback": "Every row gets the mean label of the training window; nothing is told apart.",
        "says": "the number of what, in which unit",
        "built": "",
        "tolerance": "  onnx_tolerance: 1.0e-5         # largest allowed difference, in standard deviations of it",
    },
}


@dataclass(frozen=True)
class Blank:
    """One line that a person has to fill in."""

    file: str
    line: int
    text: str


def make_model(
    project: Path, models: Path, monitoring: Path, name: str, prediction: str, dataset: str = ""
) -> tuple[Path, ...]:
    """Write the model's folder below ``models`` and its file in ``monitoring``; return what was written.

    Raises:
        BadInput: a bad name, or a model or monitor of this name that is there already.
        DependencyFailed: the disk is full.
    """
    checked("model", name)
    if prediction not in _KINDS:
        raise BadInput(
            "bad-prediction",
            f"got the prediction {prediction!r}, expected one of: {', '.join(_KINDS)}",
            "choose one",
        )
    if (models / name / "model.yaml").exists():
        raise BadInput(
            "exists", f"got the model {name!r}, which is there, expected a new name", "see its folder"
        )
    words = {
        "name": name,
        "prediction": prediction,
        "dataset": dataset,
        "reads": "what rows.sql reads; the first one's rows are scored"
        if dataset
        else f"{MARK}: what rows.sql reads, like [orders]; the first one's rows are scored",
        "from_dataset": dataset or "FILL_IN",
        **_KINDS[prediction],
    }
    here, watched = (Path(os.path.relpath(folder, project)) for folder in (models / name, monitoring))
    files = {str(here / file): _rendered(file, words) for file in _FILES}
    files[str(here / "train.py")] = _rendered(f"train.{prediction}.py", words)
    files[str(watched / f"{name}.yaml")] = _rendered(f"monitor.{prediction}.yaml", words)
    # A folder with a model.yaml is a model, so that file is the last one.
    return tuple(project / path for path in place(project, files, str(here / "model.yaml")))


def blanks(files: tuple[Path, ...], project: Path) -> tuple[Blank, ...]:
    """Return the lines of ``files`` that are marked as still to be filled in."""
    found = []
    for path in sorted(files, key=lambda path: path.suffix != ".yaml"):  # what the loader reads comes first
        shown = str(path.relative_to(project)) if path.is_relative_to(project) else str(path)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if MARK in line:
                found.append(Blank(shown, number, line.partition(MARK)[2].lstrip(": ")))
    return tuple(found)


def _rendered(file: str, words: Mapping[str, str]) -> bytes:
    text = (TEMPLATES / "model" / f"{file}.template").read_text(encoding="utf-8")
    return Template(text).substitute(words).encode()
