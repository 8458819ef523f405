"""Files that this database did not write are told of, and go only when asked for."""

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from registry.samples import facts_of

from flwr_registry.checkpointing import (
    CheckpointContent,
    CheckpointManager,
    FinishedRound,
)
from flwr_registry.errors import InvalidStateError
from flwr_registry.records import RoundStatus, RunProvenance, Severity, StoredObject
from flwr_registry.registry import AsyncModelRegistry, ModelRegistry
from flwr_registry.retention import LatestN

WEEK = timedelta(days=7)
UNKNOWN = "models/digits/1.7.0/0123456789ab.safetensors"


def put(registry, key, *, age=timedelta(days=30)):
    path = Path(registry.storage.url) / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    written = time.time() - age.total_seconds()
    os.utime(path, (written, written))
    return path


@pytest.fixture
def two(registry, add, start):
    run = start("trial")
    for n in range(2):
        add(n, run=run, facts=facts_of(n + 1))
    return registry


def content_of(versions, run, model="digits"):
    finished = {each.server_round: finished_of(each) for each in versions}
    newest = versions[-1]
    return CheckpointContent(
        server_round=2,
        model=model,
        version=newest.version,
        weights=finished[newest.server_round].weights,
        rounds=finished,
        provenance=RunProvenance(run, model),
    )


def finished_of(version):
    stored = StoredObject(
        version.storage_path, version.file_size_bytes, version.checksum
    )
    return FinishedRound(
        gave_model=True,
        status=RoundStatus.REGISTERED,
        version=version.version,
        parent=version.parent_version,
        weights=stored,
        fingerprint=version.fingerprint,
    )


def checkpoint(registry, version, run, *, model="digits"):
    content = content_of([version], run, model)
    CheckpointManager(registry.storage, run).save(content)


@pytest.mark.parametrize("again", ["rebuild", "resume"])
def test_what_retention_removed_comes_back_as_removed(tmp_path, again):
    place, root = tmp_path / "registry.db", tmp_path / "weights"
    came = RunProvenance("trial", "digits")
    with ModelRegistry(place, root) as lost:
        run = lost.start_run(came)
        made = [
            lost.register({"w": [float(n)]}, model="digits", run=run, facts=facts_of(n))
            for n in (1, 2, 3)
        ]
        content = content_of(made, "trial")
        assert lost.gc(LatestN(1), grace_seconds=-1).versions
        CheckpointManager(lost.storage, "trial").save(content)
    place.unlink()
    with ModelRegistry(place, root) as new:
        if again == "rebuild":
            (finding,) = [each for each in new.doctor() if "trial" in each.subject]
            assert "it tells of 3 versions that" in finding.problem
            new.rebuild()
        else:
            new.resume_run(came, content)
        removed = [each.version for each in new.list("digits") if each.bytes_removed_at]
        assert removed == ["1.1.0"]
        assert new.doctor() == []


def test_a_fresh_start_of_a_lost_run_is_another_start(tmp_path):
    place, root = tmp_path / "registry.db", tmp_path / "weights"
    came = RunProvenance("trial", "digits")

    def start(registry, *values):
        run = registry.start_run(came)
        return [
            registry.register({"w": [v]}, model="digits", run=run, facts=facts_of(n))
            for n, v in enumerate(values, start=1)
        ]

    with ModelRegistry(place, root) as lost:
        made = start(lost, 1.0, 2.0)
        CheckpointManager(lost.storage, "trial").save(content_of(made, "trial"))
    place.unlink()
    with ModelRegistry(place, root) as new:
        start(new, 9.0)
        # The number of its first round is another's now.
        assert new.rebuild() == ["digits:1.2.0", "digits:1.1.0"]
        assert new.rebuild() == new.doctor() == []
        assert [each.provenance.name for each in new.runs()] == ["trial", "trial"]
        assert new.get("digits:1.1.0").parent_version == "1.2.0"


def test_gc_leaves_what_the_database_did_not_write(two):
    path = put(two, UNKNOWN)
    in_a_known_folder = put(two, "models/digits/1.0.0/0123456789ab.safetensors")
    done = two.gc(LatestN(1), grace_seconds=-1)
    assert (done.orphans, done.size_bytes) == ((), 0)
    assert path.exists() and in_a_known_folder.exists()


