"""Converts a fitted scikit-learn pipeline to ONNX, and measures whether it still says the same."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidegate.adapters.shared.model_code import model_failed
from tidegate.application.ports import ModelSpec
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.evidence import Evidence, Measure, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Fixed, so that the same training gives the same bytes whatever the converter's newest is.
OPSET = {"": 21, "ai.onnx.ml": 3}
#: How far the artifact may be from its estimator: of a probability as it is, of a number in standard deviations
#: of the training window's labels. An artifact adds in 32 bits: 2e-7 were seen of probabilities, 4e-6 of numbers.
TOLERANCES: Mapping[str, float] = {"probability": 1e-6, "number": 1e-5}
PLURALS: Mapping[str, str] = {"probability": "probabilities", "number": "numbers"}
PACKAGES = ("scikit-learn", "numpy", "skl2onnx", "onnx", "onnxruntime")


def convert(model: ModelSpec, estimator: Any) -> bytes:
    """Return the ONNX bytes: the same for the same estimator, in any process."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    inputs = [(name, FloatTensorType([None, 1])) for name in model.numeric]
    inputs += [(name, StringTensorType([None, 1])) for name in model.categorical]
    # One array of probabilities, not a list of dictionaries. Regressors do not know the option.
    options = {"zipmap": False} if model.prediction == "probability" else None
    try:
        with warnings.catch_warnings():
            # The converter hands numpy booleans to protobuf; ours to wait for, not to correct.
            warnings.filterwarnings("ignore", "Field onnx.AttributeProto", DeprecationWarning)
            converted = to_onnx(
                estimator,
                initial_types=inputs,
                name=model.name,  # it would otherwise be random
                options=options,
                target_opset=OPSET,
            )
    except Exception as error:  # noqa: BLE001 - the converter raises whatever it stumbles over
        text = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        # Not chained: the converter's message prints every tree.
        raise DependencyFailed(
            "not-convertible",
            f"got a pipeline of {model.name} that skl2onnx cannot convert ({text}), expected one it can",
            "keep to transformers and trees, or linear models; calibrate with method='sigmoid'",
            model=model.name,
        ) from None
    # The converter keeps the opsets in a set, whose order changes with the process.
    opsets = sorted(converted.opset_import, key=lambda opset: opset.domain)
    del converted.opset_import[:]
    converted.opset_import.extend(opsets)
    return bytes(converted.SerializeToString(deterministic=True))


def parity(
    model: ModelSpec,
    estimator: Any,
    arrays: Mapping[str, NDArray[Any]],
    scores: NDArray[np.float64],
    scale: float,
    digest: str,
) -> Evidence:
    """Compare artifact and estimator on every validation row: on calibrated probabilities, or on numbers.

    ``max_abs_difference`` is that of probabilities as they are, and that of numbers in units of ``scale``, the
    standard deviation of the labels they were trained on: so one limit serves minutes and millions.

    Raises:
        DependencyFailed: they differ by more than ``evaluation.onnx_tolerance``, or the estimator fails.
    """
    import numpy as np
    import pandas as pd

    columns = pd.DataFrame({name: array[:, 0] for name, array in arrays.items()})
    probable = model.prediction == "probability"
    try:
        said = estimator.predict_proba(columns)[:, 1] if probable else estimator.predict(columns)
    except Exception as error:  # the team's own pipeline may raise anything
        raise model_failed(model, "predict", error) from error
    difference = np.abs(np.asarray(said, dtype=np.float64).reshape(-1) - scores).max()
    largest = float(difference if probable else difference / scale)
    allowed = _allowed(model)
    unit = "" if probable else f" standard deviations of {model.label} ({scale:.4g})"
    counted = f"on {len(scores)} rows"
    if not largest <= allowed:
        raise DependencyFailed(
            "onnx-parity",
            f"got a converted model of {model.name} that differs by {largest:.2g}{unit} {counted}, "
            f"expected at most {allowed:.2g}",
            "use an estimator that converts faithfully: sigmoid calibration, no native categories, no log link",
            model=model.name,
        )
    sentence = f"{PLURALS[model.prediction]} differ by {largest:.2g}{unit} at most {counted}, {allowed:.2g} is allowed"
    value = Measure(largest, len(scores), method=f"largest absolute difference{' in' if unit else ''}{unit}")
    return Evidence(
        "onnx_parity", f"artifact {digest}", Verdict.PASSED, sentence, _tool(), {"max_abs_difference": value}
    )


def replayed(
    model: ModelSpec, kept: NDArray[np.float64], scores: NDArray[np.float64], spread: float, digest: str
) -> Evidence:
    """Compare predictions with those that were kept, within what an artifact may differ from its estimator.

    Numbers are compared in units of ``spread``, the standard deviation of the kept ones.
    """
    probable = model.prediction == "probability"
    difference = abs(scores - kept).max(initial=0.0)
    largest = float(difference if probable or not spread else difference / spread)
    allowed = _allowed(model)
    same = bool(len(kept)) and largest <= allowed
    sentence = (
        f"{len(kept)} golden {PLURALS[model.prediction]} differ by {largest:.2g} at most, "
        f"{'' if same else 'expected at most '}{allowed:.2g}{' is allowed' if same else ''}"
    )
    value = Measure(largest, len(kept), method="largest absolute difference")
    return Evidence(
        "golden_predictions",
        f"artifact {digest}",
        Verdict.PASSED if same else Verdict.FAILED,
        sentence if len(kept) else "got no kept prediction to compare with, expected at least one",
        _tool(),
        {"max_abs_difference": value},
    )


def _allowed(model: ModelSpec) -> float:
    return float(model.parameters.get("evaluation.onnx_tolerance", TOLERANCES[model.prediction]))


def environment() -> Mapping[str, str]:
    """Name what the bytes of an artifact depend on beside code and data."""
    import platform
    from importlib.metadata import version

    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def _tool() -> str:
    from importlib.metadata import version

    return f"skl2onnx {version('skl2onnx')}, ONNX Runtime {version('onnxruntime')}"
