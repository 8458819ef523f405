"""A long history, written by bulk SQL and not by registering.

One model with runs of a thousand rounds, the last hundredth of its versions failed, one
in the middle in production; with rounds, contributions, metrics and audit entries.
"""

from __future__ import annotations

from registry.samples import weights_of
from sqlalchemy import Connection, NullPool, create_engine, text

from flwr_registry.weights import Architecture, Weights

__all__ = ["MODEL", "ROUNDS_PER_RUN", "fill"]

MODEL = "digits"
ROUNDS_PER_RUN = 1000

_TIME = "'2026-01-01 00:00:00+00'"
_COUNT = {
    "sqlite": "(WITH RECURSIVE c(n) AS (SELECT {first} UNION ALL "
    "SELECT n + 1 FROM c WHERE n < {last}) SELECT n FROM c) AS counted",
    "postgresql": "generate_series({first}, {last}) AS counted(n)",
}
_FAST = {
    "sqlite": [
        "PRAGMA foreign_keys=OFF",
        "PRAGMA synchronous=OFF",
        "PRAGMA journal_mode=OFF",
        "PRAGMA cache_size=-400000",
    ],
    "postgresql": ["SET session_replication_role = replica"],
}
_TABLES = (
    "registered_models",
    "runs",
    "rounds",
    "contributions",
    "model_versions",
    "version_metrics",
    "promotions",
    "model_audit_logs",
)
_HASH = {
    "sqlite": "printf('%064x', {n})",
    "postgresql": "lpad(to_hex({n}), 64, '0')",
}
_BOOLEAN = {"sqlite": ("0", "1"), "postgresql": ("false", "true")}


def fill(url: str, versions: int) -> None:
    """Write a history of so many versions into a new registry."""
    engine = create_engine(
        url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True
    )
    with engine.connect() as connection:
        for statement in _FAST[engine.dialect.name]:
            connection.execute(text(statement))
        for statement in _statements(engine.dialect.name, versions):
            connection.execute(text(statement))
        _finish(connection, engine.dialect.name)


def _finish(connection: Connection, dialect: str) -> None:
    if dialect == "postgresql":
        for table in _TABLES:
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "
                f"(SELECT max(id) FROM {table}))"
            )
        connection.execute(text("VACUUM ANALYZE"))


def _statements(dialect: str, versions: int) -> list[str]:
    no, yes = _BOOLEAN[dialect]
    fingerprint = Architecture.of(Weights.of(weights_of(0))).fingerprint
    failed = f"n > {versions - versions // 100}"
    production = versions // 2
    run, last = f"((n - 1) / {ROUNDS_PER_RUN} + 1)", versions // ROUNDS_PER_RUN
    is_first = f"(n - 1) % {ROUNDS_PER_RUN} = 0"
    entry, earlier = _HASH[dialect].format(n="n"), _HASH[dialect].format(n="n - 1")

    def insert(table: str, columns: str, values: str, first: int, final: int) -> str:
        counted = _COUNT[dialect].format(first=first, last=final)
        return f"INSERT INTO {table} ({columns}) SELECT {values} FROM {counted}"

    return [
        insert(
            "registered_models", "id, name, created_at", f"n, 'digits', {_TIME}", 1, 1
        ),
        insert(
            "runs",
            "id, name, model_id, flwr_run_id, app_id, app_version, app_hash, "
            "federation, strategy, strategy_config, run_config, versions, started_at",
            "n, 'run-' || n, 1, '', '', '', '', '', 'FedAvg', '{}', '{}', '{}', "
            + _TIME,
            1,
            last,
        ),
        insert(
            "rounds",
            "id, run_id, server_round, status, metrics, errors, created_at",
            f"n, {run}, (n - 1) % {ROUNDS_PER_RUN} + 1, CASE WHEN {failed} THEN "
            f"'rejected' ELSE 'registered' END, '{{}}', '[]', {_TIME}",
            1,
            versions,
        ),
        insert(
            "contributions",
            "id, round_id, node_id, status, metrics, error_reason",
            "n, (n - 1) / 2 + 1, 'node-' || (n % 100), 'ok', '{}', ''",
            1,
            2 * versions,
        ),
        insert(
            "model_versions",
            "id, model_id, version, major, minor, patch, run_id, round_id, "
            "storage_path, checksum, file_size_bytes, fingerprint, metrics, "
            "architecture, framework, model_config, tags, parent_id, parent_version, "
            "num_clients, total_rounds, validation_errors, status, is_production, "
            "created_at, description, created_by",
            f"n, 1, '1.' || (n - 1) || '.0', 1, n - 1, 0, {run}, n, "
            f"'models/digits/1.' || (n - 1) || '.0/0123456789ab.safetensors', {entry}, "
            f"208, '{fingerprint}', '{{}}', '', '', '{{}}', '{{}}', "
            f"CASE WHEN {is_first} THEN NULL ELSE n - 1 END, "
            f"CASE WHEN {is_first} THEN NULL ELSE '1.' || (n - 2) || '.0' END, "
            f"2, (n - 1) % {ROUNDS_PER_RUN} + 1, '[]', "
            f"CASE WHEN {failed} THEN 'failed' WHEN n = {production} THEN 'active' "
            f"ELSE 'candidate' END, CASE WHEN n = {production} THEN {yes} ELSE {no} "
            f"END, {_TIME}, '', ''",
            1,
            versions,
        ),
        insert(
            "version_metrics",
            "id, version_id, model_id, source, name, value, best_source",
            "n, (n - 1) / 2 + 1, 1, 'evaluate_serverapp', CASE WHEN n % 2 = 0 THEN "
            f"'loss' ELSE 'accuracy' END, (n % 1000) / 1000.0, {yes}",
            1,
            2 * versions,
        ),
        insert(
            "promotions",
            "id, model_id, sequence, action, from_version_id, to_version_id, reverted, "
            "actor, reason, created_at",
            f"n, 1, n, 'promote', NULLIF(n - 1, 0), CASE WHEN n = {last} THEN "
            f"{production} ELSE n END, {no}, 'someone', '', {_TIME}",
            1,
            last,
        ),
        insert(
            "model_audit_logs",
            "id, timestamp, action, actor, model, reason, details, previous_hash, "
            "entry_hash",
            f"n, {_TIME}, 'register', '', 'digits', '', '{{}}', {earlier}, {entry}",
            1,
            versions,
        ),
    ]
