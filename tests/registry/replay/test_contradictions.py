"""Whatever is edited in a database behind the registry's back is found."""

import itertools
import json
from datetime import timedelta

import numpy as np
import pytest
from registry.samples import facts_of, weights_of
from sqlalchemy import JSON, Boolean, Double, Integer, create_engine, text
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from flwr_registry.records import (
    DriftFinding,
    DriftKind,
    DriftSeverity,
    MetricSource,
    RoundFacts,
    RoundStatus,
    RunProvenance,
)
from flwr_registry.registry.rows.column_types import Row, UtcDateTime, now
from flwr_registry.retention import LatestN
from flwr_registry.validation import TensorReference

QUICK = {
    "status",
    "is_production",
    "parent_version",
    "reverted",
    "withdrawn",
    "node_id",
}
QUICK |= {"alias", "to_version_id", "metrics"}

NO_CLAIM = {
    # What is about to be written, or who is about to write: true for a moment.
    "uploads": "*",
    "run_leases": "*",
    # A number that nothing refers to; the rows are known by what they say.
    "promotions": ("id",),
    "model_aliases": ("id",),
    "withdrawals": ("id",),
    "contributions": ("id",),
    "version_metrics": ("id",),
    "drift_baselines": ("id",),
    # Only tells the mark of this database in the storage from those of others.
    "registry_identity": ("id", "database_id"),
    # Display only, before anything was registered.
    "registered_models": ("created_at",),
}


@pytest.fixture
def past(registry):
    """A registry where everything happened once."""
    run = registry.start_run(RunProvenance("trial", "digits", run_config={"lr": 0.1}))
    for number in range(1, 7):
        facts = facts_of(number, "1", "2" if number < 5 else "3", loss=1 / number)
        registry.register(weights_of(number), model="digits", run=run, facts=facts)
    version = registry.get("digits:1.1.0")
    registry.record_metrics(
        run, 2, MetricSource.EVALUATE_CLIENTAPP, {"accuracy": 0.5}, measured=version
    )
    registry.record_round(run, RoundFacts(7, {"loss": 2.0}), RoundStatus.NO_RESULT)
    registry.promote("digits:1.0.0", actor="ann", reason="first")
    registry.promote("digits:1.1.0")
    registry.promote("digits:1.4.0")
    registry.rollback("digits", reason="worse")
    registry.set_alias("digits", "champion", "1.2.0")
    registry.set_tags("digits:1.5.0", {"site": "north"})
    registry.pin("digits:1.5.0")
    registry.archive("digits:1.4.0")
    registry.register(weights_of(9), model="cats", privacy=(1.5, 1e-5))
    registry.withdraw("3", reason="consent", actor="bob")
    registry.gc(LatestN(1))
    finding = DriftFinding(
        kind=DriftKind.PERFORMANCE,
        subject="loss",
        since="3",
        found="4",
        statistic=2.0,
        threshold=1.0,
        severity=DriftSeverity.WARNING,
        message="worse",
    )
    registry.record_drift("digits", [finding], version=version, run=run)
    registry.set_drift_baseline(
        "digits:1.1.0", {"input:x": TensorReference.of(np.arange(300.0))}
    )
    return registry


def other(column, value):
    """A value that the column may hold, and that is not there."""
    kind = column.type
    if isinstance(kind, UtcDateTime):
        return (now() - timedelta(days=3)).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(kind, Boolean):
        return not value
    if isinstance(kind, JSON):
        return json.dumps(["edited"] if "errors" in column.name else {"edited": 1})
    if isinstance(kind, Integer):
        return (value or 0) + 77
    if isinstance(kind, Double):
        return (value or 0) + 0.5
    return "1.77.0" if "version" in column.name else f"edited {value or ''}"[:30]


def governed_columns():
    for table in Row.metadata.tables.values():
        for column in table.columns:
            if table.name == "model_audit_logs":
                continue
            without = NO_CLAIM.get(table.name, ())
            if without != "*" and column.name not in without:
                yield table.name, column