def test_doctor_counts_and_names_them(two):
    put(two, UNKNOWN)
    for n in range(6):
        put(two, f"models/cats/1.{n}.0/a.bin")
    (finding,) = two.doctor()
    assert (finding.severity, finding.subject) == (
        Severity.WARNING,
        "7 unknown files (35 bytes)",
    )
    assert "models/cats/1.0.0/a.bin, " in finding.problem
    assert finding.problem.endswith(", ...")
    remedy, _, last = finding.remedy.partition("; only if nobody needs them: ")
    assert remedy.startswith("if a database was lost, restore it")
    assert "flwr-registry register FILE --model NAME" in remedy
    assert last.startswith("flwr-registry delete-unknown --older-than")


def test_old_unknown_files_go_when_asked_for(two):
    old, young = put(two, UNKNOWN), put(two, "models/cats/1.0.0/a", age=WEEK / 2)
    kept = [each.storage_path for each in two.list("digits")]
    planned = two.delete_unknown(older_than=WEEK, dry_run=True)
    assert old.exists()
    done = two.delete_unknown(older_than=WEEK, actor="ann")
    assert planned.files == done.files
    assert [each.key for each in done.files] == [UNKNOWN]
    assert (done.young, done.size_bytes) == (("models/cats/1.0.0/a",), 5)
    assert not old.exists() and young.exists()
    assert all(two.storage.exists(key) for key in kept)
    (entry,) = two.audit(action="delete_unknown")
    assert (entry.actor, entry.model) == ("ann", "digits")
    assert entry.details["keys"] == [UNKNOWN]
    assert two.verify_audit().problems == ()
    with pytest.raises(ValueError, match="above zero"):
        two.delete_unknown(older_than=timedelta(0))


def test_what_a_registration_is_writing_is_not_unknown(two, sql):
    path = put(two, UNKNOWN)
    sql(
        "INSERT INTO uploads (model_id, major, minor, patch, fingerprint, failed, "
        "storage_prefix, created_at) SELECT id, 1, 7, 0, '', :no, "
        "'models/digits/1.7.0', :at FROM registered_models",
        no=False,
        at=two.get("digits").created_at,
    )
    assert two.delete_unknown(older_than=WEEK).files == ()
    assert path.exists() and two.doctor() == []


def test_removed_versions_are_known(two, sql):
    version = two.get("digits:1.0.0")
    sql("UPDATE model_versions SET bytes_removed_at = :at", at=version.created_at)
    put(two, version.storage_path)
    assert two.delete_unknown(older_than=WEEK).files == ()
    assert two.storage.exists(version.storage_path)


def test_what_a_lost_database_had_comes_back_before_anything_goes(tmp_path):
    place, root = tmp_path / "registry.db", tmp_path / "weights"
    with ModelRegistry(place, root) as lost:
        run = lost.start_run(RunProvenance("trial", "digits"))
        lost.register({"w": [1.0]}, model="digits", run=run, facts=facts_of(1))
        version = lost.register(
            {"w": [2.0]}, model="digits", run=run, facts=facts_of(2)
        )
        checkpoint(lost, version, "trial")
        for each in lost.list("digits"):
            os.utime(root / each.storage_path, (1e9, 1e9))
    place.unlink()
    with ModelRegistry(place, root) as new:
        with pytest.raises(InvalidStateError, match="no version"):
            new.delete_unknown(older_than=WEEK)
        new.register({"w": [1.0]}, model="cats")
        first, *others = new.doctor()
        assert first.severity is Severity.ERROR and "--rebuild" in first.remedy
        unknown = next(each for each in others if "unknown" in each.subject)
        assert "--rebuild" in unknown.remedy
        assert not any("gc" in each.remedy for each in others)
        with pytest.raises(InvalidStateError, match=r"digits:1.1.0.*--rebuild"):
            new.delete_unknown(older_than=WEEK)
        assert new.gc(LatestN(1), grace_seconds=-1).size_bytes == 0
        assert new.rebuild() == ["digits:1.1.0"]
        (unknown,) = new.doctor()
        assert "delete-unknown" in unknown.remedy
        (gone,) = new.delete_unknown(older_than=WEEK).files
        assert gone.key.startswith("models/digits/1.0.0/")
        new.load("digits:1.1.0")


def test_what_any_checkpoint_names_stays(two):
    path = put(two, UNKNOWN)
    stored = StoredObject(UNKNOWN, 5, "0" * 64)
    content = CheckpointContent(
        server_round=1, model="digits", version=None, weights=stored
    )
    CheckpointManager(two.storage, "another").save(content)
    done = two.delete_unknown(older_than=WEEK)
    assert (done.files, done.named) == ((), (UNKNOWN,))
    assert path.exists()
    marker = Path(two.storage.url) / "checkpoints/another/round_000001/COMMITTED"
    marker.write_text("{}")
    with pytest.raises(InvalidStateError, match=r"another/1 .*cannot be read"):
        two.delete_unknown(older_than=WEEK)
    assert path.exists()


