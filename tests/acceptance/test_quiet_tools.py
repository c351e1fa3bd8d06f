"""Telemetry is off: what would phone home finds that it may not."""

import os
import subprocess
import sys

from tidegate.bootstrap import QUIET

SESSION = """
import pathlib, sys
{quiet}
import onnxruntime
from onnx import TensorProto, helper
numbers = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", numbers[:1], numbers[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
onnxruntime.InferenceSession(model.SerializeToString())
"""
OURS = "from tidegate.bootstrap import quiet_tools; quiet_tools(pathlib.Path(sys.argv[1]))"


def files_left_in_a_fresh_home(tmp_path, quiet):
    """Open one session under a user's empty home, and return what was left there."""
    # It keeps still of itself where it sees a build machine; a user's machine is none.
    plain = {name: value for name, value in os.environ.items() if name not in {*QUIET, "CI"}}
    subprocess.run(
        [sys.executable, "-c", SESSION.format(quiet=quiet), str(tmp_path / "state")],
        env={**plain, "HOME": str(tmp_path)},
        check=True,
        timeout=120,
    )
    return [path for path in tmp_path.rglob("*") if path.is_file()]


def test_onnx_runtime_keeps_no_device_record(tmp_path):
    assert files_left_in_a_fresh_home(tmp_path, OURS) == []


def test_it_would_if_nobody_told_it(tmp_path):
    left = files_left_in_a_fresh_home(tmp_path, "")
    assert any(path.name == "deviceid" for path in left), "the switch may have moved: look again"
