"""Which rows are the versions that a checkpoint tells of.

A number alone proves nothing: another run takes it once a database is lost. Two
versions are the same if their digests are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from flwr_registry.checkpointing import CheckpointContent, FinishedRound
from flwr_registry.records import ModelVersion, StoredObject
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.run_db import RoundRow, RunRow
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = ["ToldVersions", "find_checkpointed", "match_versions", "row_of_weights"]

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class ToldVersions:
    """The rounds of a checkpoint that made a version, and the rows of these.

    Attributes
    ----------
    found : dict of int to VersionRow
        By round.
    lost : dict of int to FinishedRound
        Those without a row, by round.
    taken : dict of int to VersionRow
        Of the lost ones, by round: another version that has the number.
    """

    found: dict[int, VersionRow] = field(default_factory=dict)
    lost: dict[int, FinishedRound] = field(default_factory=dict)
    taken: dict[int, VersionRow] = field(default_factory=dict)


def match_versions(
    session: Session, model_id: int, content: CheckpointContent
) -> ToldVersions:
    """Find the row of each version that a checkpoint tells of.

    It has the digest and the number; or the digest and the round, in a run of the same
    name, where it came back under another number.
    """
    told = ToldVersions()
    made = {
        number: finished
        for number, finished in sorted(content.rounds.items())
        if finished.version is not None and finished.weights is not None
    }
    by_number = _by_number(session, model_id, [str(f.version) for f in made.values()])
    for number, finished in made.items():
        assert finished.weights is not None
        row = by_number.get(str(finished.version))
        if row is not None and row.checksum == finished.weights.sha256:
            told.found[number] = row
            continue
        moved = _moved(session, model_id, content, number, finished.weights)
        if moved is not None:
            told.found[number] = moved
            continue
        told.lost[number] = finished
        if row is not None:
            told.taken[number] = row
    return told


def row_of_weights(session: Session, content: CheckpointContent) -> VersionRow | None:
    """Return the version whose weights a checkpoint goes on from, by their digest.

    Of several with the same bytes it is the one with the number that the checkpoint
    names, else one of its run.
    """
    if not isinstance(content.weights, StoredObject):
        return None
    query = (
        select(VersionRow)
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .outerjoin(RunRow, RunRow.id == VersionRow.run_id)
        .where(
            ModelRow.name == content.model,
            VersionRow.checksum == content.weights.sha256,
        )
        .order_by(
            (VersionRow.version == (content.version or "")).desc(),
            and_(RunRow.name == _run_name(content), ~RunRow.imported).desc(),
            VersionRow.id.desc(),
        )
    )
    if content.version is not None:
        numbered = session.scalar(
            query.where(VersionRow.version == content.version).limit(1)
        )
        if numbered is not None:
            return numbered
    return session.scalar(query.limit(1))


def find_checkpointed(
    session: Session, content: CheckpointContent
) -> ModelVersion | None:
    """Return what `row_of_weights` finds, as a record."""
    row = row_of_weights(session, content)
    return version_record(row) if row is not None else None


def _by_number(
    session: Session, model_id: int, numbers: Sequence[str]
) -> Mapping[str, VersionRow]:
    found: dict[str, VersionRow] = {}
    for some in _batches(numbers):
        query = select(VersionRow).where(
            VersionRow.model_id == model_id, VersionRow.version.in_(some)
        )
        found |= {row.version: row for row in session.scalars(query)}
    return found


def _batches(numbers: Sequence[str]) -> Iterator[list[str]]:
    """Split what a database would refuse as one list."""
    left = iter(numbers)
    while some := list(islice(left, _AT_ONCE)):
        yield some


def _moved(
    session: Session,
    model_id: int,
    content: CheckpointContent,
    server_round: int,
    weights: StoredObject,
) -> VersionRow | None:
    query = (
        select(VersionRow)
        .join(RoundRow, RoundRow.id == VersionRow.round_id)
        .join(RunRow, RunRow.id == VersionRow.run_id)
        .where(
            RunRow.name == _run_name(content),
            RunRow.model_id == model_id,
            ~RunRow.imported,
            RoundRow.server_round == server_round,
            VersionRow.checksum == weights.sha256,
        )
        .order_by(VersionRow.id)
        .limit(1)
    )
    return session.scalar(query)


def _run_name(content: CheckpointContent) -> str:
    return content.provenance.name if content.provenance else "unknown"
