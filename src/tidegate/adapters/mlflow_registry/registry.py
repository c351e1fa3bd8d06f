"""The model registry: MLflow, through its client alone.

Nothing global is touched: no active run, no tracking URI, no autolog. What MLflow holds is a projection
of the ledger. Run and version carry ``tidegate.training_key``, by which a registration that was cut
short is found again; the version is created last, so a version that exists is whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

from tidegate.adapters.mlflow_registry.client import MlflowStore
from tidegate.adapters.mlflow_registry.said import STAGE, StageAlias, StageTag
from tidegate.adapters.shared.files import read_artifact
from tidegate.application.ports import Difference, Marks, ModelSpec, Registered, Trained
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.evidence import Measure

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

KEY, ARTIFACT = "tidegate.training_key", "tidegate.artifact"
#: MLflow takes at most this many parameters or tags in one call.
_AT_ONCE = 100


class MlflowRegistry:
    """Keeps versions in MLflow at ``tracking_uri``, their artifacts below ``artifact_root``.

    ``aliases`` are the stages that one version at a time is found under (``models:/NAME@prod``); every
    other stage is only a tag.
    """

    def __init__(
        self,
        tracking_uri: str,
        artifact_root: str | Path,
        aliases: tuple[str, ...] = ("staging", "canary", "prod"),
    ) -> None:
        root = artifact_root.resolve().as_uri() if isinstance(artifact_root, Path) else artifact_root
        self._root, self._aliases = root.rstrip("/"), aliases
        self._store = MlflowStore(tracking_uri, self._root)

    @property
    def tool(self) -> str:
        """Return MLflow's name and version."""
        from importlib.metadata import version

        return f"MLflow {version('mlflow')}"

    def register(
        self,
        model: ModelSpec,
        trained: Trained,
        training_key: str,
        facts: Mapping[str, str],
        marks: Marks | None = None,
    ) -> Registered:
        """Log run and artifact, create the version; the same ``training_key`` again returns the same version.

        ``marks`` become tags of the run and the version, and files beside the model.

        Raises:
            DependencyFailed: MLflow cannot be used, or the artifact no longer has its digest.
        """
        # The client first: importing MLflow may take longer than others wait for the lock.
        with self._store.client(create=True) as client, self._store.lock():
            version = _version(client, model.name, training_key)
            if version is None:
                read_artifact(trained.artifact, trained.artifact_digest)
                run = self._run(client, model, training_key)
                marks = marks or Marks()
                _log(client, run, model, trained, facts, marks)
                source = f"{run.info.artifact_uri}/model"
                tags = {KEY: training_key, ARTIFACT: trained.artifact_digest, **_tags(facts), **marks.tags}
                _ensure_model(client, model)
                version = client.create_model_version(model.name, source, run.info.run_id, tags=tags)
            number = int(version.version)
            return Registered(number=number, run_id=str(version.run_id), uri=f"models:/{model.name}/{number}")

    def fetch(self, model: str, number: int, artifact_digest: str) -> Path:
        """Return the version's artifact, verified.

        Raises:
            DependencyFailed: the registry is down, or what it holds no longer has this digest.
        """
        with self._store.client() as client:
            from mlflow.artifacts import download_artifacts

            uri = client.get_model_version_download_uri(model, str(number))
            path = Path(download_artifacts(artifact_uri=f"{uri}/model.onnx", tracking_uri=self._store.uri))
            read_artifact(path, artifact_digest)
            return path

    def differences(self, model: str, known: Sequence[Mapping[int, str]]) -> tuple[Difference, ...]:
        """Return every alias and stage tag that says what none of ``known`` says; change nothing.

        Aliases that are none of ours are left alone.

        Raises:
            DependencyFailed: MLflow cannot be used, or lacks a version that is known now.
        """
        if self._unborn(known[-1]):
            return ()
        with self._store.client() as client:
            said = self._said(client, model, known[-1])
        return tuple(each.difference(model, known[-1]) for each in said if not each.said_by(known))

    def project(
        self, model: str, stages: Mapping[int, str], known: Sequence[Mapping[int, str]] = ()
    ) -> tuple[Difference, ...]:
        """Make aliases and stage tags say what ``stages`` says; return what said neither that nor any of ``known``.

        Raises:
            DependencyFailed: MLflow cannot be used, or lacks a version that ``stages`` names.
        """
        if self._unborn(stages):
            return ()
        with self._store.client() as client, self._store.lock():
            off = [each for each in self._said(client, model, stages) if not each.said_by([stages])]
            for each in off:
                each.mend(client, model, stages)
        return tuple(each.difference(model, stages) for each in off if not each.said_by(known))

    def _unborn(self, stages: Mapping[int, str]) -> bool:
        """Say whether there is no store yet, and need not be one."""
        return not stages and self._store.database is not None and not self._store.database.exists()

    def _said(
        self, client: MlflowClient, model: str, stages: Mapping[int, str]
    ) -> list[StageTag | StageAlias]:
        """Return what MLflow says now: a tag a version, and every alias of ours."""
        versions = {int(version.version): version.tags.get(STAGE) for version in _versions(client, model)}
        if missing := sorted(set(stages) - set(versions)):
            raise DependencyFailed(
                "registry-version-missing",
                f"got no version {', '.join(map(str, missing))} of {model} in MLflow, "
                "expected what the ledger holds",
                "somebody deleted it there: restore MLflow's store from a backup",
                model=model,
            )
        if not versions:
            return []
        held = client.get_registered_model(model).aliases
        tags = [StageTag(number, versions[number]) for number in sorted(versions)]
        aliases = [StageAlias(alias, int(held[alias]) if alias in held else None) for alias in self._aliases]
        return [*tags, *aliases]

    def _run(self, client: MlflowClient, model: ModelSpec, training_key: str) -> Run:
        """Return the run of this training: the one begun before, or a new one."""
        experiment = client.get_experiment_by_name(model.name)
        if experiment is None:
            number = client.create_experiment(model.name, artifact_location=f"{self._root}/{model.name}")
        else:
            number = experiment.experiment_id
        begun = client.search_runs(
            [number], f"tags.\"{KEY}\" = '{training_key}'", order_by=["start_time ASC"]
        )
        if begun:
            return begun[0]
        name = f"{model.name} {training_key.rpartition(':')[2][:12]}"
        return client.create_run(number, tags={KEY: training_key}, run_name=name)


