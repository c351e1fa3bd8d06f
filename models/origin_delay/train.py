"""How the origin delay model is built. Plain scikit-learn: it runs in a notebook as it runs here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder


def pipeline(
    numeric: Sequence[str],
    categorical: Sequence[str],
    parameters: Mapping[str, float | int | str],
    train_rows: np.ndarray,  # noqa: ARG001 - every model is called alike
    calibrate_rows: np.ndarray,  # noqa: ARG001
) -> Pipeline:
    """Return the unfitted estimator.

    It is then fitted on all rows at once, those of the calibration window included: a mean in minutes needs
    no second fit to be one, so ``train_rows`` and ``calibrate_rows`` (positions in the frame) are not told apart.
    """
    trees = HistGradientBoostingRegressor(
        loss=str(parameters["loss"]),
        learning_rate=float(parameters["learning_rate"]),
        max_iter=int(parameters["max_iter"]),
        max_leaf_nodes=int(parameters["max_leaf_nodes"]),
        min_samples_leaf=int(parameters["min_samples_leaf"]),
        early_stopping=False,  # it would hold out random rows, and days are what differs
        random_state=int(parameters["seed"]),
    )
    # Codes, not native categories: those have no ONNX form. An unseen airport becomes -1.
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.float32)
    columns = ColumnTransformer(
        [("numeric", "passthrough", list(numeric)), ("codes", codes, list(categorical))]
    )
    return Pipeline([("columns", columns), ("trees", trees)])