class Editor:
    """Somebody who has the file or the server: no constraint on keys stops them."""

    def __init__(self, url):
        off = "SET session_replication_role = replica"
        if url.startswith("sqlite"):
            off = "PRAGMA ignore_check_constraints = ON"
        self.engine = create_engine(url, isolation_level="AUTOCOMMIT")
        self.database = self.engine.connect()
        self.database.exec_driver_sql(off)

    def value(self, table, column):
        query = f"SELECT id, {column.name} FROM {table} ORDER BY id LIMIT 1"
        return self.database.exec_driver_sql(query).one()

    def write(self, table, column, id, value):
        if isinstance(value, dict | list):
            value = json.dumps(value)
        query = f"UPDATE {table} SET {column.name} = :value WHERE id = :id"
        self.database.execute(text(query), {"value": value, "id": id})

    def close(self):
        self.database.close()
        self.engine.dispose()


def unnoticed_edits(registry, values_of, columns):
    """Edit one column after the other; return those that doctor says nothing of."""
    unnoticed, editor = [], Editor(registry.url)
    for table, column in columns:
        id, before = editor.value(table, column)
        for value in values_of(column, before):
            name = f"{table}.{column.name}: {value!r}"
            try:
                editor.write(table, column, id, value)
            except (IntegrityError, DataError, ProgrammingError):
                continue
            try:
                if not registry.doctor():
                    unnoticed.append(name)
            except Exception as error:
                unnoticed.append(f"{name} gives {error!r}")
            editor.write(table, column, value if column.name == "id" else id, before)
    editor.close()
    return unnoticed


def otherwise(column, before):
    yield other(column, before)


def test_what_governs_a_version_is_found_when_it_is_edited(past):
    assert past.doctor() == []
    quick = [each for each in governed_columns() if each[1].name in QUICK]
    assert unnoticed_edits(past, otherwise, quick) == []
    assert past.doctor() == []


@pytest.mark.slow
def test_every_edited_column_is_found(past):
    assert unnoticed_edits(past, otherwise, governed_columns()) == []
    assert past.doctor() == []


@pytest.mark.slow
def test_no_value_that_nothing_writes_stops_the_doctor(past):
    odd = (b"\xff\xfe", "\x00", 1e999, -1, "[1, {", '{"a": 1e999}')
    odd += ("[" * 500 + "]" * 500,)
    turns = itertools.count()

    def values_of(column, before):
        # Each doctor reads all: a third of the values for a column, all for a type.
        yield from odd[next(turns) % 3 :: 3]
        if not column.nullable:
            yield None

    assert unnoticed_edits(past, values_of, governed_columns()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM withdrawals",
        "DELETE FROM model_aliases",
        "DELETE FROM drift_findings",
        "DELETE FROM contributions WHERE node_id = '2'",
        "DELETE FROM version_metrics WHERE value > 0.4",
        "INSERT INTO withdrawals (node_id, actor, reason, created_at) "
        "VALUES ('1', 'eve', '', '2026-01-01 00:00:00')",
        "INSERT INTO drift_findings (model_id, kind, subject, since, found, statistic,"
        " threshold, severity, message, created_at) SELECT model_id, kind, subject,"
        " since, found, 9.0, threshold, severity, message, created_at "
        "FROM drift_findings",
        "INSERT INTO drift_baselines (version_id, content, created_at) SELECT "
        "version_id + 1, content, created_at FROM drift_baselines",
    ],
)
def test_rows_that_are_gone_or_added_are_found(past, sql, damage):
    sql(damage)
    findings = past.doctor()
    assert findings and all(each.remedy for each in findings)


@pytest.mark.slow
def test_a_finding_says_what_is_wrong_and_who_knows(past, sql):
    sql("UPDATE model_versions SET withdrawn = :no WHERE version = '1.4.0'", no=False)
    (finding,) = past.doctor()
    assert finding.subject == "digits:1.4.0"
    said = "its withdrawn is False, but the audit log says True (entry "
    assert finding.problem.startswith(said)
    assert "audit list" in finding.remedy
