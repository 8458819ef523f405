"""The taken version numbers of a model, asked of the database."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, not_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from flwr_registry.registry.rows.version_db import UploadRow, VersionRow, is_sound

__all__ = ["TakenInDatabase"]

_Numbered = type[VersionRow] | type[UploadRow]
_Condition = Callable[[_Numbered], ColumnElement[bool]]


class TakenInDatabase:
    """`TakenNumbers` over the rows and the pending uploads of a model.

    Each answer is one step in an index, however many versions there are.

    Parameters
    ----------
    session : Session
        A writing transaction that holds the model.
    model_id : int
        The model.
    """

    def __init__(self, session: Session, model_id: int) -> None:
        self._session = session
        self._model_id = model_id

    def highest_major(self) -> int | None:
        """Return the highest major number that is taken."""
        return self._highest("major")

    def highest_sound_major(self) -> int | None:
        """Return the highest major number with a version that did not fail."""
        return self._highest("major", _is_sound)

    def highest_minor(self, major: int) -> int | None:
        """Return the highest minor number of a major."""
        return self._highest("minor", lambda row: row.major == major)

    def highest_patch(self, major: int, minor: int) -> int | None:
        """Return the highest patch number of a major and minor."""
        return self._highest(
            "patch", lambda row: row.major == major, lambda row: row.minor == minor
        )

    def major_of(self, fingerprint: str) -> int | None:
        """Return the highest major with a sound version of this architecture."""
        return self._highest(
            "major", _is_sound, lambda row: row.fingerprint == fingerprint
        )

    def _highest(self, column: str, *conditions: _Condition) -> int | None:
        found = [
            self._highest_of(kind, column, conditions)
            for kind in (VersionRow, UploadRow)
        ]
        return max((number for number in found if number is not None), default=None)

    def _highest_of(
        self, kind: _Numbered, column: str, conditions: tuple[_Condition, ...]
    ) -> int | None:
        number: InstrumentedAttribute[int] = getattr(kind, column)
        return self._session.scalar(
            select(number)
            .where(
                kind.model_id == self._model_id,
                *(condition(kind) for condition in conditions),
            )
            .order_by(number.desc())
            .limit(1)
        )


def _is_sound(kind: _Numbered) -> ColumnElement[bool]:
    if issubclass(kind, VersionRow):
        return is_sound()
    return not_(kind.failed)
