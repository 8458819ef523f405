"""Nodes whose part in every version is withdrawn."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.records import ContributionStatus, RoundFacts
from flwr_registry.registry.rows.governance_db import WithdrawalRow
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = ["is_withdrawn_from_the_start"]


def is_withdrawn_from_the_start(
    session: Session, parent_id: int | None, facts: RoundFacts | None
) -> bool:
    """Tell whether a new version comes from withdrawn nodes or a withdrawn parent."""
    if parent_id is not None and session.get_one(VersionRow, parent_id).withdrawn:
        return True
    gave = [
        given.node_id
        for given in (facts.contributions if facts else ())
        if given.status is ContributionStatus.OK
    ]
    if not gave:
        return False
    # No node at all is withdrawn nearly always: that costs one look at an empty table.
    withdrawn = set(session.scalars(select(WithdrawalRow.node_id)))
    return not withdrawn.isdisjoint(gave)