def test_retention_leaves_what_the_checkpoints_of_a_lost_database_name(two, add):
    version = two.get("digits:1.1.0")
    for n in range(2, 5):
        add(n)
    checkpoint(two, version, "trial", model="digits")
    two.gc(LatestN(1), dry_run=True)
    # Beside it, the run of a database that is lost started from this version.
    stored = StoredObject(
        version.storage_path, version.file_size_bytes, version.checksum
    )
    lost = StoredObject(UNKNOWN, 5, "0" * 64)
    rounds = {
        number: FinishedRound(
            gave_model=True,
            status=RoundStatus.REGISTERED,
            version=number_text,
            weights=weights,
        )
        for number, number_text, weights in ((1, "1.2.0", stored), (2, "1.7.0", lost))
    }
    content = CheckpointContent(
        server_round=2,
        model="digits",
        version="1.7.0",
        weights=lost,
        rounds=rounds,
        provenance=RunProvenance("lost", "digits"),
    )
    CheckpointManager(two.storage, "lost").save(content)
    why = {each.reference: each.reasons for each in two.explain_gc(LatestN(1))}
    assert any("does not know" in reason for reason in why["digits:1.1.0"])
    assert "digits:1.1.0" not in {v.reference for v in two.gc(LatestN(1)).versions}


def test_links_and_foreign_names_are_told_of_and_left_alone(two, tmp_path):
    root = Path(two.storage.url)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").write_bytes(b"mine")
    names = ["my notes.txt", "models/digits/a b", "models/digits/1.0.0/\n\udcff"]
    for name in (*names, "checkpoints/my run/x", "checkpoints/notes", "leases/~$a"):
        put(two, name)
    os.symlink(tmp_path / "nothing", root / "models/dangling")
    os.symlink("..", root / "models/digits/loop")
    os.symlink(tmp_path / "elsewhere", root / "models/linked")
    os.symlink(root / "models/digits/1.0.0", root / "models/digits/2.0.0")
    before = {path for path in tmp_path.rglob("*") if "database" not in path.parts}
    (finding,) = two.doctor()
    assert finding.subject.startswith("10 foreign files")
    assert "'models/dangling'" in finding.problem and "\n" not in finding.problem
    assert two.doctor(deep=True) == [finding]
    assert two.verify_all().problems == ()
    assert two.rebuild() == []
    for _ in range(2):
        assert two.gc(LatestN(1), grace_seconds=-1).size_bytes == 0
        done = two.delete_unknown(older_than=timedelta(seconds=1))
        assert done.files == () and len(done.foreign) == 9
    after = {path for path in tmp_path.rglob("*") if "database" not in path.parts}
    assert before == after
    assert two.verify_all().problems == ()


def test_a_model_may_lie_on_another_disk(two, tmp_path):
    root = Path(two.storage.url)
    os.rename(root / "models/digits", tmp_path / "disk")
    os.symlink(tmp_path / "disk", root / "models/digits")
    assert two.doctor(deep=True) == []
    (tmp_path / "disk" / "a").write_bytes(b"x")
    (finding,) = two.doctor()
    assert finding.subject == "1 foreign file (1 byte)"
    two.gc(LatestN(1), grace_seconds=-1)
    assert two.delete_unknown(older_than=timedelta(seconds=1)).files == ()


def test_who_was_shut_out_may_need_what_is_unknown(tmp_path):
    root = tmp_path / "weights"
    with (
        ModelRegistry(tmp_path / "first.db", root) as first,
        ModelRegistry(tmp_path / "second.db", root) as second,
    ):
        first.register({"w": [1.0]}, model="digits")
        second.register({"w": [2.0]}, model="cats")
        second.adopt()
        put(second, "registries/my notes.txt")
        path = put(second, UNKNOWN)
        with pytest.raises(InvalidStateError, match=r"first[.]db .*may need any of"):
            second.delete_unknown(older_than=WEEK)
        assert path.exists()
        first.close()
        (tmp_path / "first.db").unlink()
        assert len(second.delete_unknown(older_than=WEEK).files) == 1


def test_the_awaited_registry_does_the_same(two, database_url, tmp_path):
    put(two, UNKNOWN)

    async def work():
        async with AsyncModelRegistry(database_url, tmp_path / "weights") as opened:
            why = await opened.explain_gc(LatestN(1))
            return why, await opened.delete_unknown(older_than=WEEK)

    why, done = asyncio.run(work())
    assert why == two.explain_gc(LatestN(1))
    assert [each.key for each in done.files] == [UNKNOWN]
