"""Comparing the versions that checkpoints tell of with those of the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.run_db import RoundRow, RunRow
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = ["ToldVersion", "missing_versions"]

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class ToldVersion:
    """A version as a checkpoint names it.

    Attributes
    ----------
    origin : tuple of str and int, or None
        Run and round that made it; None for one that the run began with.
    """

    model: str
    version: str
    digest: str
    origin: tuple[str, int] | None

    @property
    def reference(self) -> str:
        """Its model and number."""
        return f"{self.model}:{self.version}"


def missing_versions(
    session: Session, told: Collection[ToldVersion]
) -> dict[ToldVersion, str | None]:
    """Find those that the database lacks, be it under another number.

    Returns
    -------
    dict of ToldVersion to str or None
        Each with the digest of the other version that has its number.
    """
    digests = _digests_by_number(session, told)
    left = [each for each in told if digests.get(_number(each)) != each.digest]
    if not left:
        return {}
    moved = _Moved(session, {each.digest for each in left})
    return {each: digests.get(_number(each)) for each in left if not moved.has(each)}


class _Moved:
    """The versions of some digests, under whatever number."""

    def __init__(self, session: Session, digests: Iterable[str]) -> None:
        self._origins: set[tuple[str, str, str, int]] = set()
        self._bytes: set[tuple[str, str]] = set()
        query = (
            select(
                ModelRow.name, VersionRow.checksum, RunRow.name, RoundRow.server_round
            )
            .join(ModelRow, ModelRow.id == VersionRow.model_id)
            .outerjoin(RunRow, and_(RunRow.id == VersionRow.run_id, ~RunRow.imported))
            .outerjoin(RoundRow, RoundRow.id == VersionRow.round_id)
        )
        for some in _batches(digests):
            rows = session.execute(query.where(VersionRow.checksum.in_(some)))
            for model, digest, run, server_round in rows:
                self._origins.add((model, digest, run, server_round))
                self._bytes.add((model, digest))

    def has(self, told: ToldVersion) -> bool:
        if told.origin is None:
            return (told.model, told.digest) in self._bytes
        return (told.model, told.digest, *told.origin) in self._origins


def _number(told: ToldVersion) -> tuple[str, str]:
    return told.model, told.version


def _digests_by_number(
    session: Session, told: Iterable[ToldVersion]
) -> dict[tuple[str, str], str]:
    by_model: dict[str, set[str]] = {}
    for each in told:
        by_model.setdefault(each.model, set()).add(each.version)
    found: dict[tuple[str, str], str] = {}
    for model, versions in by_model.items():
        for some in _batches(versions):
            query = (
                select(VersionRow.version, VersionRow.checksum)
                .join(ModelRow, ModelRow.id == VersionRow.model_id)
                .where(ModelRow.name == model, VersionRow.version.in_(some))
            )
            for version, digest in session.execute(query):
                found[model, version] = digest
    return found


def _batches(values: Iterable[str]) -> Iterator[list[str]]:
    """Split what a database would refuse as one list."""
    left = iter(values)
    while some := list(islice(left, _AT_ONCE)):
        yield some
