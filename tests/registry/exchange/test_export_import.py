"""A version leaves as files of other programs, and comes back the same."""

import json
import zipfile

import numpy as np
import pytest
import torch
import yaml
from registry.samples import facts_of
from safetensors.numpy import load_file

from flwr_registry.errors import (
    DuplicateVersionError,
    ExportError,
    IntegrityError,
    InvalidStateError,
)
from flwr_registry.records import MetricSource, RunProvenance, VersionMetadata
from flwr_registry.registry import ModelRegistry

ARRAYS = {"w": np.arange(4, dtype=np.float32), "n": np.array(3)}


@pytest.fixture
def two(registry):
    provenance = RunProvenance(
        "trial", "digits", "123", strategy="FedAdam", strategy_config={"eta": 0.1}
    )
    run = registry.start_run(provenance)
    for server_round in (1, 2):
        registry.register(
            {**ARRAYS, "w": ARRAYS["w"] + server_round},
            model="digits",
            run=run,
            facts=facts_of(server_round, "ann", "bob", train_loss=0.5),
            metadata=VersionMetadata(
                architecture="Net",
                framework="pytorch",
                description="Handwritten: digits",
                tags={"site": "north"},
                model_config={"depth": 2},
            ),
            privacy=(1.5, 1e-5),
        )
    source = MetricSource.EVALUATE_SERVERAPP
    registry.record_metrics(
        run, 2, source, {"accuracy": 0.75}, measured=registry.get("digits")
    )
    return registry


@pytest.fixture
def other(tmp_path):
    with ModelRegistry(tmp_path / "other" / "registry.db") as opened:
        yield opened


def test_as_torch_reads_it(two, tmp_path):
    place = two.export("digits", tmp_path / "model.pt", to="torch")
    state = torch.load(place, weights_only=True)
    assert torch.equal(state["w"], torch.tensor(ARRAYS["w"] + 2))
    assert state["n"].dtype == torch.int64


def test_as_safetensors_reads_it(two, tmp_path):
    place = two.export("digits", tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_file(place)["w"], ARRAYS["w"] + 2)


def test_as_a_model_hub_shows_it(two, tmp_path):
    place = two.export("digits", tmp_path / "card", to="huggingface")
    config = json.loads((place / "config.json").read_text())
    assert config == {
        "depth": 2,
        "model_type": "pytorch",
        "architectures": ["Net"],
    }
    _, front, text = (place / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["library_name"] == "pytorch"
    assert "federated-learning" in front["tags"]
    metrics = front["model-index"][0]["results"][0]["metrics"]
    assert {"type": "accuracy", "value": 0.75}.items() <= metrics[-1].items()
    for said in ("FedAdam", "1.1.0 <- 1.0.0", "epsilon 1.5", "2 of 2", "accuracy"):
        assert said in text
    load_file(place / "model.safetensors")


def test_nothing_is_overwritten_unasked(two, tmp_path):
    place = tmp_path / "model.safetensors"
    place.write_text("mine")
    with pytest.raises(ExportError, match="overwrite"):
        two.export("digits", place)
    assert place.read_text() == "mine"
    two.export("digits", place, overwrite=True)
    load_file(place)
    with pytest.raises(ExportError, match="no folder"):
        two.export("digits", tmp_path / "none" / "model.pt", to="torch")
    with pytest.raises(ValueError, match="onnx"):
        two.export("digits", tmp_path / "x", to="onnx")


@pytest.mark.parametrize("to", ["safetensors", "torch", "huggingface", "bundle"])
def test_damage_and_removed_bytes_are_never_exported(two, sql, tmp_path, to):
    version = two.get("digits")
    with open(f"{two.storage.url}/{version.storage_path}", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    with pytest.raises(IntegrityError):
        two.export("digits", tmp_path / "out", to=to)
    assert not (tmp_path / "out").is_file()
    sql("UPDATE model_versions SET bytes_removed_at = :at", at=version.created_at)
    with pytest.raises(InvalidStateError):
        two.export("digits", tmp_path / "out", to=to)
    assert [path for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_a_bundle_brings_a_version_with_all_that_is_known(two, other, tmp_path):
    bundles = [
        two.export(f"digits:1.{n}.0", tmp_path / f"{n}.bundle", to="bundle")
        for n in (0, 1)
    ]
    made = [other.import_bundle(bundle) for bundle in bundles]
    for there, here in zip(
        (two.get("digits:1.0.0"), two.get("digits")), made, strict=True
    ):
        for field in ("version", "checksum", "fingerprint", "metadata", "metrics"):
            assert getattr(here, field) == getattr(there, field)
        assert (here.parent_version, here.epsilon) == (there.parent_version, 1.5)
        assert here.num_clients == 2
    np.testing.assert_array_equal(other.load("digits")["w"], ARRAYS["w"] + 2)
    assert [each.node_id for each in other.contributors("digits")] == ["ann", "bob"]
    assert len(other.runs()) == 1


def test_imported_again_nothing_changes(two, other, tmp_path):
    bundle = two.export("digits:1.0.0", tmp_path / "b", to="bundle")
    assert other.import_bundle(bundle) == other.import_bundle(bundle)
    assert len(other.list()) == len(other.runs()) == 1


def test_a_parent_that_is_not_here_is_kept_as_a_tag(two, other, tmp_path):
    made = other.import_bundle(two.export("digits", tmp_path / "b", to="bundle"))
    assert (made.version, made.parent_version) == ("1.1.0", None)
    assert made.metadata.tags == {"site": "north", "imported-parent": "1.0.0"}


def test_a_taken_number_is_a_conflict_and_another_name_a_way_out(two, other, tmp_path):
    other.register({"w": np.ones(1)}, model="digits", version="1.1.0")
    bundle = two.export("digits", tmp_path / "b", to="bundle")
    with pytest.raises(DuplicateVersionError):
        other.import_bundle(bundle)
    assert other.import_bundle(bundle, model="theirs").reference == "theirs:1.1.0"


def test_the_same_version_gives_the_same_bundle(two, tmp_path):
    first, second = (
        two.export("digits", tmp_path / name, to="bundle").read_bytes() for name in "ab"
    )
    assert first == second


def rewritten(bundle, place, **changes):
    with zipfile.ZipFile(bundle) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(entries["manifest.json"])
    weights = changes.pop("weights", entries["weights.safetensors"])
    extra = changes.pop("extra", None)
    manifest.update(changes)
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("weights.safetensors", weights)
        if extra:
            archive.writestr(extra, b"")
    return place


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"extra": "../../evil"}, ExportError),
        ({"weights": b"short"}, ExportError),
        ({"format": 2}, ExportError),
        ({"metadata": {"is_production": True}}, ExportError),
        ({"contributions": [{"node": 1}]}, ExportError),
        ({"sha256": "0" * 64}, IntegrityError),
        ({"model": "../evil"}, ValueError),
        ({"version": "1.0"}, ValueError),
    ],
)
def test_a_forged_bundle_leaves_nothing(two, other, tmp_path, changes, error):
    bundle = two.export("digits", tmp_path / "b", to="bundle")
    forged = rewritten(bundle, tmp_path / "forged", **changes)
    with pytest.raises(error):
        other.import_bundle(forged)
    assert other.list() == []
    assert list(other.storage.list("models")) == []


def test_what_is_no_bundle_is_told(other, tmp_path):
    with pytest.raises(ExportError, match="no bundle"):
        other.import_bundle(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ExportError, match="no sound bundle"):
        other.import_bundle(tmp_path / "text")
