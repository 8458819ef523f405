"""Names of models, of which no disk may take two for one."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError as ConstraintError
from sqlalchemy.orm import Session

from flwr_registry.errors import InvalidNameError
from flwr_registry.registry.rows.model_db import ModelRow

__all__ = ["make_model"]


def make_model(session: Session, name: str) -> None:
    """Write the row of a model that is not there yet.

    Raises
    ------
    InvalidNameError
        When a model has the name in other letters, large or small.
    """
    _refuse_other_case(session, name)
    # Another process may make it in between; only PostgreSQL lets it.
    with suppress(ConstraintError), session.begin_nested():
        session.add(ModelRow(name=name, folded_name=name.lower()))
    _refuse_other_case(session, name)


def _refuse_other_case(session: Session, name: str) -> None:
    for model_id, other in session.execute(select(ModelRow.id, ModelRow.name)).all():
        if other == name or other.lower() != name.lower():
            continue
        with suppress(ConstraintError), session.begin_nested():
            # Of a registration that failed. What has a past is held by foreign keys.
            session.execute(delete(ModelRow).where(ModelRow.id == model_id))
            continue
        raise InvalidNameError(
            f"the model {name!r} would differ from {other!r} only by large and small "
            "letters, and on disks that do not tell these apart the two would share "
            f"files: use {other!r}, or another name"
        )
