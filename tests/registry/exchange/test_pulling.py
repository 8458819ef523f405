"""A version's files in a folder: verified, whole, and never in the place of others."""

import asyncio
import hashlib
import json

import numpy as np
import pytest
import xgboost
from safetensors.numpy import load_file

from flwr_registry import AsyncModelRegistry
from flwr_registry.errors import ExportError, IntegrityError, InvalidStateError
from flwr_registry.records import VersionMetadata

NAMES = ["README.md", "config.json", "model.safetensors", "version.json"]


@pytest.fixture
def made(registry):
    metadata = VersionMetadata(framework="pytorch", model_config={"depth": 2})
    arrays = {"w": np.arange(4, dtype=np.float32)}
    return registry.register(
        arrays, model="digits", metadata=metadata, metrics={"accuracy": 0.5}
    )


def contents(folder):
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def test_a_folder_has_what_another_program_needs(registry, made, tmp_path):
    pulled = registry.pull("digits", tmp_path / "served")
    assert (pulled.version, pulled.path) == (made, tmp_path / "served")
    assert sorted(pulled.written) == sorted(contents(pulled.path)) == NAMES
    assert load_file(pulled.path / "model.safetensors")["w"].tolist() == [0, 1, 2, 3]
    assert json.loads((pulled.path / "config.json").read_text())["depth"] == 2
    facts = json.loads((pulled.path / "version.json").read_text())
    assert (facts["model"], facts["version"]) == ("digits", made.version)
    assert facts["files"] == {
        name: hashlib.sha256(content).hexdigest()
        for name, content in contents(pulled.path).items()
        if name != "version.json"
    }
    assert facts["files"]["model.safetensors"] == made.checksum


def test_what_is_there_stays_unless_it_is_to_be_replaced(registry, made, tmp_path):
    folder = tmp_path / "served"
    first = registry.pull("digits", folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "config.json").unlink()
    again = registry.pull("digits", folder)
    # What tells of the others comes last, whichever of them was missing.
    assert again.written == ("config.json", "version.json")
    assert sorted(again.kept) == sorted(set(first.written) - set(again.written))
    assert sorted(contents(folder)) == sorted([*NAMES, "notes.txt"])
    before = contents(folder)
    assert registry.pull("digits", folder).written == ()
    registry.register({"w": np.ones(4, np.float32)}, model="digits")
    with pytest.raises(ExportError, match=r"model.safetensors.*\(--overwrite\)"):
        registry.pull("digits", folder)
    assert contents(folder) == before
    registry.pull("digits", folder, overwrite=True)
    assert load_file(folder / "model.safetensors")["w"].tolist() == [1, 1, 1, 1]
    assert (folder / "notes.txt").read_text() == "mine"


def test_what_tells_of_the_same_weights_is_brought_up_to_date(registry, made, tmp_path):
    folder = tmp_path / "served"
    registry.pull("digits", folder)
    registry.promote(made.reference)
    again = registry.pull("digits", folder)
    assert again.written == ("README.md", "version.json")
    assert "status: active" in (folder / "README.md").read_text()
    (folder / "README.md").write_text("my own words")
    with pytest.raises(ExportError, match=r"names README.md:"):
        registry.pull("digits", folder)
    (folder / "README.md").unlink()
    (folder / "version.json").write_text("[" * 60_000)
    with pytest.raises(ExportError, match=r"names version.json:"):
        registry.pull("digits", folder)


def test_damaged_bytes_leave_no_folder(registry, made, tmp_path):
    stored = tmp_path / "weights" / made.storage_path
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-1] + b"\xff")
    with pytest.raises(IntegrityError):
        registry.pull("digits", tmp_path / "served")
    assert not (tmp_path / "served").exists()
    folder = tmp_path / "older"
    folder.mkdir()
    with pytest.raises(IntegrityError):
        registry.pull("digits", folder)
    assert contents(folder) == {}


def test_places_that_cannot_be_written_are_told(registry, made, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "taken" / "config.json").mkdir(parents=True)
    for place in ("file", "no/such", "taken"):
        with pytest.raises(ExportError):
            registry.pull("digits", tmp_path / place, overwrite=True)
    for overwrite in (False, True):
        with pytest.raises(ExportError, match=r"file is a file: choose another place"):
            registry.pull("digits", tmp_path / "file", overwrite=overwrite)


def test_what_must_not_be_used_is_not_pulled(registry, tmp_path):
    weights = {"w": np.full(2, np.nan, np.float32)}
    failed = registry.register(weights, model="digits", errors=["it is not finite"])
    with pytest.raises(InvalidStateError, match="failed validation"):
        registry.pull(failed.reference, tmp_path / "served")


def test_a_booster_comes_as_its_own_program_reads_it(registry, tmp_path):
    data = xgboost.DMatrix(np.eye(4), label=np.arange(4))
    booster = xgboost.train({"nthread": 1}, data, 2)
    for kind in ("json", "ubj"):
        (tmp_path / f"trees.{kind}").write_bytes(booster.save_raw(kind))
        registry.register(tmp_path / f"trees.{kind}", model=kind)
        pulled = registry.pull(kind, tmp_path / kind)
        found = xgboost.Booster(model_file=pulled.path / f"model.{kind}")
        assert found.save_raw("json") == booster.save_raw("json")


def test_a_booster_in_another_form_leaves_none_of_the_old_form(registry, tmp_path):
    data = xgboost.DMatrix(np.eye(4), label=np.arange(4))
    booster = xgboost.train({"nthread": 1}, data, 2)
    folder = tmp_path / "served"
    for kind in ("json", "ubj", "json"):
        (tmp_path / f"trees.{kind}").write_bytes(booster.save_raw(kind))
        version = registry.register(tmp_path / f"trees.{kind}", model="trees")
        registry.pull(version.reference, folder, overwrite=True)
        names = {each for each in contents(folder) if each.startswith("model.")}
        assert names == {"model.safetensors", f"model.{kind}"}
    (folder / "model.json").write_text("mine")
    registry.pull("trees:1.1.0", folder, overwrite=True)
    assert (folder / "model.json").read_text() == "mine"


def test_the_awaited_registry_pulls_too(registry, made, tmp_path):
    async def pull():
        async with AsyncModelRegistry(registry.url, registry.storage) as opened:
            return await opened.pull("digits", tmp_path / "served")

    assert asyncio.run(pull()).version == made
