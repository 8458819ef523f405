"""Aliases, tags, pins and descriptions of versions, each change audited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.errors import InvalidNameError, InvalidStateError, ModelNotFoundError
from flwr_registry.records import ModelVersion, VersionMetadata, VersionStatus
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.governance_db import AliasRow
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.row_seals import seals_of
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.versions.queries import find_version, require_model
from flwr_registry.registry.versions.references import (
    LATEST,
    PRODUCTION,
    check_alias,
    describe_missing_version,
    parse_reference,
)
from flwr_registry.registry.versions.registration import checked_metadata
from flwr_registry.registry.versions.run_recording import hold_model

__all__ = [
    "alias_row",
    "archive",
    "delete_alias",
    "edit_metadata",
    "list_aliases",
    "point_alias",
    "set_alias",
    "set_pinned",
    "set_tags",
]

_EDITABLE = tuple(each.name for each in fields(VersionMetadata))


def set_alias(
    session: Session, model: str, alias: str, reference: str, actor: str
) -> ModelVersion:
    """Let an alias name a version, whatever it named before.

    Raises
    ------
    InvalidNameError
        For a reserved alias, or one that looks like a version.
    InvalidStateError
        For a version that failed validation or is withdrawn.
    """
    check_alias(alias)
    if alias in {LATEST, PRODUCTION}:
        raise InvalidNameError(
            f"the alias {alias} is kept by the registry: promote a version, or choose "
            "another alias"
        )
    row = _held(session, reference, model)
    if row.status == VersionStatus.FAILED or row.withdrawn:
        why = "is withdrawn" if row.withdrawn else "failed validation"
        raise InvalidStateError(f"{model}:{row.version} {why}: it takes no alias")
    point_alias(session, row, alias, actor)
    return version_record(row)


def point_alias(
    session: Session,
    row: VersionRow,
    alias: str,
    actor: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Let an alias name a version that may have it; the model is held.

    Parameters
    ----------
    details : mapping, optional
        What else the audit log is told where this changes anything.
    """
    known = alias_row(session, row.model_id, alias)
    before = session.get_one(VersionRow, known.version_id).version if known else None
    if before == row.version:
        return
    at = now()
    if known is None:
        known = AliasRow(model_id=row.model_id, alias=alias)
        session.add(known)
    known.version_id, known.updated_at = row.id, at
    change = {"alias": alias, "from": before, "to": row.version, "at": at}
    change |= details or {}
    _audit(session, "set_alias", row, actor, change)


def delete_alias(session: Session, model: str, alias: str, actor: str) -> None:
    """Forget an alias.

    Raises
    ------
    ModelNotFoundError
        When there is none of this name.
    """
    model_id = require_model(session, model)
    hold_model(session, model)
    known = alias_row(session, model_id, alias)
    if known is None:
        wanted = parse_reference(f"{model}@{alias}")
        message = describe_missing_version(wanted, [*list_aliases(session, model)])
        raise ModelNotFoundError(message, reference=str(wanted))
    row = session.get_one(VersionRow, known.version_id)
    session.delete(known)
    _audit(session, "delete_alias", row, actor, {"alias": alias, "from": row.version})


def list_aliases(session: Session, model: str) -> dict[str, str]:
    """Map each alias of a model, in alphabetical order, to the version it names."""
    query = (
        select(AliasRow.alias, VersionRow.version)
        .join(VersionRow, VersionRow.id == AliasRow.version_id)
        .where(AliasRow.model_id == require_model(session, model))
        .order_by(AliasRow.alias)
    )
    return {alias: version for alias, version in session.execute(query)}


def set_tags(
    session: Session, reference: str, tags: Mapping[str, str | None], actor: str
) -> ModelVersion:
    """Set tags of a version; None removes one."""
    row = _held(session, reference)
    wanted = {key: tag for key, tag in {**row.tags, **tags}.items() if tag is not None}
    return _with_metadata(session, row, {"tags": wanted}, actor)


def edit_metadata(
    session: Session, reference: str, edits: Mapping[str, Any], actor: str
) -> ModelVersion:
    """Change what a user says about a version; all else is governed.

    Raises
    ------
    TypeError
        For a field that is none of the metadata's, or a value of the wrong type.
    """
    unknown = sorted(set(edits) - set(_EDITABLE))
    if unknown:
        raise TypeError(
            f"{', '.join(unknown)} cannot be edited: only {', '.join(_EDITABLE)} can"
        )
    return _with_metadata(session, _held(session, reference), edits, actor)


def set_pinned(
    session: Session, reference: str, pinned: bool, actor: str
) -> ModelVersion:
    """Keep the bytes of a version whatever a retention policy says, or no longer."""
    row = _held(session, reference)
    if row.pinned != pinned:
        row.pinned = pinned
        _audit(session, "pin" if pinned else "unpin", row, actor, {})
    return version_record(row)


def archive(session: Session, reference: str, reason: str, actor: str) -> ModelVersion:
    """Put a version aside, so that it is not promoted by mistake.

    Raises
    ------
    InvalidStateError
        For the production version, and for one that failed validation.
    """
    row = _held(session, reference)
    name = f"{row.model.name}:{row.version}"
    if row.is_production:
        raise InvalidStateError(
            f"{name} is in production: promote another version or roll back first"
        )
    if row.status == VersionStatus.FAILED:
        raise InvalidStateError(f"{name} failed validation: nothing to archive")
    if row.status != VersionStatus.ARCHIVED:
        before = row.status
        row.status, row.archived_at = VersionStatus.ARCHIVED.value, now()
        details = {"from": before, "to": row.status, "at": row.archived_at}
        _audit(session, "archive", row, actor, details, reason)
    return version_record(row)


def _with_metadata(
    session: Session, row: VersionRow, edits: Mapping[str, Any], actor: str
) -> ModelVersion:
    said = version_record(row).metadata
    edited = checked_metadata(replace(said, **edits))
    changes: dict[str, Any] = {}
    for name in _EDITABLE:
        before, after = getattr(row, name), getattr(edited, name)
        if before != after:
            setattr(row, name, after)
            changes[name] = {"from": before, "to": after}
    if changes:
        session.flush()
        changes["rows"] = seals_of(row)
        _audit(session, "edit_metadata", row, actor, changes)
    return version_record(row)


def _held(session: Session, reference: str, model: str | None = None) -> VersionRow:
    """Find a version and hold its model, so that it cannot change meanwhile."""
    wanted = parse_reference(reference, model=model)
    if model is not None and wanted.model != model:
        raise ModelNotFoundError(
            f"{reference} is no version of {model}", reference=reference
        )
    require_model(session, wanted.model)
    hold_model(session, wanted.model)
    return find_version(session, wanted)


def alias_row(session: Session, model_id: int, alias: str) -> AliasRow | None:
    """Return the row of an alias; None when there is none of this name."""
    query = select(AliasRow).where(
        AliasRow.model_id == model_id, AliasRow.alias == alias
    )
    return session.scalar(query)


def _audit(
    session: Session,
    action: str,
    row: VersionRow,
    actor: str,
    details: Mapping[str, Any],
    reason: str = "",
) -> None:
    append_entry(
        session,
        action=action,
        actor=actor,
        model=row.model.name,
        version=row.version,
        reason=reason,
        details=details,
    )
