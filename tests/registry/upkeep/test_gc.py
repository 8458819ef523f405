"""Garbage collection takes what nothing needs, and nothing else."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from registry.samples import facts_of, weights_of
from registry.test_concurrency import ENVIRONMENT

from flwr_registry.checkpointing import CheckpointContent, CheckpointManager
from flwr_registry.errors import InvalidStateError, StorageError
from flwr_registry.records import MetricSource, StoredObject
from flwr_registry.registry import ModelRegistry
from flwr_registry.retention import BestN, LatestN
from flwr_registry.storage import BytesContent, LocalStorageBackend


def files(registry):
    root = Path(registry.storage.url)
    return {path.relative_to(root).as_posix() for path in root.rglob("*.safetensors")}


def with_bytes(registry):
    return [
        version.version
        for version in registry.list("digits")[::-1]
        if version.bytes_removed_at is None
    ]


@pytest.fixture
def ten(registry, add, start):
    """Ten rounds of one run, 1.0.0 to 1.9.0, the best in the middle."""
    run = start()
    for n in range(10):
        add(n, run=run, facts=facts_of(n + 1, accuracy=1 - abs(n - 5) / 10))
    return registry


def test_a_policy_keeps_and_the_rest_goes(ten):
    done = ten.gc(LatestN(2))
    assert with_bytes(ten) == ["1.0.0", "1.8.0", "1.9.0"]
    assert [each.reference for each in done.versions] == [
        f"digits:1.{n}.0" for n in range(1, 8)
    ]
    assert done.size_bytes == sum(each.size_bytes for each in done.versions) > 0
    kept = {v.storage_path for v in ten.list("digits") if v.bytes_removed_at is None}
    assert files(ten) == kept
    assert len(ten.lineage("digits").ancestors) == 9


def test_a_dry_run_tells_the_same_and_changes_nothing(ten):
    before = files(ten)
    planned = ten.gc(LatestN(2), dry_run=True)
    assert (files(ten), with_bytes(ten)) == (before, [f"1.{n}.0" for n in range(10)])
    done = ten.gc(LatestN(2))
    assert planned.versions == done.versions
    assert planned.size_bytes == done.size_bytes


def test_what_is_needed_stays(ten):
    ten.promote("digits:1.2.0")
    ten.promote("digits:1.4.0")
    ten.set_alias("digits", "trial", "1.6.0")
    ten.pin("digits:1.7.0")
    ten.gc(LatestN(1))
    assert with_bytes(ten) == ["1.0.0", "1.2.0", "1.4.0", "1.6.0", "1.7.0", "1.9.0"]
    ten.rollback("digits")
    ten.gc(LatestN(1))
    assert "1.4.0" in with_bytes(ten)
    assert ten.rollback("digits", to="1.4.0").version == "1.4.0"
    assert ten.verify_all().problems == ()


def test_the_best_stay(ten):
    ten.gc(BestN(2, "accuracy", "max"))
    assert with_bytes(ten) == ["1.0.0", "1.5.0", "1.6.0", "1.9.0"]


@pytest.mark.slow
def test_what_a_checkpoint_goes_on_from_stays(ten):
    version = ten.get("digits:1.3.0")
    stored = StoredObject(
        version.storage_path, version.file_size_bytes, version.checksum
    )
    content = CheckpointContent(
        server_round=4, model="digits", version="1.3.0", weights=stored
    )
    CheckpointManager(ten.storage, "trial").save(content)
    ten.gc(LatestN(1))
    assert with_bytes(ten) == ["1.0.0", "1.3.0", "1.9.0"]


def test_removed_bytes_are_told_and_cannot_be_used(ten):
    ten.gc(LatestN(1))
    for use in (ten.load, ten.promote):
        with pytest.raises(InvalidStateError, match="removed by retention"):
            use("digits:1.3.0")
    with pytest.raises(InvalidStateError, match="removed by retention"):
        ten.register(weights_of(3), model="digits", version="1.3.0")


@pytest.mark.slow
def test_what_a_registration_left_goes_when_that_is_old(ten, sql):
    storage = ten.storage
    version = ten.get("digits:1.3.0")
    held = Path(f"{storage.url}/models/digits/1.98.0/0123456789ab.safetensors")
    held.parent.mkdir()
    held.write_bytes(b"12345")
    sql(
        "INSERT INTO uploads (model_id, major, minor, patch, fingerprint, failed, "
        "storage_prefix, created_at) SELECT id, 1, 98, 0, '', :no, "
        "'models/digits/1.98.0', :at FROM registered_models",
        no=False,
        at=version.created_at,
    )
    before = Path(f"{storage.url}/models/digits/1.98.0/ba9876543210.safetensors")
    before.write_bytes(b"another registry's")
    os.utime(before, (1e9, 1e9))
    done = ten.gc()
    assert (done.orphans, done.stale_uploads) == ((), 0)
    planned = ten.gc(grace_seconds=-1, dry_run=True)
    assert held.exists()
    done = ten.gc(grace_seconds=-1)
    assert [(each.reference, each.size_bytes) for each in done.orphans] == [(None, 5)]
    assert (planned.orphans, planned.stale_uploads) == (done.orphans, 1)
    assert done.stale_uploads == 1
    assert not held.exists() and before.exists()
    assert sql("SELECT id FROM uploads") == []
    assert ten.verify_all().problems == ()


def test_a_registration_whose_upload_was_taken_fails_cleanly(
    database_url, tmp_path, registry
):
    saved, collected = threading.Event(), threading.Event()

    class Waiting(LocalStorageBackend):
        def save(self, key, content):
            stored = super().save(key, content)
            saved.set()
            assert collected.wait(20)
            return stored

    def slow():
        place = Waiting(tmp_path / "weights")
        with (
            ModelRegistry(database_url, place) as opened,
            pytest.raises(StorageError, match="grace_seconds"),
        ):
            opened.register(weights_of(1), model="digits")

    writer = threading.Thread(target=slow)
    writer.start()
    assert saved.wait(20)
    assert registry.gc(grace_seconds=-1).stale_uploads == 1
    collected.set()
    writer.join()
    assert registry.list("digits") == []
    assert files(registry) == set()


def test_temporary_files_of_killed_writers_go_after_a_while(ten):
    folder = Path(ten.storage.url) / "models" / "digits" / "1.0.0"
    (folder / ".0123.tmp").write_bytes(b"1234567")
    assert ten.gc().size_bytes == 0
    assert ten.gc(grace_seconds=-1).size_bytes == 7
    assert not (folder / ".0123.tmp").exists()


KILLED = """
import os, sys
from flwr_registry.registry import ModelRegistry
from flwr_registry.retention import LatestN
from flwr_registry.storage import LocalStorageBackend

