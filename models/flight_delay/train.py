"""How the flight delay model is built. Plain scikit-learn: it runs in a notebook as it runs here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder


def pipeline(
    numeric: Sequence[str],
    categorical: Sequence[str],
    parameters: Mapping[str, float | int | str],
    train_rows: np.ndarray,
    calibrate_rows: np.ndarray,
) -> Pipeline:
    """Return the unfitted estimator.

    It is then fitted on all rows at once: trees learn from ``train_rows``, the sigmoid that calibrates
    them from the later ``calibrate_rows`` (positions in the frame). One pipeline, so that what is
    converted, registered and served is what was calibrated.
    """
    trees = HistGradientBoostingClassifier(
        learning_rate=float(parameters["learning_rate"]),
        max_iter=int(parameters["max_iter"]),
        max_leaf_nodes=int(parameters["max_leaf_nodes"]),
        min_samples_leaf=int(parameters["min_samples_leaf"]),
        l2_regularization=float(parameters["l2_regularization"]),
        early_stopping=False,  # it would hold out random rows, and days are what differs
        random_state=int(parameters["seed"]),
    )
    # Codes, not native categories: those have no ONNX form. An unseen airport or carrier becomes -1.
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.float32)
    return Pipeline(
        [
            (
                "columns",
                ColumnTransformer(
                    [("numeric", "passthrough", list(numeric)), ("codes", codes, list(categorical))]
                ),
            ),
            (
                "calibrated",
                # Sigmoid: isotonic calibration moves by 6e-3 when converted to ONNX.
                CalibratedClassifierCV(trees, method="sigmoid", cv=[(train_rows, calibrate_rows)]),
            ),
        ]
    )
