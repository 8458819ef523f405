"""Two registries, one storage root, any order of verbs, losses and crashes.

No byte that a row, a checkpoint or the history of production needs is ever deleted.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from registry.samples import facts_of, weights_of

from flwr_registry.checkpointing import (
    CheckpointContent,
    CheckpointManager,
    FinishedRound,
    each_manifest,
    new_run_folder,
)
from flwr_registry.errors import (
    DuplicateVersionError,
    InvalidStateError,
    ModelNotFoundError,
    NodeNotFoundError,
    ObjectNotFoundError,
    RollbackError,
    StorageOwnerError,
)
from flwr_registry.records import ModelVersion, RoundStatus, RunProvenance, StoredObject
from flwr_registry.registry import ModelRegistry
from flwr_registry.registry.steps import write
from flwr_registry.registry.versions.registration import Registration
from flwr_registry.registry.versions.version_writing import reserve_version
from flwr_registry.retention import BestN, LatestN
from flwr_registry.storage import BytesContent, LocalStorageBackend

VALUES = itertools.count(1)
MODEL = "digits"
SHARED = "shared root#1"
REFUSALS = (
    InvalidStateError,
    ModelNotFoundError,
    NodeNotFoundError,
    RollbackError,
    StorageOwnerError,
)
"""What a verb may answer here; any other error is a defect."""
places = st.sampled_from("ab")
versions = st.integers(0, 30)


class Place:
    """One database, its present run, and what that has done."""

    def __init__(self, folder: Path, name: str, template: Path) -> None:
        self.path = folder / f"{name}.db"
        self.root = folder / SHARED
        self.name = name
        self.template = template
        self.begin(template)

    def begin(self, database: Path) -> None:
        shutil.copyfile(database, self.path)
        self.written_to: dict[str, Path] = {}
        self.open()

    def open(self) -> None:
        self.registry = ModelRegistry(self.path, self.root)
        self.run = None
        self.rounds: dict[int, FinishedRound] = {}

    def lose(self) -> None:
        self.registry.close()
        self.path.unlink()
        self.begin(self.template)

    def move(self) -> None:
        """Go to a root of its own, or back to the shared one, and write there."""
        own = self.root.with_name(f"that of {self.name}")
        self.registry.close()
        self.root = own if self.root.name == SHARED else own.with_name(SHARED)
        self.open()
        self.registry.claim_storage()

    def become_a_copy(self, other: Place) -> None:
        """Be a copy that is opened wherever its original wrote to."""
        self.registry.close()
        other.registry.close()
        self.begin(other.path)
        other.open()
        self.written_to = dict(other.written_to)
        for root in {*self.written_to.values(), other.root}:
            self.registry.close()
            self.root = root
            self.open()
            with suppress(StorageOwnerError):
                self.registry.claim_storage()

    def rows(self) -> Iterator[ModelVersion]:
        """Give the versions that have bytes in a root that is this database's."""
        for version in self.registry.list():
            root = self.written_to.setdefault(version.storage_path, self.root)
            if version.bytes_removed_at is None and self.writes_to(root):
                yield version

    def writes_to(self, root: Path) -> bool:
        query = "SELECT registry_id, database_id FROM registry_identity"
        with closing(sqlite3.connect(self.path)) as opened:
            own = {each for row in opened.execute(query) for each in row}
        marks = [root / "registry.json", *(root / "registries").glob("*.json")]
        return any(json.loads(each.read_text())["id"] in own for each in marks)

    def start(self) -> None:
        self.rounds = {}
        provenance = RunProvenance(
            f"run-{self.name}", MODEL, flwr_run_id=str(next(VALUES))
        )
        self.registry.claim_storage()
        self.run = self.registry.start_run(provenance)
        self.folder = new_run_folder(self.registry.storage, provenance.name)

    def train(self, *, failed: bool, saves: bool) -> None:
        if self.run is None:
            self.start()
        number = len(self.rounds) + 1
        made = self.registry.register(
            weights_of(float(next(VALUES))),
            model=MODEL,
            run=self.run,
            facts=facts_of(number, f"node-{self.name}", accuracy=(number % 5) / 10),
            errors=["broken"] if failed else [],
        )
        stored = StoredObject(made.storage_path, made.file_size_bytes, made.checksum)
        self.rounds[number] = FinishedRound(
            gave_model=True,
            status=RoundStatus.REGISTERED,
            version=made.version,
            parent=made.parent_version,
            weights=stored,
            fingerprint=made.fingerprint,
        )
        if saves:
            content = CheckpointContent(
                server_round=number,
                model=MODEL,
                version=made.version,
                weights=stored,
                rounds=dict(self.rounds),
                provenance=self.run.provenance,
            )
            manager = CheckpointManager(
                self.registry.storage, self.folder, keep=LatestN(2)
            )
            manager.save(content)

    def crash_in_registration(self) -> None:
        """Leave what a killed process leaves: a number, and bytes without a row."""
        self.registry.claim_storage()
        registration = Registration(model=MODEL, fingerprint="f" * 64)

        def steps():
            reserved = yield from write(lambda s: reserve_version(s, registration))
            content = BytesContent(b"%d" % next(VALUES))
            self.registry.storage.save(reserved.key, content)

        self.registry._run(steps())

    def reference(self, number: int) -> str:
        found = self.registry.list(MODEL)
        return found[number % len(found)].reference if found else MODEL