class Killed(LocalStorageBackend):
    def delete(self, key):
        os._exit(9)

with ModelRegistry(sys.argv[1], Killed(sys.argv[2])) as registry:
    registry.gc(LatestN(1))
"""


@pytest.mark.slow
def test_killed_between_tombstone_and_bytes_nothing_refers_to_them(
    ten, database_url, tmp_path
):
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, database_url, str(tmp_path / "weights")],
        env=ENVIRONMENT,
        timeout=60,
    )
    assert ended.returncode == 9
    assert with_bytes(ten) == ["1.0.0", "1.9.0"]
    assert len(files(ten)) == 10
    done = ten.gc()
    assert len(done.orphans) == 8
    assert len(files(ten)) == 2
    np.testing.assert_array_equal(ten.load("digits")["layer"], weights_of(9)["layer"])


def test_collecting_is_written_down(ten):
    ten.gc(LatestN(1), actor="ann")
    (entry,) = ten.audit(action="gc")
    assert (entry.actor, entry.reason) == ("ann", "LatestN(n=1)")
    assert entry.details["versions"] == [f"1.{n}.0" for n in range(1, 9)]


@pytest.mark.slow
def test_only_the_named_model_is_collected(ten):
    for value in range(3):
        ten.register(
            weights_of(value),
            model="cats",
            parent=f"1.{value - 1}.0" if value else None,
        )
    ten.gc(LatestN(1), model="cats")
    assert len(with_bytes(ten)) == 10
    assert ten.get("cats:1.1.0").bytes_removed_at is not None


def test_a_long_grace_is_the_default(ten, sql):
    version = ten.get("digits")
    for hours, stale in ((23, 0), (25, 1)):
        sql(
            "INSERT INTO uploads (model_id, major, minor, patch, fingerprint, failed, "
            "storage_prefix, created_at) SELECT id, 9, :hours, 0, '', :no, 'x', :at "
            "FROM registered_models",
            no=False,
            hours=hours,
            at=version.created_at - timedelta(hours=hours),
        )
        assert ten.gc(dry_run=True).stale_uploads == stale


def test_what_is_not_sound_takes_no_place(registry, add, start):
    run = start()
    for n in range(6):
        facts = facts_of(n + 1, accuracy=n / 10)
        add(n, run=run, facts=facts, errors=["broken"] if n in (4, 5) else [])
    registry.gc(LatestN(2) | BestN(1, "accuracy"))
    assert with_bytes(registry) == ["1.0.0", "1.2.0", "1.3.0"]


def test_doubted_metrics_in_production_take_no_place(registry, add, start):
    run = start()
    made = [
        add(n, run=run, facts=facts_of(n + 1, loss=loss))
        for n, loss in enumerate((0.5, 0.4, 0.3, 0.6, 0.7))
    ]
    registry.promote(made[1].reference)
    central = MetricSource.EVALUATE_SERVERAPP
    registry.record_metrics(run, 2, central, {"loss": -5.0}, measured=made[1])
    told = {
        each.reference: each.reasons for each in registry.explain_gc(BestN(1, "loss"))
    }
    best = "the policy keeps the best by loss (lowest)"
    assert [name for name in told if best in told[name]] == ["digits:1.2.0"]
    assert registry.name_best("digits", "loss").version == "1.2.0"


KEEPING = """
import os, sys
from flwr_registry.registry import ModelRegistry
from flwr_registry.storage import LocalStorageBackend

