"""MLflow: runs, versions and the aliases that follow the ledger."""

from tidegate.adapters.mlflow_registry.registry import MlflowRegistry

__all__ = ["MlflowRegistry"]
