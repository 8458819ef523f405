"""What in a row contradicts the audit log, table by table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from flwr_registry.registry.replay.expected_rows import ExpectedRows
from flwr_registry.registry.replay.replayed_log import EARLIER, SOMETIME
from flwr_registry.registry.replay.rows_beside import RowsBeside
from flwr_registry.registry.rows.raw_rows import RawRow
from flwr_registry.registry.rows.row_seals import SEALED, contributions_seal, seal_of
from flwr_registry.registry.versions.metrics import searchable_metrics

__all__ = ["COMPARISONS"]

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
    row: RawRow, state: State, beside: RowsBeside, expected: ExpectedRows
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
    row: RawRow, state: State, beside: RowsBeside, expected: ExpectedRows
) -> Iterator[str]:
    yield from _no_entry(state)
    if state is not None:
        values = {**row.values, "model": beside.models.get(row.values["model_id"])}
        yield from _differing(values, state, ("name", "flwr_run_id", "model"))
        yield from _sealed("runs", row.values, state)


def _compare_round(
    row: RawRow, state: State, beside: RowsBeside, expected: ExpectedRows
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
    row: RawRow, state: State, beside: RowsBeside, expected: ExpectedRows
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
    row: RawRow, state: State, beside: RowsBeside, expected: ExpectedRows
) -> Iterator[str]:
    yield from _no_entry(state)
    if state is not None:
        values = {**row.values, "version": beside.number(row.values["version_id"])}
        yield from _differing(values, state, ("version", "updated_at"))


def _compare_withdrawal(
    row: RawRow, state: State, beside: RowsBeside, expected: ExpectedRows
) -> Iterator[str]:
    # Earlier releases left no entry for a node whose versions were withdrawn before.
    if state is None and expected.get(*EARLIER) is not None:
        return
    yield from _no_entry(state)
    if state is not None:
        yield from _differing(row.values, state, ("actor", "reason", "created_at"))


def _compare_model(
    row: RawRow, state: State, beside: RowsBeside, expected: ExpectedRows
) -> Iterator[str]:
    name, folded = row.values["name"], row.values["folded_name"]
    alike = sum(each.lower() == name.lower() for each in beside.models.values())
    if folded != name.lower() and not (folded is None and alike > 1):
        yield f"its folded_name is {_shown(folded)}, not {name.lower()}"


def _compare_sealed(
    table: str, row: RawRow, state: State, beside: RowsBeside, expected: ExpectedRows
) -> Iterator[str]:
    # Entries of earlier releases tell of no digest.
    if state is None and expected.get(*EARLIER) is not None:
        return
    yield from _no_entry(state)
    yield from _sealed(table, row.values, state)


_Compare = Callable[[RawRow, State, RowsBeside, ExpectedRows], Iterator[str]]
COMPARISONS: Mapping[str, _Compare] = {
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
