"""A version in a real MLflow store."""

import math
import shutil
import sys
import warnings

import numpy as np
import pytest
from registry.samples import facts_of

from flwr_registry.errors import ExportError, IntegrityError
from flwr_registry.records import MetricSource, RunProvenance, VersionMetadata
from flwr_registry.registry import ModelRegistry

pytestmark = pytest.mark.slow


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


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """The database of an empty store, to be copied: faster than its migrations."""
    from mlflow.tracking import MlflowClient

    place = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MlflowClient(f"sqlite:///{place}").search_experiments()
    return place


@pytest.fixture
def store(empty_store, tmp_path):
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{shutil.copyfile(empty_store, tmp_path / 'mlflow.db')}"
    client = MlflowClient(uri, uri)
    client.create_experiment("trials", artifact_location=f"{tmp_path}/artifacts")
    return client, uri


def test_metrics_lineage_and_bytes_arrive(registry, store, tmp_path):
    from mlflow.artifacts import download_artifacts

    client, uri = store
    first, second = (
        registry.to_mlflow(f"digits:1.{n}.0", tracking_uri=uri, experiment="trials")
        for n in (0, 1)
    )
    assert (first.name, first.version, second.version) == ("digits", "1", "2")
    run = client.get_run(second.run_id)
    (measure,) = client.get_metric_history(second.run_id, "train_clientapp.loss")
    assert measure.step == 2
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


def runs_of(client, experiment):
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id])


def test_names_that_mlflow_forbids_are_written_otherwise(registry, store):
    client, uri = store
    registry.set_tags("digits", {"a/b:c": "x" * 9000})
    source = MetricSource.EVALUATE_SERVERAPP
    (run,) = registry.runs()
    said = {"top-5 (%)": 0.5, "worse": float("nan"), "text": "no number", "yes": True}
    registry.record_metrics(run, 2, source, said, measured=registry.get("digits"))
    made = registry.to_mlflow("digits", tracking_uri=uri, experiment="trials")
    data = client.get_run(made.run_id).data
    assert data.metrics["evaluate_serverapp.top-5 ___"] == 0.5
    assert math.isnan(data.metrics["evaluate_serverapp.worse"])
    assert len(data.metrics) == 3
    assert data.tags["a_b_c"] == "x" * 5000


def test_damaged_bytes_leave_a_failed_run_and_no_version(registry, store):
    client, uri = store
    place = f"{registry.storage.url}/{registry.get('digits').storage_path}"
    with open(place, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    with pytest.raises(IntegrityError):
        registry.to_mlflow("digits", tracking_uri=uri, experiment="trials")
    (run,) = runs_of(client, "trials")
    assert run.info.status == "FAILED"
    assert client.search_registered_models() == []


def test_what_mlflow_refuses_is_told(registry, store):
    client, uri = store
    client.delete_experiment(client.get_experiment_by_name("trials").experiment_id)
    with pytest.raises(ExportError, match="MLflow refuses"):
        registry.to_mlflow("digits", tracking_uri=uri, experiment="trials")
    with pytest.raises(ExportError, match="MLflow refuses"):
        registry.to_mlflow("digits", tracking_uri="nothing://here")


def test_without_mlflow_the_extra_is_named(registry, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(ExportError, match=r"mlflow-skinny.*extra \[mlflow\]"):
        registry.to_mlflow("digits")
