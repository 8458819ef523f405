"""Withdrawing a node: what it had a part in is marked, and leaves production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.records import RetrainingPoint, Withdrawal, WithdrawnNode
from flwr_registry.registry.audit_log import append_entry, hold_audit_log
from flwr_registry.registry.lineage.contributing import affected_rows, known_node
from flwr_registry.registry.promotion.production import move_production
from flwr_registry.registry.rows.governance_db import WithdrawalRow
from flwr_registry.registry.rows.json_values import plain_text
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.version_db import VersionRow

__all__ = ["list_withdrawals", "plan_withdrawal", "withdraw"]


def plan_withdrawal(
    session: Session, names: tuple[str, ...], reason: str, actor: str
) -> Withdrawal:
    """Tell what `withdraw` would do, and raise what it would."""
    node = known_node(session, names)
    affected = affected_rows(session, node)
    row = session.scalar(select(WithdrawalRow).where(WithdrawalRow.node_id == node))
    planned = WithdrawnNode(node, actor, plain_text(reason), datetime.now(UTC))
    return Withdrawal(
        node=planned if row is None else _record(row),
        repeated=row is not None,
        affected=tuple(map(_reference, affected)),
        newly_marked=sum(not each.withdrawn for each in affected),
        demoted=tuple(_reference(each) for each in affected if each.is_production),
        retraining=_retraining(session, affected),
    )


def withdraw(
    session: Session, names: tuple[str, ...], reason: str, actor: str
) -> Withdrawal:
    """Mark all that a node had a part in, over all models.

    Parameters
    ----------
    names : tuple of str
        Under which the node may be recorded.

    Raises
    ------
    NodeNotFoundError
        When it is under none.
    """
    # Held in one order, and before the log: a registration that comes later sees the
    # withdrawal, one that came earlier is seen here.
    session.execute(select(ModelRow.id).order_by(ModelRow.id).with_for_update())
    hold_audit_log(session)
    node = known_node(session, names)
    affected = affected_rows(session, node)
    fresh = [row for row in affected if not row.withdrawn]
    row = session.scalar(select(WithdrawalRow).where(WithdrawalRow.node_id == node))
    repeated = row is not None
    if row is None:
        row = WithdrawalRow(node_id=node, actor=actor, reason=plain_text(reason))
        session.add(row)
    for version in fresh:
        version.withdrawn = True
    session.flush()
    models = list(dict.fromkeys(version.model.name for version in fresh))
    if not models and not repeated:
        # All that it had a part in was withdrawn with another node.
        models = [""]
    for model in models:
        _audit(session, model, row, fresh, reason, actor)
    demoted = _demote(session, affected, reason or f"node {node} is withdrawn", actor)
    return Withdrawal(
        node=_record(row),
        repeated=repeated,
        affected=tuple(map(_reference, affected)),
        newly_marked=len(fresh),
        demoted=tuple(demoted),
        retraining=_retraining(session, affected),
    )


def list_withdrawals(session: Session) -> list[WithdrawnNode]:
    """List the nodes that were withdrawn, the last one first."""
    query = select(WithdrawalRow).order_by(WithdrawalRow.id.desc())
    return [_record(row) for row in session.scalars(query)]


def _audit(
    session: Session,
    model: str,
    withdrawal: WithdrawalRow,
    fresh: Sequence[VersionRow],
    reason: str,
    actor: str,
) -> None:
    marked = [each.version for each in fresh if each.model.name == model]
    append_entry(
        session,
        action="withdraw_node",
        actor=actor,
        model=model,
        reason=reason,
        details={
            "node": withdrawal.node_id,
            "versions": marked,
            "at": withdrawal.created_at,
        },
    )


def _demote(
    session: Session, affected: Sequence[VersionRow], reason: str, actor: str
) -> list[str]:
    in_production = [row for row in affected if row.is_production]
    for row in in_production:
        move_production(
            session,
            action="withdraw",
            model_id=row.model_id,
            to=None,
            reverted=True,
            actor=actor,
            reason=reason,
        )
    return [_reference(row) for row in in_production]


def _retraining(
    session: Session, affected: Sequence[VersionRow]
) -> tuple[RetrainingPoint, ...]:
    """Name for each end of a branch where to go on in its place."""
    by_id = {row.id: row for row in affected}
    parents = {row.parent_id for row in affected}
    starts: dict[int | None, str | None] = {None: None}
    points = []
    for head in (row for row in affected if row.id not in parents):
        above = _above(by_id, head)
        if above not in starts:
            starts[above] = _newest_usable(session, above)
        points.append(RetrainingPoint(_reference(head), starts[above]))
    return tuple(points)


def _above(by_id: Mapping[int, VersionRow], row: VersionRow) -> int | None:
    """Return the first ancestor that is not affected."""
    while row.parent_id is not None and row.parent_id in by_id:
        row = by_id[row.parent_id]
    return row.parent_id


def _newest_usable(session: Session, version_id: int | None) -> str | None:
    while version_id is not None:
        row = session.get_one(VersionRow, version_id)
        failed = row.status == "failed"
        if not (failed or row.withdrawn or row.bytes_removed_at):
            return _reference(row)
        version_id = row.parent_id
    return None


def _reference(row: VersionRow) -> str:
    return f"{row.model.name}:{row.version}"


def _record(row: WithdrawalRow) -> WithdrawnNode:
    return WithdrawnNode(row.node_id, row.actor, row.reason, row.created_at)
