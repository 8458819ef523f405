"""What the audit log says of each row, in a temporary file however many there are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

__all__ = ["ExpectedRows"]

_SCHEMA = """
CREATE TABLE expected (
    place TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
    found INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (place, name)
) WITHOUT ROWID
"""
_PUT = """
INSERT INTO expected (place, name, state) VALUES (?, ?, ?)
ON CONFLICT (place, name) DO UPDATE SET state = excluded.state
"""


class ExpectedRows:
    """States of rows, by table and by what names the row there.

    SQLite takes the file away when it is closed, or when the process ends.
    """

    def __init__(self) -> None:
        # A verb that is awaited goes on in whatever thread is free.
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute("PRAGMA cache_size = -32000")
        self._file.execute(_SCHEMA)
        self._file.execute("BEGIN")

    def __enter__(self) -> ExpectedRows:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the file back."""
        self._file.close()

    def get(self, table: str, name: str) -> dict[str, Any] | None:
        """Return the state of a row; None for one that nothing tells of."""
        query = "SELECT state FROM expected WHERE place = ? AND name = ?"
        found = self._file.execute(query, (table, name)).fetchone()
        return json.loads(found[0]) if found is not None else None

    def put(self, table: str, name: str, state: Mapping[str, Any]) -> None:
        """Set the state of a row."""
        self._file.execute(_PUT, (table, name, json.dumps(state)))

    def forget(self, table: str, name: str) -> None:
        """Say that there is no such row any more."""
        query = "DELETE FROM expected WHERE place = ? AND name = ?"
        self._file.execute(query, (table, name))

    def note_found(self, table: str, names: Iterable[str]) -> None:
        """Say that rows are there."""
        query = "UPDATE expected SET found = 1 WHERE place = ? AND name = ?"
        self._file.executemany(query, [(table, name) for name in names])

    def not_found(self, table: str, limit: int) -> list[tuple[str, dict[str, Any]]]:
        """Return rows that should be there and were not found."""
        query = (
            "SELECT name, state FROM expected WHERE place = ? AND NOT found "
            "ORDER BY name LIMIT ?"
        )
        found = self._file.execute(query, (table, limit))
        return [(name, json.loads(state)) for name, state in found]
