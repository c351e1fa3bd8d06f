"""scikit-learn: fit, calibrate, judge over whole days, convert to ONNX."""

from tidegate.adapters.sklearn_trainer.trainer import SklearnTrainer

__all__ = ["SklearnTrainer"]
