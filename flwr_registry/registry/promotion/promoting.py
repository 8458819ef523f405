"""Promotion: a verified version into production, the former one archived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from flwr_registry.errors import IntegrityError, InvalidStateError, StorageError
from flwr_registry.records import ModelVersion, VersionStatus
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.promotion.gates import PromotionGate
from flwr_registry.registry.promotion.production import move_production, production_row
from flwr_registry.registry.promotion.promotion_rules import (
    NO_PRODUCTION,
    check_expected,
    check_gates,
    check_promotable,
)
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.registry.versions.actors import current_actor
from flwr_registry.registry.versions.queries import find_record
from flwr_registry.registry.versions.references import parse_reference
from flwr_registry.registry.versions.run_recording import hold_model
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import verify_stored

__all__ = ["PromotionRequest", "audited_refusal", "promote", "verify_bytes"]


@dataclass(frozen=True, slots=True)
class PromotionRequest:
    """What a caller wants in production, and on which conditions."""

    reference: str
    expect: str | None
    gates: Sequence[PromotionGate]
    skip_gates: bool
    allow_archived: bool
    reason: str
    actor: str | None


def promote(storage: StorageBackend, request: PromotionRequest) -> Steps[ModelVersion]:
    """Put a version into production, once its bytes are verified.

    Raises
    ------
    InvalidStateError
        When state, expectation or gates forbid it; also written into the audit log.
    IntegrityError, StorageError
        When its bytes are damaged or gone.
    """
    reference = parse_reference(request.reference)
    version = yield from read(lambda session: find_record(session, reference))
    expected = yield from _expected_number(request.expect, version.model)
    actor = current_actor(request.actor)
    if version.is_production:
        check_expected(version, expected)
        return version
    try:
        check_promotable(version, allow_archived=request.allow_archived)
        yield from verify_bytes(storage, version)
        return (
            yield from write(
                lambda session: _promoted(session, version, request, expected, actor)
            )
        )
    except (InvalidStateError, IntegrityError, StorageError) as error:
        said = str(error)
        yield from audited_refusal("promote", version, actor, request.reason, said)
        raise


def verify_bytes(storage: StorageBackend, version: ModelVersion) -> Steps[None]:
    """Compare the stored bytes of a version with its SHA-256."""
    return byte_work(lambda: verify_stored(storage, version.stored))


def audited_refusal(
    action: str, version: ModelVersion, actor: str, reason: str, error: str
) -> Steps[None]:
    """Write down that a version was kept out of production."""
    return write(
        lambda session: append_entry(
            session,
            action=f"{action}_refused",
            actor=actor,
            model=version.model,
            version=version.version,
            reason=reason,
            details={"error": error},
        )
    )


def _expected_number(expect: str | None, model: str) -> Steps[str | None]:
    if expect is None or expect == NO_PRODUCTION:
        return expect
    reference = parse_reference(expect, model=model)
    found = yield from read(lambda session: find_record(session, reference))
    return found.version


def _promoted(
    session: Session,
    version: ModelVersion,
    request: PromotionRequest,
    expected: str | None,
    actor: str,
) -> ModelVersion:
    model_id = hold_model(session, version.model)
    row = session.get_one(VersionRow, version.id)
    if row.is_production:
        return version_record(row)
    current = production_row(session, model_id)
    production = version_record(current) if current is not None else None
    candidate = version_record(row)
    check_expected(production, expected)
    check_promotable(candidate, allow_archived=request.allow_archived)
    refusals = check_gates(
        request.gates, candidate, production, skip=request.skip_gates
    )
    move_production(
        session,
        action="promote",
        model_id=model_id,
        to=row,
        reverted=False,
        actor=actor,
        reason=request.reason,
        details=_passed_over(request, candidate, refusals),
    )
    return version_record(row)


def _passed_over(
    request: PromotionRequest, candidate: ModelVersion, refusals: Sequence[str]
) -> dict[str, Any]:
    """Tell the audit log which rules were passed over, and what these said."""
    skipped = {"skipped_gates": list(refusals)} if request.skip_gates else {}
    was_archived = candidate.status is VersionStatus.ARCHIVED
    return {**skipped, "was_archived": True} if was_archived else skipped