def _log(
    client: MlflowClient,
    run: Run,
    model: ModelSpec,
    trained: Trained,
    facts: Mapping[str, str],
    marks: Marks,
) -> None:
    """Log everything of a run; doing it twice leaves the same run."""
    from mlflow.entities import Metric, Param, RunTag

    number = run.info.run_id
    environment = {f"environment.{name}": value for name, value in trained.environment.items()}
    tags = {ARTIFACT: trained.artifact_digest, **_tags({**facts, **environment}), **marks.tags}
    params = [Param(name, str(value)) for name, value in sorted(model.parameters.items())]
    # The run's own start as time: a metric logged again is then the same point, not a second one.
    metrics = [Metric(name, value, run.info.start_time, 0) for name, value in _metrics(trained)]
    run_tags = [RunTag(name, value) for name, value in sorted(tags.items())]
    for start in range(0, max(len(metrics), len(params), len(run_tags)), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        client.log_batch(number, metrics[part], params[part], run_tags[part])
    with tempfile.TemporaryDirectory(prefix="tidegate-") as folder:
        path = Path(folder) / "model"
        _save(path, model, trained)
        client.log_artifacts(number, str(path), "model")
    for name, text in marks.files.items():
        client.log_text(number, text, name)
    client.set_terminated(number)


def _save(path: Path, model: ModelSpec, trained: Trained) -> None:
    """Write MLflow's model folder, so that any of its clients loads ``models:/NAME/NUMBER``."""
    import mlflow.onnx
    import numpy as np
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    needed = [name for name in ("onnx", "onnxruntime", "numpy") if name in trained.environment]
    kinds = {"float": np.dtype(np.float32), "string": np.dtype(str)}

    yielded = 2 if model.prediction == "probability" else 1  # a probability comes with its complement

    def schema(side: str, width: int) -> Any:
        named = (text.split(": ") for text in trained.signature[side])
        return Schema([TensorSpec(kinds[kind], (-1, width), name) for name, kind in named])

    mlflow.onnx.save_model(
        onnx.load_model_from_string(trained.artifact.read_bytes()),
        str(path),
        signature=ModelSignature(schema("inputs", 1), schema("outputs", yielded)),
        # Given, not inferred: inferring starts a process that loads the model again.
        pip_requirements=[f"{name}=={trained.environment[name]}" for name in needed],
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
        metadata={"model": model.name, "artifact": trained.artifact_digest},
    )
    # MLflow writes the graph anew; what is registered is the file that was digested.
    copyfile(trained.artifact, path / "model.onnx")


def _metrics(trained: Trained) -> Iterator[tuple[str, float]]:
    """Yield every measured number; an interval's ends and n beside its value."""
    groups: dict[str, Mapping[str, Measure]] = {"": trained.metrics, "parity/": trained.parity.values}
    groups |= {f"slice/{name.replace('=', '/')}/": measures for name, measures in trained.slices.items()}
    for prefix, measures in groups.items():
        for name, measure in measures.items():
            numbers = {"": measure.value, "_low": measure.low, "_high": measure.high, "_n": float(measure.n)}
            for suffix, number in numbers.items():
                if number is not None and isfinite(number):
                    yield f"{prefix}{name}{suffix}", number
    for name, count in trained.coverage.items():
        yield f"coverage/{name}", float(count)


def _tags(facts: Mapping[str, str]) -> dict[str, str]:
    return {f"tidegate.{name}": value for name, value in facts.items()}


def _ensure_model(client: MlflowClient, model: ModelSpec) -> None:
    if not client.search_registered_models(f"name = '{model.name}'"):
        client.create_registered_model(
            model.name, {"tidegate.owner": model.owner, "tidegate.tier": model.tier}, model.purpose
        )


def _versions(client: MlflowClient, model: str) -> list[ModelVersion]:
    return list(client.search_model_versions(f"name = '{model}'", max_results=10_000))


def _version(client: MlflowClient, model: str, training_key: str) -> ModelVersion | None:
    """Return the first version of this training."""
    same = [version for version in _versions(client, model) if version.tags.get(KEY) == training_key]
    return min(same, key=lambda version: int(version.version), default=None)
