"""The two transactions of a registration: a number before the bytes, a row after them.

A crash between them leaves an upload that says so, never a row without bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, exists, select
from sqlalchemy.orm import Session

from flwr_registry.errors import DuplicateVersionError, StorageError
from flwr_registry.records import (
    ContributionStatus,
    ModelVersion,
    RoundStatus,
    StoredObject,
    VersionStatus,
)
from flwr_registry.registry.audit_log import append_entry, hold_audit_log
from flwr_registry.registry.rows.row_records import version_record
from flwr_registry.registry.rows.row_seals import Seals, round_seals, seals_of
from flwr_registry.registry.rows.run_db import RoundRow
from flwr_registry.registry.rows.version_db import UploadRow, VersionRow
from flwr_registry.registry.versions.registration import Registration
from flwr_registry.registry.versions.repeated_rounds import made_again
from flwr_registry.registry.versions.run_leases import refuse_fenced
from flwr_registry.registry.versions.run_recording import hold_model, save_round
from flwr_registry.registry.versions.version_manager import SemVer
from flwr_registry.registry.versions.version_metrics import set_metrics
from flwr_registry.registry.versions.version_placement import choose_number, parent_of
from flwr_registry.registry.versions.withdrawn_nodes import is_withdrawn_from_the_start
from flwr_registry.storage import DIGEST

__all__ = [
    "Reservation",
    "commit_version",
    "insert_version",
    "is_reserved",
    "refuse_other_bytes",
    "release_upload",
    "reserve_version",
]


@dataclass(frozen=True, slots=True)
class Reservation:
    """A number that waits for its bytes."""

    upload_id: int
    model_id: int
    number: SemVer
    parent_id: int | None
    parent_version: str | None
    registration: Registration
    reserved_at: datetime | None = None

    @property
    def key(self) -> str:
        """Where to save the weights."""
        folder = _folder_of(self.registration.model, self.number)
        return f"{folder}/{DIGEST}.safetensors"


def reserve_version(
    session: Session, registration: Registration
) -> Reservation | ModelVersion:
    """Take a number, so that no other writer takes it while the bytes are saved.

    Returns
    -------
    Reservation or ModelVersion
        The version, when this very number, or this round of the run, is registered.

    Raises
    ------
    ModelNotFoundError
        When the parent is unknown.
    ValidationError
        When a minor or patch is wanted for another architecture.
    FencedError
        When a newer start of the run has begun.
    """
    model_id = hold_model(session, registration.model)
    refuse_fenced(session, registration.run)
    existing = _registered_before(session, model_id, registration)
    if existing is not None:
        return version_record(existing)
    parent = parent_of(session, registration)
    number = registration.number or choose_number(
        session, model_id, registration, parent
    )
    upload = UploadRow(
        model_id=model_id,
        major=number.major,
        minor=number.minor,
        patch=number.patch,
        fingerprint=registration.fingerprint,
        failed=registration.failed,
        storage_prefix=_folder_of(registration.model, number),
    )
    session.add(upload)
    session.flush()
    return Reservation(
        upload.id,
        model_id,
        number,
        parent.id if parent else None,
        parent.version if parent else None,
        registration,
        upload.created_at,
    )


def commit_version(
    session: Session, reservation: Reservation, stored: StoredObject
) -> ModelVersion:
    """Make the version visible, with its round, contributions and audit entry.

    Returns
    -------
    ModelVersion
        The new version; or that of a faster writer who took the same number or the same
        round; or that of an earlier start of the run, which made the same bytes in this
        round. Then `stored` belongs to nobody, unless it is that version's own file,
        and the number is held until it is removed.

    Raises
    ------
    StorageError
        When garbage collection took the upload for abandoned, and its bytes with it.
    FencedError
        When a newer start of the run has begun.
    """
    registration = reservation.registration
    hold_model(session, registration.model)
    refuse_fenced(session, registration.run)
    existing = _registered_before(session, reservation.model_id, registration)
    existing = existing or _with_number(
        session, reservation.model_id, reservation.number
    )
    existing = existing or made_again(
        session, registration, reservation.parent_id, stored
    )
    if existing is not None:
        if existing.storage_path == stored.key:
            release_upload(session, reservation)
        return version_record(existing)
    if not release_upload(session, reservation):
        raise StorageError(
            f"the upload of {registration.model}:{reservation.number} took so long "
            "that garbage collection removed it: register it again, and let gc wait "
            "longer (grace_seconds)",
            key=stored.key,
        )
    action = "import" if registration.imported_by else "register"
    return version_record(insert_version(session, reservation, stored, action=action))


def insert_version(
    session: Session,
    reservation: Reservation,
    stored: StoredObject,
    *,
    action: str,
    bytes_removed_at: datetime | None = None,
) -> VersionRow:
    """Write the rows of a version whose bytes are stored; the model is held.

    Parameters
    ----------
    bytes_removed_at : datetime, optional
        They are not: since then they count as removed.
    """
    registration = reservation.registration
    round_row = _save_round_of(session, registration)
    row = _version_row(reservation, stored, round_row)
    row.bytes_removed_at = bytes_removed_at
    set_metrics(session, row, registration.metrics)
    if round_row is not None and not registration.failed:
        round_row.measured_version_id = row.id
    session.flush()
    # Withdrawals hold it too: from here on none comes in between.
    hold_audit_log(session)
    row.withdrawn = is_withdrawn_from_the_start(
        session, reservation.parent_id, registration.facts
    )
    seals = round_seals(session, round_row) if round_row is not None else {}
    _append_entry_of(session, registration, row, action, seals)
    session.flush()
    session.refresh(row)
    return row


def is_reserved(session: Session, reservation: Reservation) -> bool:
    """Tell whether a number is still held, once no commit of it is under way."""
    hold_model(session, reservation.registration.model)
    return bool(session.scalar(select(exists().where(*_held(reservation)))))


def release_upload(session: Session, reservation: Reservation) -> bool:
    """Give a reserved number back; tell whether it was still held."""
    gone = session.execute(delete(UploadRow).where(*_held(reservation)))
    return bool(gone.rowcount)  # type: ignore[attr-defined]


def _held(reservation: Reservation) -> tuple[ColumnElement[bool], ...]:
    # SQLite gives the id of a row that is gone to the next one.
    return (
        UploadRow.id == reservation.upload_id,
        UploadRow.created_at == reservation.reserved_at,
    )


def refuse_other_bytes(existing: ModelVersion, sha256: str) -> ModelVersion:
    """Return a version that is registered already, if the bytes are the same.

    Raises
    ------
    DuplicateVersionError
        When they are others.
    """
    if existing.checksum == sha256:
        return existing
    made_by = ""
    if existing.run_name is not None and existing.server_round is not None:
        made_by = f", by round {existing.server_round} of run {existing.run_name}"
    raise DuplicateVersionError(
        f"{existing.reference} is registered already{made_by}, with other bytes "
        f"({existing.checksum[:12]}, not {sha256[:12]}): versions never change, so "
        "register under another one",
        version=existing.version,
    )


def _registered_before(
    session: Session, model_id: int, registration: Registration
) -> VersionRow | None:
    """Return the version with the wanted number, else the one of the same round."""
    found = None
    if registration.number is not None:
        found = _with_number(session, model_id, registration.number)
    if (
        found is None
        and registration.run is not None
        and registration.facts is not None
    ):
        query = (
            select(VersionRow)
            .join(RoundRow, VersionRow.round_id == RoundRow.id)
            .where(
                RoundRow.run_id == registration.run.id,
                RoundRow.server_round == registration.facts.server_round,
            )
        )
        found = session.scalar(query)
    return found


def _with_number(session: Session, model_id: int, number: SemVer) -> VersionRow | None:
    query = select(VersionRow).where(
        VersionRow.model_id == model_id, VersionRow.version == str(number)
    )
    return session.scalar(query)


def _save_round_of(session: Session, registration: Registration) -> RoundRow | None:
    if registration.run is None or registration.facts is None:
        return None
    return save_round(
        session,
        registration.run,
        registration.facts,
        RoundStatus.REJECTED if registration.failed else RoundStatus.REGISTERED,
        errors=registration.errors,
        metrics=registration.metrics,
    )


def _version_row(
    reservation: Reservation, stored: StoredObject, round_row: RoundRow | None
) -> VersionRow:
    registration, facts = reservation.registration, reservation.registration.facts
    said, number = registration.metadata, reservation.number
    epsilon, delta = registration.privacy or (None, None)
    return VersionRow(
        model_id=reservation.model_id,
        version=str(number),
        major=number.major,
        minor=number.minor,
        patch=number.patch,
        run_id=registration.run.id if registration.run else None,
        round_id=round_row.id if round_row else None,
        storage_path=stored.key,
        checksum=stored.sha256,
        file_size_bytes=stored.size_bytes,
        fingerprint=registration.fingerprint,
        architecture=said.architecture,
        framework=said.framework,
        model_config=dict(said.model_config),
        tags=dict(said.tags),
        description=said.description,
        created_by=said.created_by,
        parent_id=reservation.parent_id,
        parent_version=reservation.parent_version,
        num_clients=sum(
            given.status == ContributionStatus.OK
            for given in (facts.contributions if facts else ())
        ),
        total_rounds=facts.server_round if facts else 0,
        epsilon=epsilon,
        delta=delta,
        validation_errors=list(registration.errors),
        status=(
            VersionStatus.FAILED if registration.failed else VersionStatus.CANDIDATE
        ),
    )


def _append_entry_of(
    session: Session,
    registration: Registration,
    row: VersionRow,
    action: str,
    seals: Seals,
) -> None:
    append_entry(
        session,
        action=action,
        actor=registration.imported_by or row.created_by,
        model=registration.model,
        version=row.version,
        details={
            "status": row.status,
            "checksum": row.checksum,
            "file_size_bytes": row.file_size_bytes,
            "fingerprint": row.fingerprint,
            "parent": row.parent_version,
            "run": registration.run.id if registration.run else None,
            "withdrawn": row.withdrawn,
            "bytes_removed_at": row.bytes_removed_at,
            "rows": {**seals, **seals_of(row)},
        },
    )


def _folder_of(model: str, number: SemVer) -> str:
    return f"models/{model}/{number}"
