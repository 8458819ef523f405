"""Why garbage collection would leave the bytes of each version, or remove them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.checkpointing import each_manifest
from flwr_registry.records import ExplainedVersion, Fate
from flwr_registry.registry.rows.column_types import now
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.upkeep.checkpoint_needs import (
    NeededKeys,
    needed_keys,
    read_needs,
)
from flwr_registry.registry.upkeep.kept_versions import models_of, stored_items
from flwr_registry.registry.upkeep.protection import reasons_to_stay
from flwr_registry.registry.upkeep.stored_files import batches
from flwr_registry.retention import KeepAll, Kept, RetentionPolicy, kept_by
from flwr_registry.storage import StorageBackend

__all__ = ["explain_garbage"]

_AT_ONCE = 500


def explain_garbage(
    storage: StorageBackend, policy: RetentionPolicy | None, model: str | None
) -> Steps[list[ExplainedVersion]]:
    """Tell of each version, model by model and newest first, why it stays or goes."""
    needs = yield from byte_work(lambda: read_needs(each_manifest(storage)))
    needed = yield from read(lambda session: needed_keys(session, needs))
    models = yield from read(lambda session: models_of(session, model))
    found: list[ExplainedVersion] = []
    for model_id in models.values():
        work = partial(_of_model, model_id=model_id, policy=policy, needed=needed)
        found += yield from read(work)
    return found


def _of_model(
    session: Session,
    *,
    model_id: int,
    policy: RetentionPolicy | None,
    needed: NeededKeys,
) -> list[ExplainedVersion]:
    items = {item.order: item for item in stored_items(session, model_id)}
    asked = policy or KeepAll()
    kept = kept_by(asked, list(items.values()), now())
    explained: list[tuple[int, ExplainedVersion]] = []
    for some in batches(items, _AT_ONCE):
        for row, needs in reasons_to_stay(session, some, needed):
            own = [f"the policy keeps {part}" for part in kept.get(row.id, ())]
            reasons = (*needs, *own) if policy else (*needs, "no policy is given")
            fate = Fate.STAYS if reasons else Fate.GOES
            told = reasons or tuple(_why_not_kept(items[row.id], row, asked))
            explained.append((row.id, _explained(row, fate, told)))
    explained += [(row.id, gone) for row, gone in _gone(session, model_id)]
    return [each for _, each in sorted(explained, key=lambda pair: -pair[0])]


def _why_not_kept(
    item: Kept, row: VersionRow, policy: RetentionPolicy
) -> Iterator[str]:
    if not item.sound:
        states: Mapping[str, bool] = {
            "failed validation": row.status == "failed" or bool(row.validation_errors),
            "was withdrawn": row.withdrawn,
            "is superseded": row.superseded,
        }
        state = " and ".join(name for name, holds in states.items() if holds)
        yield f"it {state}, so it takes no place among the newest or the best"
    yield f"the policy keeps only {policy}"


def _gone(
    session: Session, model_id: int
) -> Sequence[tuple[VersionRow, ExplainedVersion]]:
    query = select(VersionRow).where(
        VersionRow.model_id == model_id, VersionRow.bytes_removed_at.is_not(None)
    )
    return [
        (
            row,
            _explained(
                row,
                Fate.GONE,
                (f"its bytes were removed on {row.bytes_removed_at:%Y-%m-%d}",),
            ),
        )
        for row in session.scalars(query)
    ]


def _explained(
    row: VersionRow, fate: Fate, reasons: tuple[str, ...]
) -> ExplainedVersion:
    reference = f"{row.model.name}:{row.version}"
    return ExplainedVersion(reference, fate, reasons, row.file_size_bytes)
