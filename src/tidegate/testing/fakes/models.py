"""Models that are declared in code."""

from __future__ import annotations

from tidegate.application.ports import ModelSpec
from tidegate.domain.errors import BadInput


class FakeModels:
    """Holds declarations; replace one with `put` to play an edit of its folder."""

    def __init__(self, *specs: ModelSpec) -> None:
        self._specs = {spec.name: spec for spec in specs}

    def put(self, spec: ModelSpec) -> None:
        """Declare a model, or declare it anew."""
        self._specs[spec.name] = spec

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(sorted(self._specs))

    def spec(self, model: str) -> ModelSpec:
        """Return a declaration."""
        if model not in self._specs:
            known = ", ".join(self.names()) or "none"
            raise BadInput("unknown-model", f"got the model {model!r}, expected one of: {known}", model=model)
        return self._specs[model]
