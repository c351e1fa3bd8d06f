"""The data gate: native Great Expectations suites, evaluated by Arrow where that gives GX's own verdicts."""

from tidegate.adapters.gx_gate.gate import GxGate

__all__ = ["GxGate"]
