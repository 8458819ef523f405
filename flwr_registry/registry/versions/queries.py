"""What is asked of the database, each question written once for a session."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased, selectinload

from flwr_registry.errors import (
    DatabaseError,
    ModelNotFoundError,
    NoProductionModelError,
)
from flwr_registry.records import (
    Contribution,
    ModelVersion,
    Round,
    Run,
    VersionStatus,
)
from flwr_registry.registry.rows.governance_db import AliasRow
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.row_records import (
    contribution_record,
    round_record,
    run_record,
    version_record,
)
from flwr_registry.registry.rows.run_db import ContributionRow, RoundRow, RunRow
from flwr_registry.registry.rows.version_db import VersionRow, is_sound
from flwr_registry.registry.versions.references import (
    LATEST,
    PRODUCTION,
    Reference,
    describe_missing_model,
    describe_missing_version,
)

__all__ = [
    "count_versions",
    "find_record",
    "find_version",
    "list_contributions",
    "list_models",
    "list_rounds",
    "list_runs",
    "list_versions",
    "require_model",
]

_NEAREST_AMONG = 200


def find_version(session: Session, reference: Reference) -> VersionRow:
    """Return the version that a reference names.

    Raises
    ------
    NoProductionModelError
        When production is asked for and nothing is.
    ModelNotFoundError
        When the model, the version or the alias is unknown; the message says what
        comes near.
    """
    name = reference.model
    model_id = require_model(session, name)
    if reference.version is not None:
        row = _numbered(session, model_id, str(reference.version))
    elif reference.alias == LATEST:
        row = _latest(session, model_id)
    elif reference.alias == PRODUCTION:
        row = _production(session, model_id, name)
    else:
        row = _aliased(session, model_id, str(reference.alias))
    if row is None:
        raise _missing(session, model_id, reference)
    return row


def find_record(session: Session, reference: Reference) -> ModelVersion:
    """Return what `find_version` finds, as a record."""
    return version_record(find_version(session, reference))


def require_model(session: Session, name: str) -> int:
    """Return the id of a model.

    Raises
    ------
    ModelNotFoundError
        When it is unknown; the message says what comes near.
    """
    model_id = session.scalar(select(ModelRow.id).where(ModelRow.name == name))
    if model_id is None:
        message = describe_missing_model(name, list_models(session))
        raise ModelNotFoundError(message, reference=name)
    return model_id


def list_models(session: Session) -> list[str]:
    """List the names of all models that have a version, in alphabetical order."""
    has_version = select(VersionRow.id).where(VersionRow.model_id == ModelRow.id)
    query = select(ModelRow.name).where(has_version.exists()).order_by(ModelRow.name)
    return list(session.scalars(query))


def list_versions(
    session: Session,
    *,
    model: str | None = None,
    status: VersionStatus | None = None,
    run: str | None = None,
    limit: int | None = None,
) -> list[ModelVersion]:
    """List versions, newest first; `run` is a run's name."""
    query = select(VersionRow).order_by(VersionRow.id.desc()).limit(limit)
    if run is not None:
        runs = select(RunRow.id).where(RunRow.name == run)
        query = query.where(VersionRow.run_id.in_(runs))
    if model is not None and run is None:
        ids = select(ModelRow.id).where(ModelRow.name == model).scalar_subquery()
        query = query.where(VersionRow.model_id == ids)
    elif model is not None:
        # By name: an id would tempt SQLite to go through all versions of the model.
        query = query.where(VersionRow.model.has(ModelRow.name == model))
    if status is not None:
        query = query.where(VersionRow.status == status)
    return [version_record(row) for row in session.scalars(query)]


