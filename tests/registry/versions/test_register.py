"""Registering: a number, the bytes, the row."""

import copy
import dataclasses
import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from registry.samples import facts_of, weights_of
from safetensors.numpy import load_file

from flwr_registry.errors import (
    DuplicateVersionError,
    IntegrityError,
    InvalidNameError,
    InvalidReferenceError,
    ModelNotFoundError,
    StorageError,
    ValidationError,
)
from flwr_registry.records import (
    Contribution,
    ContributionStatus,
    MetricSource,
    RoundFacts,
    RoundStatus,
    VersionMetadata,
    VersionStatus,
)
from flwr_registry.registry import ModelRegistry
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.storage import LocalStorageBackend
from flwr_registry.weights import Architecture, Weights


def files(registry):
    root = Path(registry.storage.url)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.safetensors"))


def test_a_version_is_the_file_and_the_row(registry, add):
    version = add(
        1, metadata=VersionMetadata("MLP", "numpy", {"layers": 1}, {"a": "b"})
    )
    file = Path(registry.storage.url) / version.storage_path
    content = file.read_bytes()
    assert version.reference == "digits:1.0.0"
    assert version.status is VersionStatus.CANDIDATE
    assert version.checksum == hashlib.sha256(content).hexdigest()
    assert version.file_size_bytes == len(content)
    assert version.storage_path == (
        f"models/digits/1.0.0/{version.checksum[:12]}.safetensors"
    )
    assert version.metadata == VersionMetadata(
        "MLP", "numpy", {"layers": 1}, {"a": "b"}
    )
    assert version.created_at.utcoffset().total_seconds() == 0
    np.testing.assert_array_equal(load_file(file)["layer"], weights_of(1)["layer"])
    assert registry.get("digits:1.0.0") == version
    assert registry.list() == [version]


def test_numbers_rise_with_rounds_and_with_architectures(add):
    given = [add(1), add(2), add(3, size=5), add(4, size=5), add(5)]
    assert [version.version for version in given] == [
        *("1.0.0", "1.1.0", "2.0.0", "2.1.0", "1.2.0")
    ]


def test_bumps_and_numbers_on_request(add):
    add(1)
    assert add(2, bump="patch").version == "1.0.1"
    assert add(3, bump="patch").version == "1.0.2"
    assert add(4, bump="minor").version == "1.1.0"
    assert add(5, bump="patch", parent="1.0.0").version == "1.0.3"
    assert add(6, bump="major").version == "2.0.0"
    assert add(7, version="5.6.7").version == "5.6.7"
    assert add(8, parent="digits:1.0.1").version == "1.2.0"


def test_a_minor_or_patch_of_another_architecture_is_refused(registry, add, sql):
    add(1)
    for bump in ("minor", "patch"):
        with pytest.raises(ValidationError, match="architecture"):
            add(2, size=5, bump=bump)
    assert sql("SELECT * FROM uploads") == []
    assert len(files(registry)) == 1


def test_averaged_counters_are_no_new_architecture(registry):
    counted = {"n": np.int64(3) * np.ones((), np.int64)}
    averaged = {"n": np.array(3.0)}
    reference = Architecture.of(Weights.of(counted))
    one = registry.register(counted, model="m")
    other = registry.register(averaged, model="m", reference=reference)
    assert (one.version, other.version) == ("1.0.0", "1.1.0")
    assert one.fingerprint == other.fingerprint


def test_a_failed_version_is_never_latest_nor_parent(registry, start, add, sql):
    run = start()
    add(1, run=run, facts=facts_of(1))
    failed = add(2, run=run, facts=facts_of(2), errors=["NaN in layer", "too few"])
    sound = add(3, run=run, facts=facts_of(3))
    assert failed.status is VersionStatus.FAILED
    assert failed.validation_errors == ("NaN in layer", "too few")
    assert (failed.version, failed.parent_version) == ("1.1.0", "1.0.0")
    assert (sound.version, sound.parent_version) == ("1.2.0", "1.0.0")
    assert registry.latest("digits") == sound
    last = add(4, run=run, facts=facts_of(4), errors=["NaN"])
    assert last.parent_version == "1.2.0"
    assert registry.latest("digits") == sound
    # Training may go on with a failed version, when it is named.
    named = add(5, parent="1.1.0")
    assert (named.version, named.parent_version) == ("1.4.0", "1.1.0")
    assert sql("SELECT * FROM uploads") == []