class Killed(LocalStorageBackend):
    def save(self, key, content):
        super().save(key, content)
        os._exit(9)

with ModelRegistry(sys.argv[1], Killed(sys.argv[2])) as registry:
    registry.register({"w": [1.0]}, model="digits")
"""


@pytest.mark.slow
def test_a_killed_registration_leaves_bytes_that_gc_knows(ten, database_url, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", KEEPING, database_url, str(tmp_path / "weights")],
        env=ENVIRONMENT,
        timeout=60,
    )
    assert ended.returncode == 9
    assert len(files(ten)) == 11
    assert ten.doctor() == [] and ten.gc().orphans == ()
    done = ten.gc(grace_seconds=-1)
    assert (len(done.orphans), done.stale_uploads) == (1, 1)
    assert len(files(ten)) == 10


@pytest.mark.slow
def test_what_a_checkpoint_of_any_run_names_is_left(ten, sql):
    place = "models/digits/1.98.0/0123456789ab.safetensors"
    stored = ten.storage.save(place, BytesContent(b"12345"))
    content = CheckpointContent(
        server_round=1, model="digits", version=None, weights=stored
    )
    CheckpointManager(ten.storage, "another").save(content)
    sql(
        "INSERT INTO uploads (model_id, major, minor, patch, fingerprint, failed, "
        "storage_prefix, created_at) SELECT id, 1, 98, 0, '', :no, "
        "'models/digits/1.98.0', :at FROM registered_models",
        no=False,
        at=ten.get("digits:1.3.0").created_at,
    )
    assert ten.gc(grace_seconds=-1).orphans == ()
    assert ten.storage.exists(place)


def test_several_collect_at_once(ten, database_url, tmp_path, sql):
    sql("DELETE FROM uploads")
    for minor in range(60, 90):
        folder = Path(ten.storage.url) / f"models/digits/1.{minor}.0"
        folder.mkdir()
        (folder / "0123456789ab.safetensors").write_bytes(b"1")
        sql(
            "INSERT INTO uploads (model_id, major, minor, patch, fingerprint, failed, "
            "storage_prefix, created_at) SELECT id, 1, :minor, 0, '', :no, :place, :at "
            "FROM registered_models",
            no=False,
            minor=minor,
            place=f"models/digits/1.{minor}.0",
            at=ten.get("digits:1.3.0").created_at,
        )
    begin = threading.Barrier(3)

    def collect(_):
        with ModelRegistry(database_url, tmp_path / "weights") as opened:
            begin.wait()
            return opened.gc(LatestN(1), grace_seconds=-1)

    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(collect, range(3)))
    assert sum(len(each.versions) for each in done) == 8
    assert len(files(ten)) == 2
    assert sql("SELECT id FROM uploads") == []
    assert ten.doctor() == []


def test_a_checkpoint_out_of_reach_holds_all_back(ten, monkeypatch):
    version = ten.get("digits:1.3.0")
    stored = StoredObject(
        version.storage_path, version.file_size_bytes, version.checksum
    )
    content = CheckpointContent(
        server_round=4, model="digits", version="1.3.0", weights=stored
    )
    manager = CheckpointManager(ten.storage, "trial")
    manager.save(content)
    # Root may read anything, so a release to come has to stand for another user.
    place = Path(ten.storage.url) / "checkpoints/trial/round_000004"
    manifest = (place / "manifest.json").read_bytes()
    newer = manifest.replace(b'"format":2', b'"format":9')
    (place / "manifest.json").write_bytes(newer)
    marker = {"size_bytes": len(newer), "sha256": hashlib.sha256(newer).hexdigest()}
    (place / "COMMITTED").write_text(json.dumps(marker))
    done = ten.gc(LatestN(1))
    assert (done.versions, done.out_of_reach) == ((), ("trial/4",))
    why = {each.reference: each.reasons for each in ten.explain_gc(LatestN(1))}
    assert why["digits:1.5.0"] == (
        "checkpoint trial/4 cannot be read, and may need it",
    )
    (finding,) = ten.doctor()
    assert "out of reach" in finding.problem
