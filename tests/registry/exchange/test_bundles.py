"""A bundle is believed only where it can be checked."""

import hashlib
import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_values import ODD, places_in, with_odd
from registry.samples import facts_of

from flwr_registry.errors import (
    ExportError,
    IntegrityError,
    InvalidNameError,
    RegistryError,
    WeightsFormatError,
)
from flwr_registry.records import RunProvenance, VersionMetadata
from flwr_registry.registry import ModelRegistry
from flwr_registry.weights import Weights, encode


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The bundle of a version with a parent, metrics and contributors."""
    folder = tmp_path_factory.mktemp("bundle")
    with ModelRegistry(folder / "registry.db") as registry:
        run = registry.start_run(RunProvenance("trial", "digits", strategy="FedAvg"))
        for server_round in (1, 2):
            registry.register(
                {"w": np.full(3, float(server_round))},
                model="digits",
                run=run,
                facts=facts_of(server_round, "ann", loss=1),
                metadata=VersionMetadata(tags={"site": "north"}),
            )
        return registry.export("digits", folder / "bundle", to="bundle")


@pytest.fixture
def other(tmp_path):
    with ModelRegistry(tmp_path / "other" / "registry.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A registry for many examples."""
    folder = tmp_path_factory.mktemp("there")
    with ModelRegistry(folder / "registry.db") as opened:
        yield opened


def rewritten(bundle, place, **changes):
    with zipfile.ZipFile(bundle) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(entries["manifest.json"])
    weights = changes.pop("weights", entries["weights.safetensors"])
    extra = changes.pop("extra", None)
    manifest.update(changes)
    manifest = changes.get("manifest", manifest)
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
        ({"metadata": {"tags": {"site": 1}}}, ExportError),
        ({"metadata": {"description": None}}, ExportError),
        ({"metrics": {"nobody": {"loss": 1}}}, ExportError),
        ({"metrics": {"train_clientapp": 1}}, ExportError),
        ({"errors": "text"}, ExportError),
        ({"privacy": [-1, 0]}, ExportError),
        ({"server_round": 10**30}, ExportError),
        ({"server_round": 0}, ExportError),
        ({"run": {"name": "x", "model": 3}}, ExportError),
        ({"run_started_at": "2026-01-01T00:00:00"}, ExportError),
        ({"parent": {"version": 1, "sha256": None}}, ExportError),
        ({"weights": b"{}"}, ExportError),
        ({"sha256": "0" * 64}, IntegrityError),
        ({"model": "../evil"}, ValueError),
        ({"version": "1.0"}, ValueError),
    ],
)
def test_a_forged_bundle_leaves_nothing(bundle, other, tmp_path, changes, error):
    forged = rewritten(bundle, tmp_path / "forged", **changes)
    with pytest.raises(error):
        other.import_bundle(forged)
    assert other.list() == []
    assert other.runs() == []
    assert list(other.storage.list("models")) == []


@pytest.mark.parametrize("rename", [None, "theirs"])
def test_a_bundle_adds_nothing_to_a_run_that_was_started_here(other, tmp_path, rename):
    run = other.start_run(RunProvenance("trial", "digits", "7"))
    other.register({"w": np.ones(3)}, model="digits", run=run, facts=facts_of(1, "ann"))
    made = other.export("digits", tmp_path / "bundle", to="bundle")
    weights = b"".join(encode(Weights({"w": np.full(3, 9.0)})))
    forged = rewritten(
        made,
        tmp_path / "forged",
        weights=weights,
        sha256=hashlib.sha256(weights).hexdigest(),
        size_bytes=len(weights),
        version="1.1.0",
        server_round=2,
    )
    before = (other.list(), other.runs(), other.rounds(run))
    if rename is None:
        with pytest.raises(ExportError, match="started in this registry"):
            other.import_bundle(forged)
        assert (other.list(), other.runs(), other.rounds(run)) == before
        return
    version = other.import_bundle(forged, model=rename)
    assert [each.imported for each in other.runs(rename)] == [True]
    again = other.start_run(RunProvenance("trial", rename, "7"), again=True)
    assert not again.imported and again.id != version.run_id
    assert not other.get(version.reference).superseded