class SharedRoot(RuleBasedStateMachine):
    """Does things in either registry, and looks by the side door what is left."""

    template: Path

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(prefix="shared-root-"))
        self.places = {
            name: Place(self.folder, name, self.template) for name in ("a", "b")
        }
        self.given_up: set[Path] = set()
        self.places["a"].train(failed=False, saves=True)

    @rule(name=places, failed=st.booleans(), saves=st.booleans())
    def train(self, name, failed, saves):
        with suppress(*REFUSALS):
            self.places[name].train(failed=failed, saves=saves)

    @rule(name=places)
    def register_by_hand(self, name):
        with suppress(*REFUSALS):
            self.places[name].registry.register(
                weights_of(float(next(VALUES))), model=MODEL
            )

    @rule(name=places)
    def start_another_run(self, name):
        with suppress(*REFUSALS):
            self.places[name].start()

    @rule(name=places)
    def crash(self, name):
        with suppress(*REFUSALS):
            self.places[name].crash_in_registration()

    @rule(name=places, number=versions)
    def promote(self, name, number):
        place = self.places[name]
        # What the database has in its other root is not in this one.
        with suppress(ObjectNotFoundError, *REFUSALS):
            place.registry.promote(place.reference(number))

    @rule(name=places)
    def roll_back(self, name):
        with suppress(*REFUSALS):
            self.places[name].registry.rollback(MODEL)

    @rule(name=places, node=places)
    def withdraw(self, name, node):
        with suppress(*REFUSALS):
            self.places[name].registry.withdraw(f"node-{node}", reason="asked")

    @rule(name=places, number=versions)
    def bring_over(self, name, number):
        """Export a version of the other registry, and import it."""
        other = self.places["b" if name == "a" else "a"]
        bundle = self.folder / f"{next(VALUES)}.bundle"
        with suppress(DuplicateVersionError, ObjectNotFoundError, *REFUSALS):
            other.registry.export(other.reference(number), bundle, to="bundle")
            self.places[name].registry.import_bundle(bundle)

    @rule(
        name=places,
        policy=st.sampled_from([None, LatestN(1), BestN(1, "accuracy")]),
        grace_seconds=st.sampled_from([-1.0, 3600.0]),
    )
    def collect(self, name, policy, grace_seconds):
        with suppress(*REFUSALS):
            place = self.places[name]
            done = place.registry.gc(policy, grace_seconds=grace_seconds)
            self.given_up |= {place.root / each.key for each in done.versions}

    @rule(name=places)
    def delete_unknown(self, name):
        with suppress(*REFUSALS):
            self.places[name].registry.delete_unknown(
                older_than=timedelta(microseconds=1)
            )

    @rule(name=places)
    def lose_the_database(self, name):
        self.places[name].lose()

    @rule(name=places)
    def copy_the_database(self, name):
        self.places["b" if name == "a" else "a"].become_a_copy(self.places[name])

    @rule(name=places)
    def move_to_a_root_of_its_own(self, name):
        with suppress(*REFUSALS):
            self.places[name].move()

    @rule(name=places)
    def rebuild(self, name):
        with suppress(*REFUSALS):
            self.places[name].registry.rebuild()

    @rule(name=places)
    def adopt(self, name):
        with suppress(*REFUSALS):
            self.places[name].registry.adopt()

    @rule(name=places)
    def follow_the_doctor(self, name):
        """Do what the first finding says, as one in a hurry would."""
        registry = self.places[name].registry
        with suppress(*REFUSALS):
            for finding in registry.doctor()[:1]:
                if "--adopt" in finding.remedy:
                    registry.adopt()
                elif "--rebuild" in finding.remedy:
                    registry.rebuild()
                elif "delete-unknown" in finding.remedy:
                    registry.delete_unknown(older_than=timedelta(microseconds=1))
                elif finding.remedy.endswith("gc"):
                    registry.gc(grace_seconds=-1)

    def needed(self):
        """Path and digest of each file that has to be there, and if a row says so."""
        for place in self.places.values():
            rows = {each.version: each for each in place.rows()}
            for version in rows.values():
                root = place.written_to[version.storage_path]
                yield root / version.storage_path, version.checksum, True
            for change in place.registry.history(MODEL) if rows else ():
                for number in {change.from_version, change.to_version} - {None}:
                    version = place.registry.get(f"{MODEL}:{number}")
                    assert version.bytes_removed_at is None
        for root in {each.root for each in self.places.values()}:
            for found in each_manifest(LocalStorageBackend(root)):
                assert found.manifest is not None, found.error
                rounds = found.manifest.content.rounds.values()
                for each in [found.manifest.weights, *(x.weights for x in rounds)]:
                    yield root / each.key, each.sha256, False

    @invariant()
    def what_is_needed_is_there(self):
        for path, digest, is_row in set(self.needed()):
            if path.exists():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
            else:
                # A lost database gave it up; its checkpoints do not know that.
                assert not is_row and path in self.given_up, path

    def teardown(self):
        if not hasattr(self, "places"):
            return
        for place in self.places.values():
            assert place.registry.verify_audit().problems == ()
            place.registry.close()
        shutil.rmtree(self.folder)


def run_machine(template, **options):
    class Here(SharedRoot):
        pass

    Here.template = template
    quiet = {"deadline": None, "suppress_health_check": list(HealthCheck)}
    run_state_machine_as_test(Here, settings=settings(**quiet, **options))


@pytest.mark.slow
def test_nothing_that_is_needed_is_deleted(sqlite_template):
    run_machine(
        sqlite_template, max_examples=5, stateful_step_count=12, derandomize=True
    )


@pytest.mark.slow
def test_nothing_that_is_needed_is_deleted_in_long_histories(sqlite_template):
    run_machine(sqlite_template, max_examples=12, stateful_step_count=30)