def test_a_failed_first_round_of_another_architecture_opens_no_major(add):
    assert add(1, errors=["NaN"]).version == "1.0.0"
    assert add(2).version == "1.1.0"
    assert add(3, size=5, errors=["shape"]).version == "1.2.0"
    assert add(4, size=5).version == "2.0.0"


def test_interleaved_runs_keep_their_own_lines(registry, start, add):
    one, other = start("one"), start("other")
    for server_round in (1, 2, 3):
        for run in (one, other):
            value = run.id * 100 + server_round
            add(value, run=run, facts=facts_of(server_round))
    lines = {
        run: [(v.version, v.parent_version) for v in registry.list(run=run)][::-1]
        for run in ("one", "other")
    }
    assert lines == {
        "one": [("1.0.0", None), ("1.2.0", "1.0.0"), ("1.4.0", "1.2.0")],
        "other": [("1.1.0", None), ("1.3.0", "1.1.0"), ("1.5.0", "1.3.0")],
    }


def test_a_run_that_starts_again_has_no_parent_unless_it_is_named(start, add):
    add(1, run=start(), facts=facts_of(1))
    again = start()
    assert add(2, run=again, facts=facts_of(1)).parent_version is None
    resumed = start()
    version = add(3, run=resumed, facts=facts_of(2), parent="1.0.0")
    assert version.parent_version == "1.0.0"
    assert add(4, run=resumed, facts=facts_of(3)).parent_version == version.version


def test_the_same_number_with_the_same_bytes_is_the_same_version(registry, add):
    first = add(1, version="1.4.0")
    assert add(1, version="1.4.0") == first
    assert len(registry.list()) == len(files(registry)) == 1


def test_the_same_number_with_other_bytes_is_a_conflict(registry, add, sql):
    add(1, version="1.4.0")
    before = files(registry)
    with pytest.raises(DuplicateVersionError, match="other bytes") as raised:
        add(2, version="1.4.0")
    assert raised.value.version == "1.4.0"
    assert files(registry) == before
    assert sql("SELECT * FROM uploads") == []


def test_the_same_round_with_the_same_bytes_is_the_same_version(registry, start, add):
    run = start()
    first = add(1, run=run, facts=facts_of(1, "a"))
    assert add(1, run=run, facts=facts_of(1, "a")) == first
    assert len(registry.list()) == len(files(registry)) == 1
    with pytest.raises(DuplicateVersionError, match="round 1 of run experiment"):
        add(2, run=run, facts=facts_of(1))


class SlowStorage(LocalStorageBackend):
    """Something else happens while the bytes are on their way."""

    def __init__(self, root, meanwhile):
        super().__init__(root)
        self.meanwhile = meanwhile

    def save(self, key, content):
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return super().save(key, content)


def slow_registry(registry, database_url, meanwhile):
    return ModelRegistry(database_url, SlowStorage(registry.storage.url, meanwhile))


def test_a_number_is_taken_while_its_bytes_are_saved(registry, database_url, add):
    with slow_registry(registry, database_url, lambda: add(2)) as slow:
        assert slow.register(weights_of(1), model="digits").version == "1.0.0"
    assert [version.version for version in registry.list()] == ["1.0.0", "1.1.0"]


def test_the_slower_of_two_equal_rounds_removes_its_bytes(
    registry, database_url, start, add, sql
):
    run = start()
    options = {"run": run, "facts": facts_of(1, "a")}
    with slow_registry(registry, database_url, lambda: add(1, **options)) as slow:
        version = slow.register(weights_of(1), model="digits", **options)
    assert registry.list() == [version]
    assert files(registry) == [version.storage_path]
    assert sql("SELECT * FROM uploads") == []


