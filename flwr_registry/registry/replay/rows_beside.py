"""What other tables say beside a page of rows."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from flwr_registry.registry.rows.column_types import Row
from flwr_registry.registry.rows.raw_rows import FIRST, RawRow, raw_page, raw_rows_of

__all__ = ["RowsBeside"]

_MOST_MODELS = 100_000
_TABLES = Row.metadata.tables


class RowsBeside:
    """What other tables say beside a page of rows."""

    def __init__(self, session: Session, table: str, rows: Sequence[RawRow]) -> None:
        self._table = table

        def named(other: str, key: str, *ids: str) -> dict[int, RawRow]:
            wanted = {row.values.get(each) for row in rows for each in ids}
            known = [each for each in wanted if isinstance(each, int)]
            return {
                row.id: row for row in raw_rows_of(session, _TABLES[other], key, known)
            }

        self.models: dict[int, str] = {}
        if "model_id" in _TABLES[table].c:
            models = named("registered_models", "id", "model_id")
            self.models = {
                id: row.values.get("name", f"model {id}") for id, row in models.items()
            }
        if table == "registered_models":
            every = raw_page(session, _TABLES[table], after=FIRST, limit=_MOST_MODELS)
            self.models = {each.id: each.values.get("name", "") for each in every}
        self.versions: dict[int, RawRow] = {}
        self.contributions: dict[int, list[RawRow]] = {}
        self.metrics: dict[int, list[RawRow]] = {}
        columns = [
            each
            for each in ("version_id", "from_version_id", "to_version_id")
            if each in _TABLES[table].c
        ]
        if columns:
            self.versions = named("model_versions", "id", *columns)
        ids = [row.id for row in rows]
        if table == "rounds":
            given = raw_rows_of(session, _TABLES["contributions"], "round_id", ids)
            self.contributions = _grouped(given, "round_id")
        if table == "model_versions":
            measured = raw_rows_of(
                session, _TABLES["version_metrics"], "version_id", ids
            )
            self.metrics = _grouped(measured, "version_id")

    def number(self, version_id: int | None) -> str | None:
        """Return the number of a version that a row names by its id."""
        if version_id is None:
            return None
        row = self.versions.get(version_id)
        unknown = f"version {version_id}"
        return row.values.get("version", unknown) if row is not None else unknown

    def name_of(self, row: RawRow) -> str | None:
        """Return what the log calls a row; None where it belongs to nothing."""
        values = row.values
        match self._table:
            case "model_versions":
                return f"{self.models[values['model_id']]}:{values['version']}"
            case "promotions":
                return f"{self.models[values['model_id']]}/{values['sequence']}"
            case "model_aliases":
                return f"{self.models[values['model_id']]}@{values['alias']}"
            case "withdrawals":
                return str(values["node_id"])
            case "drift_baselines":
                return str(values["version_id"])
        return str(row.id)


def _grouped(rows: Sequence[RawRow], column: str) -> dict[int, list[RawRow]]:
    found: dict[int, list[RawRow]] = {}
    for row in rows:
        if column in row.values:
            found.setdefault(row.values[column], []).append(row)
    return found
