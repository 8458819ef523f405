"""A version as a run and a model version of an MLflow tracking server."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from flwr_registry.errors import ExportError
from flwr_registry.extras import how_to_install
from flwr_registry.registry.exchange.described_versions import (
    DescribedVersion,
    describe,
)
from flwr_registry.registry.exchange.model_card import model_card
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.versions.references import parse_reference
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import copy_verified

__all__ = ["MlflowVersion", "to_mlflow"]

_MAX_PARAM_CHARACTERS = 500
_MAX_TAG_CHARACTERS = 5000
_MAX_NAME_CHARACTERS = 250
_FORBIDDEN = re.compile(r"[^\w. -]", re.ASCII)
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
    yield from byte_work(_require_mlflow)
    wanted = parse_reference(reference)
    found = yield from read(lambda session: describe(session, wanted))
    name = name or found.version.model
    work = partial(_copy, storage, found, tracking_uri, experiment or name, name)
    return (yield from byte_work(work))


def _require_mlflow() -> None:
    try:
        import_module("mlflow.tracking")
    except ImportError as error:
        raise ExportError(
            f"MLflow is not installed: {how_to_install('mlflow')}"
        ) from error


def _copy(
    storage: StorageBackend,
    found: DescribedVersion,
    tracking_uri: str | None,
    experiment: str,
    name: str,
) -> MlflowVersion:
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        run = client.create_run(
            _experiment_id(client, experiment),
            run_name=found.version.reference,
            tags=_tags(found),
        )
        run_id = run.info.run_id
        try:
            _log(client, storage, found, run_id)
            made = _registered(client, name, found, run)
        except BaseException:
            with suppress(MlflowException):
                client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id)
    except (MlflowException, OSError) as error:
        raise ExportError(f"MLflow refuses: {error}") from error
    return MlflowVersion(run_id, name, str(made.version))


def _log(
    client: Any, storage: StorageBackend, found: DescribedVersion, run_id: str
) -> None:
    for key, value in _params(found):
        client.log_param(run_id, _name(key), value[:_MAX_PARAM_CHARACTERS])
    step = found.version.server_round or 0
    for key, measure in _metrics(found):
        client.log_metric(run_id, _name(key), measure, step=step)
    _log_files(client, storage, found, run_id)


def _name(key: str) -> str:
    """Write a name as MLflow takes it: nodes and users may say anything."""
    return _FORBIDDEN.sub("_", key)[:_MAX_NAME_CHARACTERS]


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
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "model.safetensors").open("xb") as file:
            copy_verified(storage, found.version.stored, file)
        card = Path(folder) / "README.md"
        card.write_text(model_card(found), encoding="utf-8")
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
    return {
        _name(key): value[:_MAX_TAG_CHARACTERS] for key, value in tags.items() if value
    }


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
