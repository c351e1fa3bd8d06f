"""A registry in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tidegate.application.ports import Difference, Marks, ModelSpec, Registered, Trained
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import DependencyFailed

#: The stages that one version at a time is found under.
ALIASES = ("staging", "canary", "prod")


class FakeRegistry:
    """Remembers versions. ``down`` plays an outage; `move` and `point` play another hand."""

    tool = "a registry in memory"

    def __init__(self) -> None:
        self.down = False
        self._versions: dict[str, list[tuple[str, Path]]] = {}
        self._says: dict[str, dict[int | str, int | str]] = {}

    def register(
        self,
        model: ModelSpec,
        trained: Trained,
        training_key: str,
        facts: Mapping[str, str],
        marks: Marks | None = None,
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

    def differences(self, model: str, known: Sequence[Mapping[int, str]]) -> tuple[Difference, ...]:
        """Return what says what none of ``known`` says."""
        self._up()
        self._there(model, known[-1])
        said = self._said(model, known)
        return tuple(
            difference
            for place, difference in said.items()
            if not any(self._wanted(place, each) == self._held(model).get(place) for each in known)
        )

    def project(
        self, model: str, stages: Mapping[int, str], known: Sequence[Mapping[int, str]] = ()
    ) -> tuple[Difference, ...]:
        """Take over the stages; return what said neither that nor any of ``known``."""
        self._up()
        self._there(model, stages)
        found = self.differences(model, [*known, stages])
        held = self._held(model)
        for place in self._said(model, [stages]):
            wanted = self._wanted(place, stages)
            held.pop(place, None)
            held |= {} if wanted is None else {place: wanted}
        return found

    def move(self, model: str, number: int, stage: str) -> None:
        """Tag a version behind Tidegate's back."""
        self._held(model)[number] = stage

    def point(self, model: str, alias: str, number: int | None) -> None:
        """Point an alias elsewhere, or (None) delete it, behind Tidegate's back."""
        self._held(model).pop(alias, None)
        self._held(model).update({} if number is None else {alias: number})

    def _held(self, model: str) -> dict[int | str, int | str]:
        """Return what is said of a model now: the tag of each version by number, each alias by name."""
        return self._says.setdefault(model, {})

    def _said(self, model: str, known: Sequence[Mapping[int, str]]) -> dict[int | str, Difference]:
        """Return, per tag and alias there is or may be, what it would be to differ."""
        numbers = sorted({place for place in self._held(model) if isinstance(place, int)} | set(known[-1]))
        found: dict[int | str, Difference] = {}
        for number in numbers:
            told = f"version {number} of {model} was tagged {self._held(model).get(number)}"
            found[number] = Difference("", number, f"{told}, the ledger says {known[-1].get(number)}")
        for alias in ALIASES:
            got = int(self._held(model).get(alias, 0))
            told = f"the alias {alias} of {model} was on version {got}"
            wanted = self._wanted(alias, known[-1])
            found[alias] = Difference(alias, got, f"{told}, the ledger says {wanted}")
        return found

    @staticmethod
    def _wanted(place: int | str, stages: Mapping[int, str]) -> int | str | None:
        if isinstance(place, int):
            return stages.get(place)
        return max((number for number, stage in stages.items() if stage == place), default=None)

    def _there(self, model: str, stages: Mapping[int, str]) -> None:
        if missing := [number for number in stages if number > len(self._versions.get(model, []))]:
            sentence = f"got no version {missing} of {model}, expected what the ledger holds"
            raise DependencyFailed("registry-version-missing", sentence)

    def _up(self) -> None:
        if self.down:
            raise DependencyFailed("registry-failed", "got no answer from the registry, expected one")
