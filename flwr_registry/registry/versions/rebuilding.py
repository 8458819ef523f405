"""Rows made anew from what a checkpoint tells of its run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.checkpointing import (
    CheckpointContent,
    FinishedRound,
    flat_metrics,
)
from flwr_registry.errors import ResumeError
from flwr_registry.records import (
    RoundFacts,
    Run,
    RunProvenance,
    StoredObject,
    VersionMetadata,
)
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.versions.metrics import collect_metrics
from flwr_registry.registry.versions.registration import Registration
from flwr_registry.registry.versions.run_recording import (
    audit_round,
    find_or_start_run,
    hold_model,
    save_round,
)
from flwr_registry.registry.versions.told_versions import ToldVersions, match_versions
from flwr_registry.registry.versions.version_manager import (
    Bump,
    SemVer,
    parse_version,
)
from flwr_registry.registry.versions.version_placement import choose_number
from flwr_registry.registry.versions.version_writing import (
    Reservation,
    insert_version,
)

__all__ = ["lacks_versions", "restore_run"]


def lacks_versions(session: Session, content: CheckpointContent) -> bool:
    """Tell whether `restore_run` would write the row of a version."""
    query = select(ModelRow.id).where(ModelRow.name == content.model)
    model_id = session.scalar(query)
    if model_id is None:
        return any(finished.version for finished in content.rounds.values())
    return bool(match_versions(session, model_id, content).lost)


def restore_run(
    session: Session,
    content: CheckpointContent,
    *,
    stored: Collection[str],
    renumber: bool = False,
) -> list[str]:
    """Write the rows of a run's rounds and versions that the database lacks.

    Promotions, aliases, pins and tags that were set by hand are in no checkpoint.

    Parameters
    ----------
    stored : collection of str
        Keys of the weights that the storage has. A version without its own is written
        as one whose bytes retention removed; but what the checkpoint goes on from is
        never removed, and so is lost when it is not there.
    renumber : bool
        Give those whose number another version has taken a free one.

    Returns
    -------
    list of str
        Numbers of the versions that were added.

    Raises
    ------
    ResumeError
        When another version has taken a number, and none may be changed.
    """
    model_id = hold_model(session, content.model)
    told = match_versions(session, model_id, content)
    if told.taken and not renumber:
        raise ResumeError(_clash(content, told))
    if not told.lost:
        return []
    provenance = content.provenance or RunProvenance("unknown", content.model)
    restoring = _Restoring(session, model_id, content, told, stored)
    run = find_or_start_run(session, provenance, lacking=told.lost)
    for number, finished in sorted(content.rounds.items()):
        facts, metrics = (
            _facts_of(content, number, finished),
            _metrics_of(content, number),
        )
        if number in told.lost:
            restoring.insert(run, number, facts, metrics)
        elif finished.version is None:
            row = save_round(session, run, facts, finished.status, metrics=metrics)
            audit_round(session, run, row, "restore_round")
    return restoring.added


class _Restoring:
    """Versions of one checkpoint on their way back."""

    def __init__(
        self,
        session: Session,
        model_id: int,
        content: CheckpointContent,
        told: ToldVersions,
        stored: Collection[str],
    ) -> None:
        self._session = session
        self._model_id = model_id
        self._content = content
        self._told = told
        self._stored = stored
        self._rows = {
            str(content.rounds[number].version): row
            for number, row in told.found.items()
        }
        self.added: list[str] = []

    def insert(
        self, run: Run, number: int, facts: RoundFacts, metrics: Mapping[str, Any]
    ) -> None:
        """Write the row of the version that a round made."""
        content, finished = self._content, self._told.lost[number]
        assert finished.version is not None and finished.weights is not None
        parent = self._parent(finished)
        registration = Registration(
            model=content.model,
            fingerprint=finished.fingerprint,
            run=run,
            facts=facts,
            errors=finished.errors,
            metrics=collect_metrics(metrics, facts),
            metadata=content.metadata or VersionMetadata(),
            privacy=finished.privacy,
        )
        reserved = Reservation(
            0,
            self._model_id,
            self._number(number, registration, parent),
            parent.id if parent is not None else None,
            parent.version if parent is not None else None,
            registration,
        )
        row = insert_version(
            self._session,
            reserved,
            finished.weights,
            action="restore",
            bytes_removed_at=now() if self._is_removed(finished.weights) else None,
        )
        self._rows[finished.version] = row
        self.added.append(row.version)

    def _is_removed(self, weights: StoredObject) -> bool:
        return weights.key not in self._stored and weights != self._content.weights

    def _parent(self, finished: FinishedRound) -> VersionRow | None:
        if finished.parent is None:
            return None
        row = self._rows.get(finished.parent)
        if row is None and not self._told.taken:
            # Of another run: there is no digest of it, so its number has to do.
            query = select(VersionRow).where(
                VersionRow.model_id == self._model_id,
                VersionRow.version == finished.parent,
            )
            row = self._session.scalar(query)
        return row

    def _number(
        self, number: int, registration: Registration, parent: VersionRow | None
    ) -> SemVer:
        if number not in self._told.taken:
            return parse_version(str(self._told.lost[number].version))
        free = choose_number(self._session, self._model_id, registration, parent)
        own = {finished.version for finished in self._content.rounds.values()}
        while str(free) in own:
            free = free.raised(Bump.MINOR)
        return free


def _clash(content: CheckpointContent, told: ToldVersions) -> str:
    number, row = next(iter(sorted(told.taken.items())))
    weights = told.lost[number].weights
    digest = weights.sha256[:12] if weights else ""
    return (
        f"the checkpoint of round {content.server_round} tells of {content.model}:"
        f"{row.version} with the digest {digest}, but the registry has it with "
        f"{row.checksum[:12]}: the checkpoint is not of this registry, or the database "
        "was lost and other runs took the numbers. For the latter, 'flwr-registry "
        "doctor --rebuild' brings its versions back under free numbers; then start "
        "again"
    )


def _facts_of(
    content: CheckpointContent, number: int, finished: FinishedRound
) -> RoundFacts:
    trained = content.metrics.get("train_clientapp", {}).get(number)
    return RoundFacts(number, flat_metrics(trained), finished.contributions)


def _metrics_of(content: CheckpointContent, number: int) -> dict[str, Any]:
    """Return what was measured of a round after its training, by source."""
    return {
        source: flat_metrics(by_round[number])
        for source, by_round in content.metrics.items()
        if source != "train_clientapp" and by_round.get(number)
    }
