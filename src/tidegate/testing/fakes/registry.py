"""A registry in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tidegate.application.ports import ModelSpec, Registered, Trained
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import DependencyFailed


class FakeRegistry:
    """Remembers versions. ``down`` plays an outage; `move` plays another hand."""

    tool = "a registry in memory"

    def __init__(self) -> None:
        self.down = False
        self._versions: dict[str, list[tuple[str, Path]]] = {}
        self._stages: dict[str, dict[int, str]] = {}

    def register(
        self,
        model: ModelSpec,
        trained: Trained,
        training_key: str,
        facts: Mapping[str, str],
    ) -> Registered:
        """Create a version, or return the one of this training."""
        self._up()
        versions = self._versions.setdefault(model.name, [])
        keys = [key for key, _ in versions]
        if training_key not in keys:
            versions.append((training_key, trained.artifact))
            keys.append(training_key)
        number = keys.index(training_key) + 1
        return Registered(number, f"run-{number}", f"models:/{model.name}/{number}")

    def fetch(self, model: str, number: int, artifact_digest: str) -> Path:
        """Return a version's artifact, verified."""
        self._up()
        versions = self._versions.get(model, [])
        if not 1 <= number <= len(versions):
            raise DependencyFailed("registry-failed", f"got no version {number} of {model}, expected it")
        path = versions[number - 1][1]
        if (found := sha256(path.read_bytes())) != artifact_digest:
            raise DependencyFailed(
                "artifact-altered", f"got an artifact with the digest {found}, expected {artifact_digest}"
            )
        return path

    def project(self, model: str, stages: Mapping[int, str]) -> tuple[str, ...]:
        """Take over the stages; return what was different."""
        self._up()
        if missing := [number for number in stages if number > len(self._versions.get(model, []))]:
            sentence = f"got no version {missing} of {model}, expected what the ledger holds"
            raise DependencyFailed("registry-version-missing", sentence)
        held = self._stages.get(model, {})
        self._stages[model] = dict(stages)
        return tuple(
            f"version {number} of {model} was {held.get(number)}, now {stages.get(number)}"
            for number in sorted({*held, *stages})
            if held.get(number) != stages.get(number)
        )

    def move(self, model: str, number: int, stage: str) -> None:
        """Move a version behind Tidegate's back."""
        self._stages.setdefault(model, {})[number] = stage

    def _up(self) -> None:
        if self.down:
            raise DependencyFailed("registry-failed", "got no answer from the registry, expected one")
