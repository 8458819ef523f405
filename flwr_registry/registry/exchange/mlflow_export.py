"""A version as a run and a model version of an MLflow tracking server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flwr_registry.errors import ExportError
from flwr_registry.records import StoredObject
from flwr_registry.registry.exchange.described_versions import (
    DescribedVersion,
    describe,
)
from flwr_registry.registry.exchange.model_card import model_card
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.versions.references import parse_reference
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import load_verified

__all__ = ["MlflowVersion", "to_mlflow"]

_MAX_PARAM_CHARACTERS = 500
_ALREADY = "RESOURCE_ALREADY_EXISTS"


@dataclass(frozen=True, slots=True)
class MlflowVersion:
    """Where a version is in MLflow.

    Attributes
    ----------
    run_id : str
        Of the MLflow run that has its metrics.
    name, version : str
        Of the registered model.
    """

    run_id: str
    name: str
    version: str


def to_mlflow(
    storage: StorageBackend,
    reference: str,
    tracking_uri: str | None,
    experiment: str | None,
    name: str | None,
) -> Steps[MlflowVersion]:
    """Copy a version with metrics, parameters and lineage into MLflow.

    Raises
    ------
    ExportError
        When MLflow is not installed or refuses.
    """
    client = _client(tracking_uri)
    wanted = parse_reference(reference)
    found = yield from read(lambda session: describe(session, wanted))
    name = name or found.version.model
    work = partial(_log, client, storage, found, experiment or name, name)
    return (yield from byte_work(work))


def _client(tracking_uri: str | None) -> Any:
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise ExportError(
            "MLflow is not installed: pip install 'flwr-registry[mlflow]'"
        ) from error
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def _log(
    client: Any,
    storage: StorageBackend,
    found: DescribedVersion,
    experiment: str,
    name: str,
) -> MlflowVersion:
    from mlflow.exceptions import MlflowException

    try:
        run = client.create_run(
            _experiment_id(client, experiment),
            run_name=found.version.reference,
            tags=_tags(found),
        )
        run_id = run.info.run_id
        for key, value in _params(found):
            client.log_param(run_id, key, value[:_MAX_PARAM_CHARACTERS])
        step = found.version.server_round or 0
        for key, measure in _metrics(found):
            client.log_metric(run_id, key, measure, step=step)
        _log_files(client, storage, found, run_id)
        client.set_terminated(run_id)
        made = _registered(client, name, found, run)
    except MlflowException as error:
        raise ExportError(f"MLflow refuses: {error}") from error
    return MlflowVersion(run_id, name, str(made.version))


def _experiment_id(client: Any, name: str) -> str:
    known = client.get_experiment_by_name(name)
    found = known.experiment_id if known is not None else client.create_experiment(name)
    return str(found)


def _registered(client: Any, name: str, found: DescribedVersion, run: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if _ALREADY not in str(error.error_code):
            raise
    return client.create_model_version(
        name,
        source=f"{run.info.artifact_uri}/model",
        run_id=run.info.run_id,
        tags=_tags(found),
        description=found.version.metadata.description or None,
    )


def _log_files(
    client: Any, storage: StorageBackend, found: DescribedVersion, run_id: str
) -> None:
    version = found.version
    stored = StoredObject(
        version.storage_path, version.file_size_bytes, version.checksum
    )
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.safetensors"
        weights.write_bytes(load_verified(storage, stored))
        (Path(folder) / "README.md").write_text(model_card(found))
        client.log_artifacts(run_id, folder, "model")


def _tags(found: DescribedVersion) -> dict[str, str]:
    version = found.version
    tags = {
        **version.metadata.tags,
        "flwr_registry.version": version.reference,
        "flwr_registry.sha256": version.checksum,
        "flwr_registry.parent": version.parent_version or "",
        "flwr_registry.status": version.status.value,
        "flwr_registry.nodes": str(version.num_clients),
    }
    if found.run is not None:
        tags["flwr_registry.run"] = found.run.provenance.name
        tags["flwr_registry.flwr_run_id"] = found.run.provenance.flwr_run_id
    return {key: value for key, value in tags.items() if value}


def _params(found: DescribedVersion) -> Iterator[tuple[str, str]]:
    said = found.version.metadata
    groups: dict[str, Mapping[str, Any]] = {"model_config": said.model_config}
    if found.run is not None:
        came = found.run.provenance
        yield "strategy", came.strategy
        groups |= {"strategy": came.strategy_config, "run": came.run_config}
    for group, values in groups.items():
        for key, value in values.items():
            yield f"{group}.{key}", str(value)


def _metrics(found: DescribedVersion) -> Iterator[tuple[str, float]]:
    for source, measured in found.version.metrics.items():
        for key, value in measured.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield f"{source}.{key}", float(value)
    if found.version.epsilon is not None:
        yield "privacy.epsilon", found.version.epsilon