def test_the_slower_of_two_equal_numbers_keeps_the_shared_bytes(
    registry, database_url, add, sql
):
    same = {"version": "3.0.0"}
    with slow_registry(registry, database_url, lambda: add(1, **same)) as slow:
        version = slow.register(weights_of(1), model="digits", **same)
    assert registry.list() == [version]
    assert files(registry) == [version.storage_path]
    assert sql("SELECT * FROM uploads") == []


def test_the_slower_of_two_different_contents_of_a_number_is_refused(
    registry, database_url, add, sql
):
    same = {"version": "3.0.0"}
    with (
        slow_registry(registry, database_url, lambda: add(1, **same)) as slow,
        pytest.raises(DuplicateVersionError),
    ):
        slow.register(weights_of(2), model="digits", **same)
    assert files(registry) == [registry.get("digits:3.0.0").storage_path]
    assert sql("SELECT * FROM uploads") == []


def test_a_chosen_number_that_is_taken_in_between_is_chosen_anew(
    registry, database_url, add
):
    with slow_registry(registry, database_url, lambda: add(1, version="1.0.0")) as slow:
        version = slow.register(weights_of(2), model="digits")
    assert version.version == "1.1.0"
    assert len(files(registry)) == 2


def test_a_storage_that_fails_leaves_no_version_and_no_upload(
    registry, database_url, tmp_path, sql
):
    (tmp_path / "file").touch()
    with (
        ModelRegistry(database_url, tmp_path / "file" / "below") as broken,
        pytest.raises(StorageError),
    ):
        broken.register(weights_of(1), model="digits")
    assert registry.list() == registry.models() == []
    assert sql("SELECT * FROM uploads") == sql("SELECT * FROM model_versions") == []
    assert registry.register(weights_of(1), model="digits").version == "1.0.0"


def test_a_database_that_fails_at_the_commit_keeps_the_intent(
    registry, database_url, sql
):
    def lose_runs():
        sql("ALTER TABLE model_audit_logs RENAME TO lost")

    with (
        slow_registry(registry, database_url, lose_runs) as slow,
        pytest.raises(Exception, match="model_audit_logs"),
    ):
        slow.register(weights_of(1), model="digits")
    sql("ALTER TABLE lost RENAME TO model_audit_logs")
    assert registry.list() == []
    (upload,) = sql("SELECT storage_prefix FROM uploads")
    (orphan,) = files(registry)
    assert orphan.startswith(upload["storage_prefix"])
    assert registry.register(weights_of(1), model="digits").version == "1.1.0"


def test_metadata_cannot_set_a_governed_column(registry):
    said = {field.name for field in dataclasses.fields(VersionMetadata)}
    for column in {column.name for column in VersionRow.__table__.columns} - said:
        with pytest.raises(TypeError):
            VersionMetadata(**{column: 1})
        with pytest.raises(TypeError, match="VersionMetadata"):
            registry.register(weights_of(1), model="digits", metadata={column: 1})
    assert said == {
        *("architecture", "framework", "model_config", "tags"),
        *("description", "created_by"),
    }
    assert files(registry) == []


SENSELESS = [
    ({"model": "../digits"}, InvalidNameError),
    ({"version": "1.0"}, InvalidNameError),
    ({"version": "01.0.0"}, InvalidNameError),
    ({"bump": "huge"}, ValueError),
    ({"bump": "minor", "version": "1.0.0"}, ValueError),
    ({"parent": "letters:1.0.0"}, InvalidReferenceError),
    ({"parent": "9.9.9"}, ModelNotFoundError),
    ({"parent": "a b"}, InvalidReferenceError),
    ({"facts": RoundFacts(1)}, ValueError),
    ({"errors": "NaN"}, TypeError),
    ({"privacy": (-1.0, 0.1)}, ValueError),
    ({"privacy": (float("nan"), 0.1)}, ValueError),
    ({"metadata": VersionMetadata(tags={"a": 1})}, TypeError),
    ({"metadata": VersionMetadata(description=None)}, TypeError),
    ({"metadata": VersionMetadata(model_config=[])}, TypeError),
]


