"""Where a new version belongs: its parent and its number."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from flwr_registry.errors import ValidationError
from flwr_registry.records import VersionStatus
from flwr_registry.registry.rows.version_db import VersionRow, is_sound
from flwr_registry.registry.versions.queries import find_version
from flwr_registry.registry.versions.registration import Registration
from flwr_registry.registry.versions.taken_numbers import TakenInDatabase
from flwr_registry.registry.versions.version_manager import (
    Bump,
    NumberedVersion,
    SemVer,
    VersionManager,
)

__all__ = ["choose_number", "parent_of"]


def parent_of(session: Session, registration: Registration) -> VersionRow | None:
    """Return the parent that was named, else the newest sound version of the run.

    One that failed validation can be named: lineage says what was trained from what,
    and training may go on with a failed version.

    Raises
    ------
    ModelNotFoundError
        When the parent is unknown.
    """
    if registration.parent is not None:
        return find_version(session, registration.parent)
    if registration.run is None:
        return None
    return session.scalar(
        _sound().where(VersionRow.run_id == registration.run.id).limit(1)
    )


def choose_number(
    session: Session,
    model_id: int,
    registration: Registration,
    parent: VersionRow | None,
) -> SemVer:
    """Choose a free number in the transaction that takes it.

    Raises
    ------
    ValidationError
        When a minor or patch is wanted for another architecture.
    """
    origin, bump = parent, registration.bump
    if bump in {Bump.MINOR, Bump.PATCH} and origin is None:
        newest = _sound().where(VersionRow.model_id == model_id).limit(1)
        origin = session.scalar(newest)
    if bump in {Bump.MINOR, Bump.PATCH} and origin and not registration.failed:
        _refuse_other_architecture(registration, origin, bump)
    return VersionManager(TakenInDatabase(session, model_id)).choose_version(
        fingerprint=registration.fingerprint,
        failed=registration.failed,
        origin=_numbered(origin),
        bump=bump,
    )


def _refuse_other_architecture(
    registration: Registration, origin: VersionRow, bump: Bump | None
) -> None:
    if registration.fingerprint != origin.fingerprint:
        problem = (
            f"the architecture differs from that of {registration.model}:"
            f"{origin.version}, so this is no {bump} version of it: leave the bump out "
            "or use major"
        )
        raise ValidationError(problem, errors=[problem])


def _numbered(row: VersionRow | None) -> NumberedVersion | None:
    if row is None:
        return None
    return NumberedVersion(
        SemVer(row.major, row.minor, row.patch),
        row.fingerprint,
        failed=row.status == VersionStatus.FAILED,
    )


def _sound() -> Select[VersionRow]:
    """Versions that did not fail, newest first."""
    return select(VersionRow).where(is_sound()).order_by(VersionRow.id.desc())
