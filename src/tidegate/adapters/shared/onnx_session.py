"""ONNX models: what goes in, and the prediction that comes out.

Every declared input is a tensor of its own name and shape (rows, 1): numeric ones float32, where null is
NaN; categorical ones strings, where null is the empty string. The estimator is fitted on exactly these
values, so nothing is left between training and serving to differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidegate.application.ports import ModelSpec
from tidegate.domain.errors import BadInput, DependencyFailed

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime
    import pyarrow as pa
    from numpy.typing import NDArray

#: Rows scored at once: large enough to be fast, small enough to stay in the cache.
CHUNK = 8192
#: What an artifact yields by what it predicts, and how many columns that has: skl2onnx names them so. The
#: last column is the prediction: a probability comes with that of the label being false.
OUTPUTS: Mapping[str, tuple[str, int]] = {"probability": ("probabilities", 2), "number": ("variable", 1)}


def require_columns(table: pa.Table, columns: Sequence[str], what: str) -> None:
    """Refuse a table that lacks any of ``columns``.

    Raises:
        BadInput: naming every missing column.
    """
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise BadInput(
            "missing-column",
            f"got {what} without {', '.join(missing)}, expected the columns that the model declares",
            "build the frame again with the model's feature service",
            missing=missing,
        )


def asked_arrays(
    session: onnxruntime.InferenceSession, table: pa.Table, model: ModelSpec, what: str
) -> Mapping[str, NDArray[Any]]:
    """Return one array per declared input that an artifact asks for: an earlier version may know fewer of them.

    Raises:
        BadInput: the table lacks one of them, or a numeric one holds something that is no number.
    """
    asked = {item.name for item in session.get_inputs()}
    known = replace(
        model,
        numeric=tuple(name for name in model.numeric if name in asked),
        categorical=tuple(name for name in model.categorical if name in asked),
    )
    require_columns(table, (*known.numeric, *known.categorical), what)
    return input_arrays(table, known)


def input_arrays(table: pa.Table, model: ModelSpec) -> Mapping[str, NDArray[Any]]:
    """Return one (rows, 1) array per declared input.

    Raises:
        BadInput: a numeric input holds something that is no number.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays: dict[str, NDArray[Any]] = {}
    for name in model.numeric:
        try:
            column = pc.cast(table.column(name), pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise BadInput(
                "not-a-number",
                f"got the input {name} as {table.column(name).type}, expected numbers",
                "declare it as categorical, or correct the view that makes it",
            ) from error
        arrays[name] = np.asarray(column.to_numpy(), dtype=np.float32).reshape(-1, 1)
    for name in model.categorical:
        column = pc.fill_null(pc.cast(table.column(name), pa.string()), "")
        arrays[name] = np.asarray(column.to_numpy(zero_copy_only=False), dtype=object).reshape(-1, 1)
    return arrays


def open_session(body: bytes, what: str) -> onnxruntime.InferenceSession:
    """Open a model from bytes that were verified, never from a path that may change under us.

    One thread: a request is one row, and a second thread only costs.

    Raises:
        DependencyFailed: the bytes are no ONNX model that this runtime can run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors come back as exceptions; they need not be printed too
    try:
        return onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no base class of their own
        raise DependencyFailed(
            "artifact-not-loadable",
            f"got {what} which ONNX Runtime {onnxruntime.__version__} cannot load, expected an ONNX model",
            "register the version again from its training set",
        ) from error


def predictions(
    session: onnxruntime.InferenceSession, arrays: Mapping[str, NDArray[Any]], rows: int, kind: str
) -> NDArray[np.float64]:
    """Return the probability of the label being true, or the number that is predicted, shape (rows,).

    Raises:
        DependencyFailed: the model wants other inputs than it is given, predicts another ``kind``, or yields
            something that is no finite number.
    """
    import numpy as np

    output, width = OUTPUTS[kind]
    _require_signature(session, arrays, output)
    scores = np.empty(rows, dtype=np.float64)
    for start in range(0, rows, CHUNK):
        part = {name: array[start : start + CHUNK] for name, array in arrays.items()}
        try:
            yielded = session.run([output], part)[0]
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise DependencyFailed(
                "scoring-failed",
                f"got {type(error).__name__} from ONNX Runtime at row {start}, expected predictions",
                "compare the frame's column types with the version's signature",
            ) from error
        if yielded.shape != (wanted := (min(CHUNK, rows - start), width)):
            raise DependencyFailed(
                "artifact-signature",
                f"got {output} of the shape {yielded.shape}, expected {wanted} of a {kind}",
                "train a version that predicts one thing a row",
            )
        scores[start : start + CHUNK] = yielded[:, -1]
    if not np.isfinite(scores).all():
        raise DependencyFailed(
            "scoring-failed",
            "got a score that is no finite number, expected predictions",
            "retrain the version",
        )
    return scores


def _require_signature(
    session: onnxruntime.InferenceSession, arrays: Mapping[str, NDArray[Any]], output: str
) -> None:
    for side, held, wanted in (
        ("inputs", session.get_inputs(), set(arrays)),
        ("output", session.get_outputs(), {output}),
    ):
        names = {item.name for item in held}
        if not (wanted <= names if side == "output" else wanted == names):
            raise DependencyFailed(
                "artifact-signature",
                f"got an artifact with the {side} {', '.join(sorted(names))}, "
                f"expected {', '.join(sorted(wanted))}",
                "the model's declaration changed since this version was trained",
            )
