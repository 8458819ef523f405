"""A version leaves as files of other programs, and comes back the same."""

import asyncio
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from registry.samples import facts_of
from safetensors.numpy import load_file
from safetensors.numpy import save as safetensors_file

from flwr_registry.errors import (
    DuplicateVersionError,
    ExportError,
    IntegrityError,
    InvalidStateError,
)
from flwr_registry.records import (
    MetricSource,
    RunProvenance,
    VersionMetadata,
    VersionStatus,
)
from flwr_registry.registry import AsyncModelRegistry, ModelRegistry

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
    for said in (
        "FedAdam",
        "1.1.0 \N{LEFTWARDS ARROW} 1.0.0",
        "epsilon 1.5",
        "2 of 2",
        "accuracy",
    ):
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
    with pytest.raises(ValueError, match=r"onnx.*use safetensors"):
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
    (run,), (came,) = other.runs(), two.runs()
    assert (run.provenance, run.started_at) == (came.provenance, came.started_at)


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
    assert other.runs() == []
    assert other.import_bundle(bundle, model="theirs").reference == "theirs:1.1.0"


def test_a_run_of_the_same_name_is_another_run(two, other, tmp_path):
    provenance = RunProvenance("trial", "digits", "123")
    run = other.start_run(provenance)
    theirs = other.register(
        {"w": np.ones(1)}, model="digits", run=run, facts=facts_of(2, "carl")
    )
    made = other.import_bundle(two.export("digits", tmp_path / "b", to="bundle"))
    assert (made.reference, theirs.reference) == ("digits:1.1.0", "digits:1.0.0")
    assert len({made.run_id, theirs.run_id}) == 2
    assert [each.node_id for each in other.contributors("digits:1.0.0")] == ["carl"]


def test_who_imports_is_recorded_whatever_the_bundle_says(two, other, tmp_path):
    made = other.import_bundle(
        two.export("digits", tmp_path / "b", to="bundle"), actor="eve"
    )
    entry = other.audit("digits", action="import")[0]
    assert (entry.actor, entry.version) == ("eve", made.version)
    assert made.metadata.created_by == two.get("digits").metadata.created_by
    assert other.audit("digits", action="register") == []


def test_nodes_are_named_by_the_key_of_the_registry_that_imports(two, tmp_path):
    bundle = two.export("digits", tmp_path / "b", to="bundle")
    with ModelRegistry(tmp_path / "keyed" / "registry.db", node_key="key") as keyed:
        keyed.import_bundle(bundle)
        names = [each.node_id for each in keyed.contributors("digits")]
        assert names == sorted(keyed.node_names.name_of(n) for n in ("ann", "bob"))


def test_what_was_withdrawn_does_not_come_back_by_a_detour(two, other, tmp_path):
    two.withdraw("ann", reason="moved away")
    made = other.import_bundle(two.export("digits:1.1.0", tmp_path / "b", to="bundle"))
    assert made.status is VersionStatus.FAILED
    assert "withdrawn" in made.validation_errors[0]
    with pytest.raises(InvalidStateError):
        other.promote(made.reference)
    card = two.export("digits:1.1.0", tmp_path / "card", to="huggingface")
    assert "withdrawn" in (card / "README.md").read_text()


def test_what_is_unfit_is_imported_as_failed(two, other, tmp_path):
    run = two.start_run(RunProvenance("odd", "odd"))
    broken = {"w": np.array([np.nan])}
    two.register(broken, model="odd", run=run, facts=facts_of(1, "ann"))
    made = other.import_bundle(two.export("odd", tmp_path / "b", to="bundle"))
    assert made.status is VersionStatus.FAILED
    assert "NaN" in made.validation_errors[0]


def test_the_folder_where_one_is_can_be_filled(two, tmp_path, monkeypatch):
    place = tmp_path / "card"
    place.mkdir()
    monkeypatch.chdir(place)
    assert two.export("digits", ".", to="huggingface", overwrite=True) == place
    load_file(place / "model.safetensors")
    with pytest.raises(ExportError):
        two.export("digits", "/", overwrite=True)


def test_a_folder_that_is_there_keeps_its_other_files(two, tmp_path):
    place = tmp_path / "card"
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match="overwrite"):
        two.export("digits", place, to="huggingface")
    two.export("digits", place, to="huggingface", overwrite=True)
    assert sorted(file.name for file in place.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "notes.txt",
    ]


def test_what_nodes_say_cannot_break_the_card(registry, tmp_path):
    run = registry.start_run(RunProvenance("trial", "digits"))
    registry.register(
        ARRAYS,
        model="digits",
        run=run,
        facts=facts_of(1, "ann", **{"a|b\n# <script>": 0.5, "worse": float("nan")}),
        metadata=VersionMetadata(tags={"---": ": [\n"}),
    )
    place = registry.export("digits", tmp_path / "card", to="huggingface")
    _, front, text = (place / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    assert "---:: [\n" in front["tags"]
    names = [each["type"] for each in front["model-index"][0]["results"][0]["metrics"]]
    assert names == ["a|b\n# <script>"]
    assert "| train clientapp | a&#124;b # &#60;script&#62; | 0.5 |" in text
    assert "| train clientapp | worse | nan |" in text


def test_awaited_it_is_the_same(database_url, tmp_path):
    async def work():
        async with AsyncModelRegistry(database_url, tmp_path / "weights") as opened:
            made = await opened.register(safetensors_file(ARRAYS), model="digits")
            place = await opened.export("digits", tmp_path / "b", to="bundle")
            again = await opened.import_bundle(place)
            theirs = await opened.import_bundle(place, model="theirs", actor="eve")
            return made, again, theirs

    made, again, theirs = asyncio.run(work())
    assert made == again
    assert (theirs.reference, theirs.checksum) == ("theirs:1.0.0", made.checksum)


@pytest.mark.slow
@pytest.mark.parametrize("to", ["safetensors", "torch", "huggingface", "bundle"])
def test_a_crash_leaves_no_half_file(two, tmp_path, to):
    """The process ends when the file would get its name."""
    registry, storage = repr(two.url), repr(two.storage.url)
    program = f"""
import os, sys
from flwr_registry.registry import ModelRegistry
def end(event, _):
    if event == "os.rename":
        os._exit(9)
with ModelRegistry({registry}, {storage}) as opened:
    sys.addaudithook(end)
    opened.export("digits", "out", to="{to}")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    assert done.returncode == 9
    assert not (tmp_path / "out").exists()
    assert two.export("digits", tmp_path / "out", to=to).exists()


def test_the_same_version_gives_the_same_bundle(two, tmp_path):
    first, second = (
        two.export("digits", tmp_path / name, to="bundle").read_bytes() for name in "ab"
    )
    assert first == second
