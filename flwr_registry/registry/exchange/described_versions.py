"""All that is known of a version, for those who have no registry at hand."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from flwr_registry.records import (
    Contribution,
    ContributionStatus,
    ModelVersion,
    Run,
)
from flwr_registry.registry.lineage.lineage import ancestors_of
from flwr_registry.registry.rows.row_records import run_record, version_record
from flwr_registry.registry.versions.queries import find_version, list_contributions
from flwr_registry.registry.versions.references import Reference
from flwr_registry.registry.versions.removed_bytes import refuse_removed_bytes

__all__ = ["DescribedVersion", "describe"]


@dataclass(frozen=True, slots=True)
class DescribedVersion:
    """A version with its run, its round's contributions, and its past.

    Attributes
    ----------
    ancestors : tuple of str
        Numbers of the versions that it comes from, its parent first.
    """

    version: ModelVersion
    run: Run | None
    contributions: tuple[Contribution, ...]
    ancestors: tuple[str, ...]

    @property
    def nodes(self) -> int:
        """How many nodes gave to its round."""
        return sum(
            given.status is ContributionStatus.OK for given in self.contributions
        )

    @property
    def num_examples(self) -> float:
        """How many examples they told of."""
        return sum(given.num_examples or 0 for given in self.contributions)


def describe(session: Session, reference: Reference) -> DescribedVersion:
    """Collect what is known of a version that has its bytes.

    Raises
    ------
    InvalidStateError
        When retention removed them.
    """
    row = find_version(session, reference)
    return DescribedVersion(
        refuse_removed_bytes(version_record(row)),
        run_record(row.run) if row.run else None,
        tuple(list_contributions(session, row)),
        tuple(each.version for each in ancestors_of(session, row.id)),
    )
