"""What the committed checkpoints of a storage need of its bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from flwr_registry.checkpointing import CheckpointContent, FoundManifest
from flwr_registry.records import StoredObject
from flwr_registry.registry.upkeep.told_versions import ToldVersion, missing_versions

__all__ = ["CheckpointNeeds", "NeededKeys", "needed_keys", "read_needs", "told_by"]


@dataclass(slots=True)
class _FolderNeeds:
    """What the checkpoints of one start of a run tell of, and name."""

    told: set[ToldVersion] = field(default_factory=set)
    named: set[str] = field(default_factory=set)


@dataclass(slots=True)
class CheckpointNeeds:
    """What all checkpoints need.

    Attributes
    ----------
    resume_points : dict of str to str
        Keys of the weights that a checkpoint goes on from, and the newest of these.
    folders : dict of str to _FolderNeeds
        By the folder of a start.
    out_of_reach : list of str
        Checkpoints of which nobody can tell what they need.
    """

    resume_points: dict[str, str] = field(default_factory=dict)
    folders: dict[str, _FolderNeeds] = field(default_factory=dict)
    out_of_reach: list[str] = field(default_factory=list)

    @property
    def named(self) -> frozenset[str]:
        """All keys that any checkpoint names."""
        return frozenset().union(*(each.named for each in self.folders.values()))


@dataclass(frozen=True, slots=True)
class NeededKeys:
    """The keys that checkpoints need, held against what a database knows.

    Attributes
    ----------
    resume_points : mapping of str to str
        Key to the checkpoint that goes on from it.
    unknown : mapping of str to str
        Key to the folder of checkpoints that name it beside versions that the database
        does not know: they are of a database that was lost, or of another registry.
    out_of_reach : tuple of str
        Checkpoints of which nobody can tell what they need.
    """

    resume_points: Mapping[str, str]
    unknown: Mapping[str, str]
    out_of_reach: tuple[str, ...]

    def reasons(self, key: str) -> tuple[str, ...]:
        """Tell why bytes are needed; nothing where they are not."""
        reasons = []
        if key in self.resume_points:
            reasons.append(f"checkpoint {self.resume_points[key]} goes on from it")
        if key in self.unknown:
            reasons.append(
                f"the checkpoints of {self.unknown[key]} name it, beside versions that "
                "this database does not know"
            )
        if self.out_of_reach:
            reasons.append(
                f"checkpoint {self.out_of_reach[0]} cannot be read, and may need it"
            )
        return tuple(reasons)


def read_needs(manifests: Iterable[FoundManifest]) -> CheckpointNeeds:
    """Take together what manifests tell."""
    needs = CheckpointNeeds()
    for found in manifests:
        if found.manifest is None:
            if found.is_only_out_of_reach:
                needs.out_of_reach.append(str(found))
            continue
        content = found.manifest.content
        folder = needs.folders.setdefault(found.folder, _FolderNeeds())
        folder.told.update(told_by(content))
        folder.named.update(_named_by(found))
        needs.resume_points.setdefault(found.manifest.weights.key, str(found))
    return needs


def needed_keys(session: Session, needs: CheckpointNeeds) -> NeededKeys:
    """Hold what checkpoints need against what the database knows."""
    told = {each for folder in needs.folders.values() for each in folder.told}
    missing = missing_versions(session, told)
    unknown = {
        key: name
        for name, folder in needs.folders.items()
        if not folder.told.isdisjoint(missing)
        for key in folder.named
    }
    return NeededKeys(needs.resume_points, unknown, tuple(needs.out_of_reach))


def told_by(content: CheckpointContent) -> Iterator[ToldVersion]:
    """Give the versions that a checkpoint tells of."""
    run = content.provenance.name if content.provenance else "unknown"
    numbers = set()
    for server_round, finished in content.rounds.items():
        if finished.version is not None and finished.weights is not None:
            numbers.add(finished.version)
            yield ToldVersion(
                content.model,
                finished.version,
                finished.weights.sha256,
                (run, server_round),
            )
    weights = content.weights
    if isinstance(weights, StoredObject) and content.version not in {None, *numbers}:
        # The version of another run that this one began with.
        assert content.version is not None
        yield ToldVersion(content.model, content.version, weights.sha256, None)


def _named_by(found: FoundManifest) -> Iterator[str]:
    assert found.manifest is not None
    yield found.manifest.weights.key
    if found.manifest.state_arrays is not None:
        yield found.manifest.state_arrays.key
    for finished in found.manifest.content.rounds.values():
        if finished.weights is not None:
            yield finished.weights.key
