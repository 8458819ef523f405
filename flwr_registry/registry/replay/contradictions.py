"""Rows that are not what the audit log says of them, table by table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

from sqlalchemy import Table
from sqlalchemy.orm import Session

from flwr_registry.records import Finding, Severity
from flwr_registry.registry.audit_log import AuditCheck
from flwr_registry.registry.replay.comparisons import COMPARISONS
from flwr_registry.registry.replay.expected_rows import ExpectedRows
from flwr_registry.registry.replay.replayed_log import ReplayedLog
from flwr_registry.registry.replay.rows_beside import RowsBeside
from flwr_registry.registry.rows.column_types import Row
from flwr_registry.registry.rows.raw_rows import FIRST, UNSOUND_VALUE, RawRow, raw_page
from flwr_registry.registry.steps import Steps, read

__all__ = ["find_contradictions"]

_PAGE = 200
_MOST_FINDINGS = 100
_REMEDY = (
    "put back what the entry says, or restore the database from a backup: "
    "'flwr-registry audit list' shows what was done, and by whom"
)
_TABLES = Row.metadata.tables


def find_contradictions() -> Steps[list[Finding]]:
    """Go over the whole audit log, then over all rows; memory stays bounded."""
    with ExpectedRows() as expected:
        log = ReplayedLog(expected)
        while (yield from read(partial(log.catch_up, pages=1))):
            pass
        found: list[Finding] = []
        for name in _TABLES:
            if name != "model_audit_logs":
                found += yield from _in_table(_Look(log, expected, _TABLES[name]))
        return [*_in_log(log.check, log.problems), *found]


def _in_log(check: AuditCheck, problems: Sequence[str]) -> Iterator[Finding]:
    remedy = (
        "restore the database from a backup; export the log with 'flwr-registry audit "
        "export' to compare"
    )
    told = _bounded("audit log", [*check.problems, *problems], remedy)
    yield from told


def _in_table(look: _Look) -> Steps[list[Finding]]:
    while not (yield from read(look.page)):
        pass
    remedy = _REMEDY
    found: list[Finding] = []
    for subject, problems in look.problems.items():
        found += [Finding(Severity.ERROR, subject, each, remedy) for each in problems]
    if look.left_out:
        problem = f"{look.left_out} more of its rows contradict the audit log"
        found.append(
            Finding(Severity.ERROR, f"table {look.table.name}", problem, remedy)
        )
    return found


def _bounded(subject: str, problems: Sequence[str], remedy: str) -> Iterator[Finding]:
    for each in problems[:_MOST_FINDINGS]:
        yield Finding(Severity.ERROR, subject, each, remedy)
    if len(problems) > _MOST_FINDINGS:
        more = f"{len(problems) - _MOST_FINDINGS} more problems of this kind"
        yield Finding(Severity.ERROR, subject, more, remedy)


class _Look:
    """One table, looked through page by page.

    Each page is read in one state of the database with the log up to that state: what
    a run writes meanwhile contradicts nothing.
    """

    def __init__(self, log: ReplayedLog, expected: ExpectedRows, table: Table) -> None:
        self._log = log
        self._expected = expected
        self._after = FIRST
        self.table = table
        self.problems: dict[str, list[str]] = {}
        self.left_out = 0

    def page(self, session: Session) -> bool:
        """Look through the next rows; tell whether those were the last."""
        self._log.catch_up(session)
        rows = raw_page(session, self.table, after=self._after, limit=_PAGE)
        if rows:
            self._after = rows[-1].id
            self._compare(session, rows)
        if len(rows) == _PAGE:
            return False
        if self.table.name == "contributions":
            # Those of a round are compared with it.
            return True
        for name, state in self._expected.not_found(self.table.name, _PAGE):
            self._tell(
                _subject(self.table.name, name),
                f"it is gone, though entry {state.get('entry')} tells of it",
            )
        return True

    def _compare(self, session: Session, rows: Sequence[RawRow]) -> None:
        compare = COMPARISONS.get(self.table.name)
        beside = RowsBeside(session, self.table.name, rows)
        found = []
        for row in rows:
            subject = f"row {row.id} of {self.table.name}"
            name = None
            with suppress(*UNSOUND_VALUE):
                name = beside.name_of(row)
            if name is not None:
                subject = _subject(self.table.name, name)
                found.append(name)
            for problem in row.problems:
                self._tell(subject, f"{problem}: nothing writes that")
            if compare is None:
                continue
            if name is None:
                if not row.problems:
                    self._tell(subject, "it belongs to nothing that is there")
                continue
            state = self._expected.get(self.table.name, name)
            try:
                for problem in compare(row, state, beside, self._expected):
                    self._tell(subject, problem)
            except UNSOUND_VALUE as error:
                if not row.problems:
                    self._tell(subject, f"it cannot be compared: {error}")
        self._expected.note_found(self.table.name, found)

    def _tell(self, subject: str, problem: str) -> None:
        if len(self.problems) < _MOST_FINDINGS or subject in self.problems:
            self.problems.setdefault(subject, []).append(problem)
        else:
            self.left_out += 1


def _subject(table: str, name: str) -> str:
    match table:
        case "model_versions" | "model_aliases":
            return name
        case "promotions":
            model, _, sequence = name.rpartition("/")
            return f"promotion {sequence} of {model}"
        case "withdrawals":
            return f"withdrawal of node {name}"
    return f"row {name} of {table}"
