"""The leases of runs in the database, and the end of what an old start may write."""

from __future__ import annotations

from contextlib import suppress
from typing import NoReturn

from sqlalchemy import Select, Update, delete, select, update
from sqlalchemy.exc import IntegrityError as ConstraintError
from sqlalchemy.orm import Session

from flwr_registry.errors import FencedError
from flwr_registry.records import Lease, LeaseHolder, Run
from flwr_registry.registry.rows.lease_db import RunLeaseRow

__all__ = [
    "claim_lease",
    "find_lease",
    "hold_lease",
    "refuse_fenced",
    "release_lease",
    "renew_lease",
    "withdraw_lease",
]


def find_lease(session: Session, run: str) -> Lease | None:
    """Return the lease with the highest start number; None before the first."""
    row = session.scalar(_newest(run))
    if row is None:
        return None
    return Lease(
        run=row.run_name,
        start_number=row.start_number,
        token=row.token,
        holder=LeaseHolder(**row.holder),
        since=row.since,
        lease_seconds=row.lease_seconds,
        renewals=row.renewals,
        released=row.released,
    )


def claim_lease(session: Session, lease: Lease) -> bool:
    """Take a start number; False when it, or a higher one, is another start's."""
    newest = _held(session, lease.run)
    if newest is not None and newest.start_number >= lease.start_number:
        return newest.token == lease.token
    row = RunLeaseRow(
        run_name=lease.run,
        start_number=lease.start_number,
        token=lease.token,
        holder=lease.to_json()["holder"],
        since=lease.since,
        lease_seconds=lease.lease_seconds,
        renewals=lease.renewals,
        released=False,
    )
    # Where there was no row to hold, another start may be as fast.
    with suppress(ConstraintError), session.begin_nested():
        session.add(row)
        session.flush()
        return True
    return False


def hold_lease(session: Session, lease: Lease) -> None:
    """Let no newer start begin until the end of the transaction.

    A lease that was taken while the database did not answer is written down.

    Raises
    ------
    FencedError
        When a newer start has begun.
    """
    if not claim_lease(session, lease):
        _refuse(session, lease.run, lease.start_number)


def refuse_fenced(session: Session, run: Run | None) -> None:
    """Refuse what a start wants to write when a newer one has begun.

    Until the end of the transaction none begins. Runs for which no lease was taken are
    not concerned.

    Raises
    ------
    FencedError
        Saying which one.
    """
    if run is None or run.start_number is None:
        return
    name = run.provenance.name
    newest = _held(session, name)
    if newest is not None and newest.start_number > run.start_number:
        _refuse(session, name, run.start_number)


def renew_lease(session: Session, lease: Lease) -> None:
    """Write down how often the holder said that it lives."""
    session.execute(_row_of(lease).values(renewals=lease.renewals))


def release_lease(session: Session, lease: Lease) -> None:
    """Let the next start take the run without waiting."""
    session.execute(_row_of(lease).values(released=True))


def withdraw_lease(session: Session, lease: Lease) -> None:
    """Undo the claim of a start that wrote nothing, and never will."""
    session.execute(
        delete(RunLeaseRow).where(
            RunLeaseRow.run_name == lease.run, RunLeaseRow.token == lease.token
        )
    )


def _held(session: Session, run: str) -> RunLeaseRow | None:
    """Return the newest lease; no newer one is made before the transaction ends."""
    session.scalar(_newest(run).with_for_update())
    # While that waited for another transaction, a newer one may have come.
    return session.scalar(_newest(run))


def _refuse(session: Session, run: str, start_number: int) -> NoReturn:
    newest = find_lease(session, run)
    assert newest is not None
    raise FencedError(
        f"run {run} was taken over by {newest}: start {start_number} writes nothing "
        "any more",
        run=run,
        start_number=newest.start_number,
    )


def _row_of(lease: Lease) -> Update:
    return update(RunLeaseRow).where(
        RunLeaseRow.run_name == lease.run,
        RunLeaseRow.start_number == lease.start_number,
        RunLeaseRow.token == lease.token,
    )


def _newest(run: str) -> Select[RunLeaseRow]:
    return (
        select(RunLeaseRow)
        .where(RunLeaseRow.run_name == run)
        .order_by(RunLeaseRow.start_number.desc())
        .limit(1)
    )
