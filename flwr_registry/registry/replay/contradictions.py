"""Rows that are not what the audit log says of them, table by table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Table
from sqlalchemy.orm import Session

from flwr_registry.records import Finding, Severity
from flwr_registry.registry.audit_log import AuditCheck
from flwr_registry.registry.replay.expected_rows import ExpectedRows
from flwr_registry.registry.replay.replayed_log import EARLIER, SOMETIME, ReplayedLog
from flwr_registry.registry.rows.column_types import Row
from flwr_registry.registry.rows.raw_rows import FIRST, RawRow, raw_page, raw_rows_of
from flwr_registry.registry.rows.row_seals import SEALED, contributions_seal, seal_of
from flwr_registry.registry.steps import Steps, read
from flwr_registry.registry.versions.metrics import searchable_metrics

__all__ = ["find_contradictions"]

_PAGE = 200
_MOST_MODELS = 100_000
_MOST_FINDINGS = 100
_REMEDY = (
    "put back what the entry says, or restore the database from a backup: "
    "'flwr-registry audit list' shows what was done, and by whom"
)
_TABLES = Row.metadata.tables
_VERSION_STATE = [
    "status",
    "is_production",
    "promoted_at",
    "archived_at",
    "pinned",
    "withdrawn",
    "superseded",
    "damaged_at",
    "bytes_removed_at",
    "checksum",
    "file_size_bytes",
    "fingerprint",
    "parent_version",
    "run_id",
]
_UNSOUND = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


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
        compare = _COMPARED.get(self.table.name)
        beside = _Beside(session, self.table.name, rows)
        found = []
        for row in rows:
            subject = f"row {row.id} of {self.table.name}"
            name = None
            with suppress(*_UNSOUND):
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
            except _UNSOUND as error:
                if not row.problems:
                    self._tell(subject, f"it cannot be compared: {error}")
        self._expected.note_found(self.table.name, found)

    def _tell(self, subject: str, problem: str) -> None:
        if len(self.problems) < _MOST_FINDINGS or subject in self.problems:
            self.problems.setdefault(subject, []).append(problem)
        else:
            self.left_out += 1


class _Beside:
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


State = Mapping[str, Any] | None


def _no_entry(state: State) -> Iterator[str]:
    if state is None:
        yield "it is there, but no entry of the audit log tells of it"


def _differing(
    values: Mapping[str, Any], state: Mapping[str, Any], names: Sequence[str]
) -> Iterator[str]:
    for name in names:
        if name in state and name in values and not _same(values[name], state[name]):
            yield (
                f"its {name} is {_shown(values[name])}, but the audit log says "
                f"{_shown(state[name])} (entry {state.get('entry')})"
            )


def _same(value: Any, expected: Any) -> bool:
    if isinstance(value, datetime):
        if expected is None or expected == SOMETIME:
            return expected is not None
        return value == datetime.fromisoformat(expected)
    return bool(value == expected)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if value == SOMETIME:
        return "a time"
    return f"{value.isoformat()}" if isinstance(value, datetime) else str(value)[:80]


def _sealed(table: str, values: Mapping[str, Any], state: State) -> Iterator[str]:
    if state is None or "seal" not in state:
        return
    if not set(SEALED[table]) <= values.keys():
        return
    if seal_of(table, values) != state["seal"]:
        yield (
            "what it holds is not what it held when it was last recorded (entry "
            f"{state['entry']}): another program changed it"
        )


def _compare_version(
    row: RawRow, state: State, beside: _Beside, expected: ExpectedRows
) -> Iterator[str]:
    yield from _no_entry(state)
    if state is not None:
        yield from _differing(row.values, state, _VERSION_STATE)
        yield from _sealed("model_versions", row.values, state)
    measured = {
        (each.source, each.name): (each.value, each.best_source)
        for each in searchable_metrics(row.values["metrics"])
    }
    model = row.values["model_id"]
    there = {
        (each.values.get("source"), each.values.get("name")): (
            each.values.get("value"),
            each.values.get("best_source"),
        )
        for each in beside.metrics.get(row.id, [])
        if each.values.get("model_id") == model
    }
    if there != measured:
        yield "the metrics that are searched are not those of its row"


def _compare_run(
    row: RawRow, state: State, beside: _Beside, expected: ExpectedRows
) -> Iterator[str]:
    yield from _no_entry(state)
    if state is not None:
        values = {**row.values, "model": beside.models.get(row.values["model_id"])}
        yield from _differing(values, state, ("name", "flwr_run_id", "model"))
        yield from _sealed("runs", row.values, state)


def _compare_round(
    row: RawRow, state: State, beside: _Beside, expected: ExpectedRows
) -> Iterator[str]:
    run = expected.get("runs", str(row.values["run_id"]))
    # Runs of earlier releases left no digests of their rounds.
    if state is None and run is not None and "seal" not in run:
        return
    yield from _no_entry(state)
    yield from _sealed("rounds", row.values, state)
    given = expected.get("contributions", str(row.id))
    there = [each.values for each in beside.contributions.get(row.id, [])]
    if given is not None and contributions_seal(there) != given["seal"]:
        yield (
            "the contributions of its nodes are not those that were recorded (entry "
            f"{given['entry']})"
        )
    if given is None and there and run is not None and "seal" in run:
        yield "it has contributions, but no entry of the audit log tells of them"


def _compare_promotion(
    row: RawRow, state: State, beside: _Beside, expected: ExpectedRows
) -> Iterator[str]:
    yield from _no_entry(state)
    if state is not None:
        values = {
            **row.values,
            "before": beside.number(row.values["from_version_id"]),
            "to": beside.number(row.values["to_version_id"]),
        }
        names = ["action", "before", "to", "reverted", "actor", "reason", "created_at"]
        yield from _differing(values, state, names)


def _compare_alias(
    row: RawRow, state: State, beside: _Beside, expected: ExpectedRows
) -> Iterator[str]:
    yield from _no_entry(state)
    if state is not None:
        values = {**row.values, "version": beside.number(row.values["version_id"])}
        yield from _differing(values, state, ("version", "updated_at"))


def _compare_withdrawal(
    row: RawRow, state: State, beside: _Beside, expected: ExpectedRows
) -> Iterator[str]:
    # Earlier releases left no entry for a node whose versions were withdrawn before.
    if state is None and expected.get(*EARLIER) is not None:
        return
    yield from _no_entry(state)
    if state is not None:
        yield from _differing(row.values, state, ("actor", "reason", "created_at"))


def _compare_model(
    row: RawRow, state: State, beside: _Beside, expected: ExpectedRows
) -> Iterator[str]:
    name, folded = row.values["name"], row.values["folded_name"]
    alike = sum(each.lower() == name.lower() for each in beside.models.values())
    if folded != name.lower() and not (folded is None and alike > 1):
        yield f"its folded_name is {_shown(folded)}, not {name.lower()}"


def _compare_sealed(
    table: str, row: RawRow, state: State, beside: _Beside, expected: ExpectedRows
) -> Iterator[str]:
    # Entries of earlier releases tell of no digest.
    yield from _sealed(table, row.values, state)


_Compare = Callable[[RawRow, State, _Beside, ExpectedRows], Iterator[str]]
_COMPARED: Mapping[str, _Compare] = {
    "drift_baselines": partial(_compare_sealed, "drift_baselines"),
    "drift_findings": partial(_compare_sealed, "drift_findings"),
    "model_aliases": _compare_alias,
    "model_versions": _compare_version,
    "promotions": _compare_promotion,
    "registered_models": _compare_model,
    "rounds": _compare_round,
    "runs": _compare_run,
    "withdrawals": _compare_withdrawal,
}