def test_an_imported_run_says_so_and_takes_its_later_rounds(bundle, other, tmp_path):
    other.import_bundle(bundle)
    (run,) = other.runs()
    assert run.imported
    (entry,) = other.audit(action="import_run")
    assert (entry.details["run"], other.audit(action="start_run")) == (run.id, [])
    later = rewritten(bundle, tmp_path / "later", version="1.2.0", server_round=3)
    other.import_bundle(later)
    assert [each.server_round for each in other.rounds(run)] == [2, 3]
    assert len(other.runs()) == 1


@pytest.mark.parametrize("version", ["999999999.0.0", "1.999999999.0"])
def test_a_number_that_leaves_no_successor_is_not_taken_in(
    bundle, other, tmp_path, version
):
    forged = rewritten(bundle, tmp_path / "forged", version=version)
    with pytest.raises(InvalidNameError, match="leave no number"):
        other.import_bundle(forged)
    with pytest.raises(InvalidNameError):
        other.register({"w": np.ones(1)}, model="digits", version=version)
    assert other.runs() == []


def test_weights_of_another_kind_are_no_bundle(bundle, other, tmp_path):
    pickled = io.BytesIO()
    torch.save({"w": torch.ones(1)}, pickled)
    weights = pickled.getvalue()
    digest = hashlib.sha256(weights).hexdigest()
    changes = {"weights": weights, "sha256": digest, "size_bytes": len(weights)}
    with pytest.raises(WeightsFormatError):
        other.import_bundle(rewritten(bundle, tmp_path / "forged", **changes))
    assert other.runs() == []


def test_what_is_no_bundle_is_told(other, tmp_path):
    with pytest.raises(ExportError, match="no bundle"):
        other.import_bundle(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ExportError, match="no sound bundle"):
        other.import_bundle(tmp_path / "text")


def test_an_encrypted_or_packed_bundle_is_refused(bundle, other, tmp_path):
    packed = tmp_path / "packed"
    with zipfile.ZipFile(bundle) as sound, zipfile.ZipFile(packed, "w") as archive:
        for name in sound.namelist():
            archive.writestr(name, sound.read(name), zipfile.ZIP_DEFLATED)
    with pytest.raises(ExportError, match="length"):
        other.import_bundle(packed)
    hidden = bytearray(bundle.read_bytes())
    entry = hidden.index(b"PK\x01\x02")
    hidden[entry + 8] |= 1
    packed.write_bytes(hidden)
    with pytest.raises(ExportError, match="encrypted"):
        other.import_bundle(packed)


@given(data=st.data())
@settings(max_examples=150)
def test_damage_is_told_or_the_bytes_are_the_same(there, bundle, data):
    sound = bundle.read_bytes()
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) or len(damaged) :]
    with TemporaryDirectory() as folder, suppress(RegistryError):
        place = Path(folder) / "bundle"
        place.write_bytes(damaged)
        made = there.import_bundle(place)
        there.export(made.reference, Path(folder) / "weights")
        assert (Path(folder) / "weights").read_bytes() in sound


@given(data=st.data())
@settings(max_examples=150)
def test_a_manifest_may_say_anything(there, bundle, data):
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    place = data.draw(st.sampled_from(list(places_in(manifest))))
    odd = with_odd(manifest, place, data.draw(st.sampled_from(ODD)))
    before = (there.list(), there.runs())
    with TemporaryDirectory() as folder:
        forged = rewritten(bundle, Path(folder) / "forged", manifest=odd)
        try:
            there.import_bundle(forged)
        except RegistryError:
            assert (there.list(), there.runs()) == before


@pytest.mark.parametrize(
    "place",
    [
        ("run", "name"),
        ("run", "flwr_run_id"),
        ("parent", "version"),
        ("metadata", "tags"),
    ],
)
def test_texts_that_no_database_stores_are_refused(bundle, other, tmp_path, place):
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    for odd in ("\ud800", "\x00"):
        forged = rewritten(
            bundle, tmp_path / "forged", manifest=with_odd(manifest, place, odd)
        )
        with pytest.raises(RegistryError):
            other.import_bundle(forged)
