"""Any order of register, promote, rollback, alias, gc and withdraw, beside a model."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from registry.samples import facts_of, weights_of

from flwr_registry.errors import (
    InvalidStateError,
    NoProductionModelError,
    RollbackError,
)
from flwr_registry.records import RunProvenance, VersionStatus
from flwr_registry.retention import LatestN

NUMBERS = itertools.count(1)
NODES = ("ann", "bob", "cid")


@dataclass
class Known:
    """What must be true of one version."""

    version: str
    value: float
    run: str
    parent: str | None
    node: str
    status: VersionStatus
    withdrawn: bool = False
    pinned: bool = False
    removed: bool = False

    @property
    def unfit(self) -> bool:
        failed = self.status is VersionStatus.FAILED
        return failed or self.withdrawn or self.removed


@dataclass
class Model:
    """The registry as a few containers."""

    versions: dict[str, Known] = field(default_factory=dict)
    way_back: list[str] = field(default_factory=list)
    been: set[str] = field(default_factory=set)
    production: str | None = None
    aliases: dict[str, str] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)

    def newest_sound(self, run: str | None = None) -> str | None:
        sound = [
            each.version
            for each in self.versions.values()
            if each.status is not VersionStatus.FAILED and run in (None, each.run)
        ]
        return sound[-1] if sound else None

    def move(self, version: str | None) -> None:
        if self.production is not None:
            self.versions[self.production].status = VersionStatus.ARCHIVED
        self.production = version
        if version is not None:
            self.versions[version].status = VersionStatus.ACTIVE
            self.been.add(version)

    def back_to(self, wanted: str | None) -> str | None:
        """The version that a rollback goes to, with the way back cut to it."""
        for place in reversed(range(len(self.way_back))):
            version = self.way_back[place]
            fit = version != self.production and not self.versions[version].unfit
            if (fit and wanted is None) or version == wanted:
                del self.way_back[place + 1 :]
                return version
        return None

    def affected(self, node: str) -> list[Known]:
        found: set[str] = set()
        for each in self.versions.values():
            if each.node == node or each.parent in found:
                found.add(each.version)
        return [self.versions[version] for version in found]

    def never_removed(self) -> set[str]:
        kept = {self.production, self.newest_sound(), *self.aliases.values()}
        kept |= {self.newest_sound(each.run) for each in self.versions.values()}
        kept |= self.been
        for each in self.versions.values():
            if each.pinned or each.parent is None:
                kept.add(each.version)
        return {version for version in kept if version is not None}


class RegistryMachine(RuleBasedStateMachine):
    """Does the same to a registry and to the model."""

    registry = None

    @initialize()
    def begin(self):
        self.name = f"model-{next(NUMBERS)}"
        self.model = Model()
        self.runs, self.rounds = {}, dict.fromkeys("xy", 0)
        for run in "xy":
            provenance = RunProvenance(f"{self.name}-{run}", self.name)
            self.runs[run] = self.registry.start_run(provenance)
        self.register("x", "ann", False, None)

    def reference(self, version):
        return f"{self.name}:{version}"

    def node(self, name):
        """Withdrawals know no model, so each example has nodes of its own."""
        return f"{self.name}-{name}"

    def chosen(self, place):
        versions = list(self.model.versions)
        return self.model.versions[versions[place % len(versions)]]

    @rule(
        run=st.sampled_from("xy"),
        node=st.sampled_from(NODES),
        failed=st.booleans(),
        parent=st.none() | st.integers(0, 30),
    )
    def register(self, run, node, failed, parent):
        named = None if parent is None else self.chosen(parent).version
        self.rounds[run] += 1
        value = float(next(NUMBERS))
        made = self.registry.register(
            weights_of(value),
            model=self.name,
            run=self.runs[run],
            parent=named,
            facts=facts_of(self.rounds[run], self.node(node)),
            errors=["broken"] if failed else [],
        )
        expected = named or self.model.newest_sound(run)
        assert made.parent_version == expected
        assert made.version not in self.model.versions
        above = self.model.versions.get(expected)
        self.model.versions[made.version] = Known(
            made.version,
            value,
            run,
            expected,
            node,
            VersionStatus.FAILED if failed else VersionStatus.CANDIDATE,
            withdrawn=node in self.model.withdrawn
            or (above is not None and above.withdrawn),
        )

    @rule(place=st.integers(0, 30), allowed=st.booleans())
    def promote(self, place, allowed):
        known = self.chosen(place)
        archived = known.status is VersionStatus.ARCHIVED
        reference = self.reference(known.version)
        if known.version != self.model.production and (
            known.unfit or (archived and not allowed)
        ):
            with pytest.raises(InvalidStateError):
                self.registry.promote(reference, allow_archived=allowed)
            return
        self.registry.promote(reference, allow_archived=allowed)
        if known.version != self.model.production:
            self.model.move(known.version)
            self.model.way_back.append(known.version)

    @rule()
    def roll_back(self):
        expected = self.model.back_to(None)
        if expected is None:
            with pytest.raises(RollbackError):
                self.registry.rollback(self.name)
            return
        assert self.registry.rollback(self.name).version == expected
        self.model.move(expected)

    @rule(place=st.integers(0, 30))
    def roll_back_to(self, place):
        known = self.chosen(place)
        if known.version == self.model.production:
            return
        if known.unfit or known.version not in self.model.been:
            with pytest.raises((InvalidStateError, RollbackError)):
                self.registry.rollback(self.name, to=known.version)
            return
        self.registry.rollback(self.name, to=known.version)
        if self.model.back_to(known.version) is None:
            self.model.way_back.append(known.version)
        self.model.move(known.version)

    @rule(place=st.integers(0, 30), alias=st.sampled_from(["best", "trial"]))
    def set_alias(self, place, alias):
        known = self.chosen(place)
        if known.status is VersionStatus.FAILED or known.withdrawn:
            with pytest.raises(InvalidStateError):
                self.registry.set_alias(self.name, alias, known.version)
            return
        self.registry.set_alias(self.name, alias, known.version)
        self.model.aliases[alias] = known.version

    @rule(place=st.integers(0, 30))
    def pin(self, place):
        known = self.chosen(place)
        self.registry.pin(self.reference(known.version))
        known.pinned = True

    @precondition(lambda self: any(v.pinned for v in self.model.versions.values()))
    @rule()
    def unpin(self):
        known = next(v for v in self.model.versions.values() if v.pinned)
        self.registry.unpin(self.reference(known.version))
        known.pinned = False

    @rule(place=st.integers(0, 30))
    def archive(self, place):
        known = self.chosen(place)
        failed = known.status is VersionStatus.FAILED
        if failed or known.version == self.model.production:
            with pytest.raises(InvalidStateError):
                self.registry.archive(self.reference(known.version))
            return
        self.registry.archive(self.reference(known.version))
        known.status = VersionStatus.ARCHIVED

    @rule(n=st.integers(1, 3))
    def collect_garbage(self, n):
        self.registry.gc(LatestN(n), model=self.name)
        kept = self.model.never_removed()
        stored = [each for each in self.model.versions.values() if not each.removed]
        for each in stored:
            found = self.registry.get(self.reference(each.version))
            each.removed = found.bytes_removed_at is not None
        gone = {each.version for each in stored if each.removed}
        assert not gone & kept
        assert len(set(self.versions_with_bytes()) - kept) <= n

    @rule(node=st.sampled_from(NODES))
    def withdraw(self, node):
        affected = self.model.affected(node)
        if not affected:
            return
        done = self.registry.withdraw(self.node(node), reason="asked for it")
        assert set(done.affected) == {self.reference(v.version) for v in affected}
        self.model.withdrawn.add(node)
        for each in affected:
            each.withdrawn = True
        if self.model.production in {each.version for each in affected}:
            self.model.move(None)

    def versions_with_bytes(self):
        return [v.version for v in self.model.versions.values() if not v.removed]

    @invariant()
    def production_is_that_of_the_model(self):
        if self.model.production is None:
            with pytest.raises(NoProductionModelError):
                self.registry.production(self.name)
        else:
            found = self.registry.production(self.name)
            assert found.version == self.model.production
        history = self.registry.history(self.name)
        assert (history[0].to_version if history else None) == self.model.production

    @invariant()
    def every_version_is_that_of_the_model(self):
        found = {each.version: each for each in self.registry.list(self.name)}
        assert set(found) == set(self.model.versions)
        for known in self.model.versions.values():
            version = found[known.version]
            assert version.status is known.status
            assert version.parent_version == known.parent
            assert version.is_production == (known.version == self.model.production)
            assert version.withdrawn == known.withdrawn
            assert version.pinned == known.pinned
            assert (version.bytes_removed_at is not None) == known.removed
        assert self.registry.aliases(self.name) == self.model.aliases

    def teardown(self):
        if not hasattr(self, "model"):
            return
        for known in self.model.versions.values():
            reference = self.reference(known.version)
            if known.removed:
                with pytest.raises(InvalidStateError):
                    self.registry.load(reference)
            else:
                loaded = self.registry.load(reference)
                np.testing.assert_array_equal(
                    loaded["layer"], weights_of(known.value)["layer"]
                )
        assert self.registry.verify_audit().problems == ()


@pytest.mark.slow
def test_any_order_of_verbs(registry):
    class OnThisRegistry(RegistryMachine):
        pass

    OnThisRegistry.registry = registry
    run_state_machine_as_test(
        OnThisRegistry,
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
