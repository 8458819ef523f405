"""Taking in versions of another registry."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.records import ModelVersion, RoundFacts, Run, VersionMetadata
from flwr_registry.registry.exchange.bundles import Bundle, read_bundle
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.registry.versions.registering import register_source
from flwr_registry.registry.versions.run_recording import find_or_start_run
from flwr_registry.storage import StorageBackend

__all__ = ["import_bundle"]


def import_bundle(
    storage: StorageBackend, path: Path, model: str | None
) -> Steps[ModelVersion]:
    """Register the version of a bundle under its own number.

    Raises
    ------
    ExportError, IntegrityError
        When it is no sound bundle.
    DuplicateVersionError
        When the number is taken by other bytes.
    """
    bundle = yield from byte_work(partial(read_bundle, path))
    bundle = replace(bundle, model=model or bundle.model)
    parent = yield from read(partial(_parent_of, bundle=bundle))
    run = None
    if bundle.provenance is not None and bundle.server_round is not None:
        run = yield from write(partial(_run_of, bundle=bundle))
    facts = None
    if run is not None and bundle.server_round is not None:
        train = bundle.metrics.get("train_clientapp", {})
        facts = RoundFacts(bundle.server_round, train, bundle.contributions)
    return (
        yield from register_source(
            storage,
            bundle.weights,
            None,
            model=bundle.model,
            version=bundle.version,
            bump=None,
            parent=parent,
            run=run,
            facts=facts,
            errors=bundle.errors,
            metrics=bundle.metrics,
            metadata=_metadata_of(bundle, parent),
            privacy=bundle.privacy,
        )
    )


def _parent_of(session: Session, *, bundle: Bundle) -> str | None:
    """Return the parent where this registry has it, with the same bytes."""
    query = (
        select(VersionRow.version)
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .where(
            ModelRow.name == bundle.model,
            VersionRow.version == bundle.parent_version,
            VersionRow.checksum == bundle.parent_checksum,
        )
    )
    return session.scalar(query)


def _run_of(session: Session, *, bundle: Bundle) -> Run:
    assert bundle.provenance is not None
    return find_or_start_run(session, replace(bundle.provenance, model=bundle.model))


def _metadata_of(bundle: Bundle, parent: str | None) -> VersionMetadata:
    """Keep the parent's number as a tag where the parent itself is not here."""
    if parent is not None or bundle.parent_version is None:
        return bundle.metadata
    tags = {**bundle.metadata.tags, "imported-parent": bundle.parent_version}
    return replace(bundle.metadata, tags=tags)
