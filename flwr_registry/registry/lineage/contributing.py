"""Which nodes made a version, and which versions a node made."""

from __future__ import annotations

from sqlalchemy import CTE, func, select, union
from sqlalchemy.orm import Session, aliased

from flwr_registry.errors import NodeNotFoundError
from flwr_registry.records import Contributor, RoundStatus
from flwr_registry.registry.rows.run_db import ContributionRow, RoundRow
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.versions.queries import find_version
from flwr_registry.registry.versions.references import Reference

__all__ = ["affected_rows", "contributors_of", "known_node"]

_OK = ContributionRow.status == "ok"


def contributors_of(session: Session, reference: Reference) -> list[Contributor]:
    """List the nodes that gave to a version or to any version it comes from.

    Those with most examples come first.
    """
    row = find_version(session, reference)
    line = (
        select(VersionRow.id, VersionRow.parent_id, VersionRow.round_id)
        .where(VersionRow.id == row.id)
        .cte("line", recursive=True)
    )
    elder = aliased(VersionRow)
    line = line.union_all(
        select(elder.id, elder.parent_id, elder.round_id).join(
            line, elder.id == line.c.parent_id
        )
    )
    gave = (
        select(
            ContributionRow.node_id,
            func.count().label("rounds"),
            func.coalesce(func.sum(ContributionRow.num_examples), 0.0).label(
                "examples"
            ),
            func.min(line.c.id).label("first"),
            func.max(line.c.id).label("last"),
        )
        .join(line, line.c.round_id == ContributionRow.round_id)
        .where(_OK)
        .group_by(ContributionRow.node_id)
        .subquery()
    )
    first, last = aliased(VersionRow), aliased(VersionRow)
    query = (
        select(gave, first.version, last.version)
        .join(first, first.id == gave.c.first)
        .join(last, last.id == gave.c.last)
        .order_by(gave.c.examples.desc(), gave.c.node_id)
    )
    found = session.execute(query).all()
    total = sum(each.examples for each in found)
    return [
        Contributor(
            node_id=node_id,
            rounds=rounds,
            first_version=first_version,
            last_version=last_version,
            num_examples=float(examples),
            share=examples / total if total else None,
        )
        for node_id, rounds, examples, _, _, first_version, last_version in found
    ]


def known_node(session: Session, names: tuple[str, ...]) -> str:
    """Return the first of the names under which a node is recorded.

    Raises
    ------
    NodeNotFoundError
        When there is none.
    """
    for name in names:
        query = select(ContributionRow.id).where(ContributionRow.node_id == name)
        if session.scalar(query.limit(1)) is not None:
            return name
    raise NodeNotFoundError(
        f"node {names[-1]} never took part in a round. Where node ids are written as "
        "pseudonyms, open the registry with the node key of its runs "
        "(FLWR_REGISTRY_NODE_KEY)",
        node_id=names[-1],
    )


def affected_rows(session: Session, node: str) -> list[VersionRow]:
    """Return what a node trained, and all that came of it, oldest first."""
    touched = _trained_by(node)
    younger = aliased(VersionRow)
    touched = touched.union(
        select(younger.id).join(touched, younger.parent_id == touched.c.id)
    )
    query = (
        select(VersionRow)
        .join(touched, touched.c.id == VersionRow.id)
        .order_by(VersionRow.id)
    )
    return list(session.scalars(query))


def _trained_by(node: str) -> CTE:
    made = (
        select(VersionRow.id)
        .join(ContributionRow, ContributionRow.round_id == VersionRow.round_id)
        .where(ContributionRow.node_id == node, _OK)
    )
    # A resumed run's round that came out as before has the version of the first time.
    again = (
        select(RoundRow.measured_version_id)
        .join(ContributionRow, ContributionRow.round_id == RoundRow.id)
        .where(
            ContributionRow.node_id == node,
            _OK,
            RoundRow.status == RoundStatus.REGISTERED.value,
            RoundRow.measured_version_id.is_not(None),
        )
    )
    both = union(made, again).subquery()
    return select(both.c.id).cte("touched", recursive=True)