def test_arguments_that_make_no_sense_leave_nothing(registry, add, sql):
    for options, error in SENSELESS:
        with pytest.raises(error):
            add(1, **options)
            pytest.fail(f"{options} was taken")
    assert files(registry) == []
    assert sql("SELECT * FROM uploads") == sql("SELECT * FROM model_versions") == []


def test_a_run_writes_its_own_model_only(start, add):
    with pytest.raises(InvalidReferenceError, match="letters"):
        add(1, run=start(model="letters"), facts=facts_of(1))


def test_what_a_round_tells_is_in_the_version(registry, start, add):
    facts = RoundFacts(
        7,
        {"learning_rate": float("inf")},
        [
            Contribution(str(2**64 - 1), num_examples=30, weight_share=1.0),
            Contribution("b", ContributionStatus.ERROR, error_code=5, error_reason="x"),
            Contribution("c", ContributionStatus.NO_REPLY),
        ],
        2.5,
    )
    run = start()
    version = add(
        1, run=run, facts=facts, metrics={"loss": 0.5, "acc": 0.9}, privacy=(1.5, 1e-5)
    )
    assert (version.run_id, version.run_name) == (run.id, "experiment")
    assert (version.server_round, version.total_rounds, version.num_clients) == (
        7,
        7,
        1,
    )
    assert (version.epsilon, version.delta) == (1.5, 1e-5)
    assert (version.val_loss, version.val_accuracy) == (0.5, 0.9)
    assert version.metrics == {
        MetricSource.TRAIN_CLIENTAPP: {"learning_rate": float("inf")},
        MetricSource.EVALUATE_SERVERAPP: {"loss": 0.5, "acc": 0.9},
    }
    assert registry.contributions("digits") == tuple(facts.contributions)
    (recorded,) = registry.rounds(run)
    assert recorded.status is RoundStatus.REGISTERED
    assert (recorded.version, recorded.measured_version) == ("1.0.0", "1.0.0")
    assert recorded.duration_seconds == 2.5
    assert recorded.contributions == tuple(facts.contributions)
    assert recorded.metrics == version.metrics


def test_text_that_no_database_stores_is_made_plain(start, add, registry):
    odd = "a\x00b\ud800"
    facts = RoundFacts(
        1, {odd: odd}, [Contribution("a", ContributionStatus.ERROR, error_reason=odd)]
    )
    said = VersionMetadata(description=odd, tags={"t": odd}, created_by=odd)
    version = add(1, run=start(), facts=facts, metadata=said, errors=[odd])
    assert version.metadata.description == "a\ufffdb?"
    assert registry.contributions("digits:1.0.0")[0].error_reason == "a\ufffdb?"


def test_load_gives_the_same_bits_and_notices_others(registry, add):
    version = add(1)
    np.testing.assert_array_equal(
        registry.load("digits")["layer"], weights_of(1)["layer"]
    )
    file = Path(registry.storage.url) / version.storage_path
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(IntegrityError):
        registry.load("digits")


def test_a_moved_root_still_holds_all_versions(tmp_path):
    with ModelRegistry(tmp_path / "old" / "registry.db") as opened:
        opened.register(weights_of(1), model="digits")
    (tmp_path / "old").rename(tmp_path / "new")
    with ModelRegistry(tmp_path / "new" / "registry.db") as opened:
        assert len(opened.load("digits")) == 1


def test_a_registry_is_copied_and_pickled_by_its_places(registry, add):
    add(1)
    for other in (copy.deepcopy(registry), pickle.loads(pickle.dumps(registry))):
        assert (other.url, other.storage.url) == (registry.url, registry.storage.url)
        assert other.latest("digits") == registry.latest("digits")
        other.close()
