"""A version in a real MLflow store."""

import sys
import warnings

import numpy as np
import pytest
from registry.samples import facts_of

from flwr_registry.errors import ExportError
from flwr_registry.records import RunProvenance, VersionMetadata
from flwr_registry.registry import ModelRegistry


@pytest.fixture(autouse=True)
def _warnings_of_mlflow_are_its_own():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def registry(tmp_path):
    with ModelRegistry(tmp_path / "registry.db") as opened:
        provenance = RunProvenance("trial", "digits", strategy_config={"eta": 0.1})
        run = opened.start_run(provenance)
        for server_round in (1, 2):
            opened.register(
                {"w": np.full(3, server_round, np.float32)},
                model="digits",
                run=run,
                facts=facts_of(server_round, "ann", loss=1 / server_round),
                metadata=VersionMetadata(tags={"site": "north"}),
            )
        yield opened


def test_metrics_lineage_and_bytes_arrive(registry, tmp_path):
    from mlflow.artifacts import download_artifacts
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri, uri)
    client.create_experiment("trials", artifact_location=f"{tmp_path}/artifacts")
    first, second = (
        registry.to_mlflow(f"digits:1.{n}.0", tracking_uri=uri, experiment="trials")
        for n in (0, 1)
    )
    assert (first.name, first.version, second.version) == ("digits", "1", "2")
    run = client.get_run(second.run_id)
    assert run.data.metrics["train_clientapp.loss"] == 0.5
    assert run.data.params["strategy.eta"] == "0.1"
    assert run.info.status == "FINISHED"
    made = client.get_model_version("digits", "2")
    assert made.tags["flwr_registry.parent"] == "1.0.0"
    assert made.tags["flwr_registry.sha256"] == registry.get("digits").checksum
    assert made.tags["site"] == "north"
    place = download_artifacts(
        run_id=second.run_id,
        artifact_path="model/model.safetensors",
        dst_path=str(tmp_path),
        tracking_uri=uri,
    )
    copied = registry.register(place, model="copied")
    assert copied.checksum == registry.get("digits").checksum


def test_without_mlflow_the_extra_is_named(registry, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(ExportError, match=r"flwr-registry\[mlflow\]"):
        registry.to_mlflow("digits")
