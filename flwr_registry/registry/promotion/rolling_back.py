"""Rollback: the way back through the versions that were in production."""

from __future__ import annotations

from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.errors import (
    IntegrityError,
    InvalidStateError,
    RollbackError,
    StorageError,
)
from flwr_registry.records import ModelVersion
from flwr_registry.registry.promotion.production import (
    move_production,
    production_row,
    way_back,
)
from flwr_registry.registry.promotion.promoting import audited_refusal, verify_bytes
from flwr_registry.registry.promotion.promotion_rules import unfit_for_production
from flwr_registry.registry.rows.governance_db import PromotionRow
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, read, write
from flwr_registry.registry.versions.actors import current_actor
from flwr_registry.registry.versions.queries import find_version, require_model
from flwr_registry.registry.versions.references import parse_reference
from flwr_registry.registry.versions.run_recording import hold_model
from flwr_registry.storage import StorageBackend

__all__ = ["roll_back"]


def roll_back(
    storage: StorageBackend,
    model: str,
    to: str | None,
    *,
    reason: str,
    actor: str | None,
) -> Steps[ModelVersion]:
    """Put a former production version back, once its bytes are verified.

    Raises
    ------
    RollbackError
        When there is nothing to go back to.
    IntegrityError, StorageError
        When the bytes of the version to go back to are damaged or gone.
    """
    actor = current_actor(actor)
    while True:
        target = yield from read(lambda session: _target(session, model, to))
        if to is not None and target.is_production:
            return target
        try:
            yield from verify_bytes(storage, target)
        except (IntegrityError, StorageError) as error:
            said = str(error)
            yield from audited_refusal("rollback", target, actor, reason, said)
            raise
        done = yield from write(
            partial(_moved, target=target, to=to, reason=reason, actor=actor)
        )
        if done is not None:
            return done


def _target(session: Session, model: str, to: str | None) -> ModelVersion:
    model_id = require_model(session, model)
    if to is not None:
        return _named_target(session, model_id, model, to)
    current = production_row(session, model_id)
    for step in way_back(session, model_id):
        row = session.get_one(VersionRow, step.to_version_id)
        version = version_record(row)
        if current is not None and row.id == current.id:
            continue
        if unfit_for_production(version) is None:
            return version
    raise RollbackError(
        f"no earlier version of {model} that could be used was in production: promote "
        "one instead"
    )


def _named_target(session: Session, model_id: int, model: str, to: str) -> ModelVersion:
    reference = parse_reference(to, model=model)
    row = find_version(session, reference)
    version = version_record(row)
    if row.model_id != model_id:
        raise RollbackError(f"{version.reference} is no version of {model}")
    unfit = unfit_for_production(version)
    if unfit is not None:
        raise InvalidStateError(f"{unfit}: no rollback can go to it")
    been = select(PromotionRow.id).where(PromotionRow.to_version_id == row.id)
    if session.scalar(been.limit(1)) is None:
        raise RollbackError(
            f"{version.reference} was never in production: promote it instead"
        )
    return version


def _moved(
    session: Session,
    *,
    target: ModelVersion,
    to: str | None,
    reason: str,
    actor: str,
) -> ModelVersion | None:
    """Move production back; None when another change came in between."""
    model_id = hold_model(session, target.model)
    if _target(session, target.model, to).id != target.id:
        return None
    row = session.get_one(VersionRow, target.id)
    if row.is_production:
        return version_record(row)
    steps = way_back(session, model_id)
    on_way = any(step.to_version_id == target.id for step in steps)
    for step in steps if on_way else ():
        if step.to_version_id == target.id:
            break
        step.reverted = True
    move_production(
        session,
        action="rollback",
        model_id=model_id,
        to=row,
        reverted=on_way,
        actor=actor,
        reason=reason,
    )
    return version_record(row)
