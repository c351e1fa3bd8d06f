"""A model folder's code: its digest, and its ``train.py`` loaded by path.

The code is executed from the very bytes that were digested, in a module whose name holds the digest.
Two versions of a model never see each other's code, nothing is put in ``sys.modules`` to be found by a
bare name, and no ``__pycache__`` appears in the team's folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tidegate.application.ports import ModelSpec
from tidegate.domain.canonical import digest
from tidegate.domain.errors import BadInput, DependencyFailed


def folder_digest(folder: Path) -> str:
    """Return ``sha256:<hex>`` over the names and bytes of a folder's files.

    Hidden files and ``__pycache__`` are no part of a model: tools drop them there.
    """
    return digest({name: hashlib.sha256(body).hexdigest() for name, body in _bodies(folder).items()})


def load_pipeline(model: ModelSpec) -> Callable[..., Any]:
    """Return the ``pipeline`` function of the model's ``train.py``.

    Raises:
        BadInput: the folder changed since its digest was taken, or ``train.py`` defines no ``pipeline``.
        DependencyFailed: ``train.py`` cannot be executed.
    """
    bodies = _bodies(model.folder)
    found = digest({name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()})
    if found != model.source_digest:
        raise BadInput(
            "model-changed",
            f"got the folder of {model.name} as {found}, expected {model.source_digest} as it was read",
            "somebody edited the model while it was being used; start again",
            model=model.name,
        )
    module = ModuleType(f"tidegate_model_{model.name}_{found.removeprefix('sha256:')[:16]}")
    module.__file__ = str(model.folder / "train.py")
    try:
        exec(compile(bodies["train.py"], module.__file__, "exec"), module.__dict__)  # noqa: S102 - the team's own code
    except Exception as error:  # the team's own code may raise anything
        raise model_failed(model, "be loaded", error) from error
    function: Callable[..., Any] | None = getattr(module, "pipeline", None)
    if not callable(function):
        raise BadInput(
            "no-pipeline",
            f"got a train.py of {model.name} without a function `pipeline`, expected "
            "pipeline(numeric, categorical, parameters, train_rows, calibrate_rows)",
            "take the signature from a train.py that `tidegate model new` writes",
            model=model.name,
        )
    return function


def model_failed(model: ModelSpec, verb: str, error: Exception) -> DependencyFailed:
    """Return the one sentence for a failure inside the model's own code."""
    text = str(error).strip().splitlines()
    line = _line_in(error, model.folder / "train.py")
    where = f" at line {line}" if line else ""
    return DependencyFailed(
        "model-code-failed",
        f"got {type(error).__name__}{where}{f' ({text[0]})' if text else ''}, "
        f"expected train.py of {model.name} to {verb}",
        "run the model's train.py by itself to see the whole traceback",
        model=model.name,
    )


def _line_in(error: BaseException, file: Path) -> int | None:
    """Return the deepest line of ``file`` in the traceback."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == str(file):
            line = step.tb_lineno
        step = step.tb_next
    return line


def _bodies(folder: Path) -> dict[str, bytes]:
    bodies = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
            bodies["/".join(parts)] = path.read_bytes()
    return bodies
