"""Comparing the versions that checkpoints tell of with those of the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.checkpointing import CheckpointContent
from flwr_registry.records import Finding, Severity, StoredObject
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.run_db import RoundRow, RunRow
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.upkeep.checkpoint_keys import each_manifest
from flwr_registry.storage import StorageBackend

__all__ = ["compare_told"]


@dataclass(frozen=True, slots=True)
class _Told:
    """A version as a checkpoint names it."""

    reference: str
    digest: str
    origin: tuple[str, int] | None


class _Known:
    """The versions of the database, by number and by origin."""

    def __init__(self, session: Session) -> None:
        query = (
            select(
                ModelRow.name,
                VersionRow.version,
                VersionRow.checksum,
                RunRow.name,
                RoundRow.server_round,
            )
            .join(ModelRow, ModelRow.id == VersionRow.model_id)
            .outerjoin(RunRow, RunRow.id == VersionRow.run_id)
            .outerjoin(RoundRow, RoundRow.id == VersionRow.round_id)
        )
        self.digests: dict[str, str] = {}
        self._origins: set[tuple[str, str, str, int]] = set()
        self._bytes: set[tuple[str, str]] = set()
        for model, version, digest, run, server_round in session.execute(query):
            self.digests[f"{model}:{version}"] = digest
            self._origins.add((model, digest, run, server_round))
            self._bytes.add((model, digest))

    def has(self, model: str, told: _Told) -> bool:
        """Tell whether a version is there, be it under another number."""
        if self.digests.get(told.reference) == told.digest:
            return True
        if told.origin is None:
            return (model, told.digest) in self._bytes
        return (model, told.digest, *told.origin) in self._origins


def compare_told(session: Session, storage: StorageBackend) -> list[Finding]:
    """Find checkpoints whose versions the database lacks, or has as other ones."""
    known, findings = _Known(session), []
    for folder, server_round, manifest, _ in each_manifest(storage):
        if manifest is None:
            continue
        content, subject = manifest.content, f"checkpoint {folder}/{server_round}"
        missing = [
            each for each in _told(content) if not known.has(content.model, each)
        ]
        taken = [each for each in missing if each.reference in known.digests]
        if taken:
            findings.append(_taken(subject, taken, known))
        elif missing:
            findings.append(
                Finding(
                    Severity.ERROR,
                    subject,
                    f"it tells of {len(missing)} versions that the database does not "
                    "have",
                    "flwr-registry doctor --rebuild",
                )
            )
    return findings


def _told(content: CheckpointContent) -> Iterator[_Told]:
    run = content.provenance.name if content.provenance else "unknown"
    numbers = set()
    for server_round, finished in content.rounds.items():
        if finished.version is not None and finished.weights is not None:
            numbers.add(finished.version)
            reference = f"{content.model}:{finished.version}"
            yield _Told(reference, finished.weights.sha256, (run, server_round))
    weights = content.weights
    if isinstance(weights, StoredObject) and content.version not in {None, *numbers}:
        # The version of another run that this one began with.
        yield _Told(f"{content.model}:{content.version}", weights.sha256, None)


def _taken(subject: str, taken: list[_Told], known: _Known) -> Finding:
    first = taken[0]
    others = f", and {len(taken) - 1} more" if len(taken) > 1 else ""
    return Finding(
        Severity.ERROR,
        subject,
        f"it names {first.reference} with the digest {first.digest[:12]}, the database "
        f"has it with {known.digests[first.reference][:12]}{others}: it is not of this "
        "registry, or the database was lost and other runs took the numbers",
        "flwr-registry doctor --rebuild, which brings its versions back under free "
        "numbers",
    )
