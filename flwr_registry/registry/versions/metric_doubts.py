"""Metrics that no sound training gives, and what becomes of the version they measured.

One rule for whoever brings the metrics: a registration, a round, a bundle, or an
evaluation that comes later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from flwr_registry.records import MetricSource, RoundStatus, VersionStatus
from flwr_registry.registry.audit_log import append_entry
from flwr_registry.registry.rows.json_values import from_json, plain_text
from flwr_registry.registry.rows.row_seals import seals_of
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.validation import MetricRanges, metrics_in_range

__all__ = ["doubts_of", "note_doubts"]

_MEASURED = (
    MetricSource.TRAIN_CLIENTAPP,
    MetricSource.EVALUATE_CLIENTAPP,
    MetricSource.EVALUATE_SERVERAPP,
)


def doubts_of(
    metrics: Mapping[str, Any], ranges: MetricRanges | None
) -> tuple[str, ...]:
    """Say what is wrong with metrics, each thing once.

    Parameters
    ----------
    metrics : mapping
        By source, in the stored form.
    ranges : mapping or None
        Those that the user allows, beside what names imply.
    """
    found = (
        plain_text(doubt)
        for source in _MEASURED
        for doubt in metrics_in_range(
            from_json(metrics.get(source.value, {})), ranges or {}
        )
    )
    return tuple(dict.fromkeys(found))


def note_doubts(session: Session, version: VersionRow, doubts: Sequence[str]) -> None:
    """Let a registered version fail for metrics that came later; the model is held.

    One in production stays there, since a number must not end its service, and fails as
    soon as it leaves.
    """
    fresh = [doubt for doubt in doubts if doubt not in version.validation_errors]
    if not fresh:
        return
    before = version.status
    version.validation_errors = [*version.validation_errors, *fresh]
    if not version.is_production:
        version.status = VersionStatus.FAILED.value
        if version.round is not None:
            version.round.status = RoundStatus.REJECTED.value
            version.round.errors = list(version.validation_errors)
    session.flush()
    append_entry(
        session,
        action="doubt_metrics",
        actor="flwr-registry",
        model=version.model.name,
        version=version.version,
        details={
            "errors": fresh,
            "from": before,
            "to": version.status,
            "rows": seals_of(version, version.round),
        },
    )