def list_runs(
    session: Session, model: str | None = None, *, flwr_run_id: str | None = None
) -> list[Run]:
    """List runs, newest first."""
    query = select(RunRow).order_by(RunRow.id.desc())
    if model is not None:
        ids = select(ModelRow.id).where(ModelRow.name == model).scalar_subquery()
        query = query.where(RunRow.model_id == ids)
    if flwr_run_id is not None:
        query = query.where(RunRow.flwr_run_id == flwr_run_id)
    return [run_record(row) for row in session.scalars(query)]


def count_versions(session: Session, model: str | None = None) -> dict[int, int]:
    """Count the versions of each run that made one, by the id of the run."""
    query = select(VersionRow.run_id, func.count(VersionRow.id))
    query = query.group_by(VersionRow.run_id)
    if model is not None:
        ids = select(ModelRow.id).where(ModelRow.name == model).scalar_subquery()
        query = query.where(VersionRow.model_id == ids)
    found = session.execute(query)
    return {run_id: count for run_id, count in found if run_id is not None}


def list_rounds(session: Session, run_id: int) -> list[Round]:
    """List rounds of a run in their order."""
    made, measured = aliased(VersionRow), aliased(VersionRow)
    query = (
        select(RoundRow, made.version, measured.version)
        .outerjoin(made, made.round_id == RoundRow.id)
        .outerjoin(measured, measured.id == RoundRow.measured_version_id)
        .where(RoundRow.run_id == run_id)
        .order_by(RoundRow.server_round)
        .options(selectinload(RoundRow.contributions))
    )
    return [round_record(*found) for found in session.execute(query)]


def list_contributions(session: Session, version: VersionRow) -> list[Contribution]:
    """List what the nodes gave to a version, in the order that they were recorded."""
    query = (
        select(ContributionRow)
        .where(ContributionRow.round_id == version.round_id)
        .order_by(ContributionRow.id)
    )
    return [contribution_record(row) for row in session.scalars(query)]


def _numbered(session: Session, model_id: int, version: str) -> VersionRow | None:
    query = select(VersionRow).where(
        VersionRow.model_id == model_id, VersionRow.version == version
    )
    return session.scalar(query)


def _latest(session: Session, model_id: int) -> VersionRow | None:
    # On its own the number comes from one index, whatever the row is joined with.
    newest = (
        select(VersionRow.id)
        .where(VersionRow.model_id == model_id, is_sound())
        .order_by(VersionRow.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return session.scalar(select(VersionRow).where(VersionRow.id == newest))


def _production(session: Session, model_id: int, name: str) -> VersionRow:
    query = select(VersionRow).where(
        VersionRow.model_id == model_id, VersionRow.is_production
    )
    found = session.scalars(query).all()
    if len(found) > 1:
        raise DatabaseError(
            f"{name} has {len(found)} production versions, which the schema forbids: "
            "the index uq_model_versions_production was removed; restore it"
        )
    if not found:
        raise NoProductionModelError(
            f"no version of {name} is in production", reference=f"{name}@{PRODUCTION}"
        )
    return found[0]


def _aliased(session: Session, model_id: int, alias: str) -> VersionRow | None:
    query = (
        select(VersionRow)
        .join(AliasRow, AliasRow.version_id == VersionRow.id)
        .where(AliasRow.model_id == model_id, AliasRow.alias == alias)
    )
    return session.scalar(query)


def _missing(
    session: Session, model_id: int, reference: Reference
) -> ModelNotFoundError:
    if reference.alias == LATEST:
        message = f"{reference.model} has no version that passed validation"
    elif reference.alias is not None:
        aliases = select(AliasRow.alias).where(AliasRow.model_id == model_id)
        known = [*session.scalars(aliases), LATEST, PRODUCTION]
        message = describe_missing_version(reference, known)
    else:
        versions = (
            select(VersionRow.version)
            .where(VersionRow.model_id == model_id)
            .order_by(VersionRow.id.desc())
            .limit(_NEAREST_AMONG)
        )
        message = describe_missing_version(reference, session.scalars(versions).all())
    return ModelNotFoundError(message, reference=str(reference))
