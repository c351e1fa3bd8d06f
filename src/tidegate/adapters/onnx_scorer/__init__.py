"""ONNX Runtime: score with verified bytes."""

from tidegate.adapters.onnx_scorer.scorer import OnnxScorer

__all__ = ["OnnxScorer"]
