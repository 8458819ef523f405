"""Taking in versions of another registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from flwr_registry.errors import ExportError, ModelNotFoundError, RegistryError
from flwr_registry.records import (
    ModelVersion,
    RoundFacts,
    RunProvenance,
    VersionMetadata,
)
from flwr_registry.registry.exchange.bundles import Bundle, read_bundle
from flwr_registry.registry.ownership.own_root import OwnRoot
from flwr_registry.registry.rows.model_db import ModelRow
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read, write
from flwr_registry.registry.versions.bytes_restoring import restore_bytes
from flwr_registry.registry.versions.imported_runs import (
    find_imported_run,
    find_or_import_run,
)
from flwr_registry.registry.versions.node_names import NodeNames
from flwr_registry.registry.versions.queries import find_record
from flwr_registry.registry.versions.references import parse_reference
from flwr_registry.registry.versions.registering import register_source
from flwr_registry.registry.versions.registration import Registration
from flwr_registry.storage import BytesContent
from flwr_registry.validation import (
    Candidate,
    MetricRanges,
    ModelValidator,
    checked_ranges,
)
from flwr_registry.weights import decode

__all__ = ["import_bundle"]

_WITHDRAWN = "it was withdrawn in the registry that it comes from"


def import_bundle(
    root: OwnRoot,
    nodes: NodeNames,
    path: Path,
    model: str | None,
    actor: str,
    metric_ranges: MetricRanges | None = None,
) -> Steps[ModelVersion]:
    """Register the version of a bundle under its own number.

    One that is here already gets its bytes back, if it has lost them.

    Raises
    ------
    ExportError, IntegrityError
        When it is no sound bundle, or claims a run that was started here.
    DuplicateVersionError
        When the number is taken by other bytes.
    StorageOwnerError
        When the storage is another registry's.
    """
    given = {"imported_by": actor, "metric_ranges": metric_ranges}
    checked_ranges(metric_ranges)
    bundle = yield from byte_work(partial(_checked_bundle, path, model, given))
    known = yield from read(partial(_known, bundle=bundle))
    started = _started(bundle) if known is None else None
    if started is not None:
        # Before anything is written.
        yield from read(lambda session: find_imported_run(session, *started))
    yield from root.claim()
    if known is not None:
        content = BytesContent(bundle.weights)
        return (yield from restore_bytes(root.storage, known, content, actor))
    parent = yield from read(partial(_parent_of, bundle=bundle))
    run, facts = None, None
    if started is not None and bundle.server_round is not None:
        run = yield from write(lambda s: find_or_import_run(s, *started, actor))
        train = bundle.metrics.get("train_clientapp", {})
        facts = RoundFacts(bundle.server_round, train, bundle.contributions)
        facts = nodes.named(facts)
    said = {
        **_said(bundle),
        **given,
        "parent": parent,
        "run": run,
        "facts": facts,
        "metadata": _metadata_of(bundle, parent),
    }
    return (yield from register_source(root, bundle.weights, None, **said))


def _checked_bundle(path: Path, model: str | None, given: Mapping[str, Any]) -> Bundle:
    """Read a bundle, and believe nothing of it that can be checked here."""
    bundle = read_bundle(path)
    bundle = replace(bundle, model=model or bundle.model)
    weights = decode(bundle.weights)
    errors = [*bundle.errors, *([_WITHDRAWN] if bundle.withdrawn else [])]
    found = ModelValidator().model_errors(Candidate(weights))
    errors += [error for error in found if error not in errors]
    bundle = replace(bundle, errors=tuple(errors))
    try:
        Registration.checked(fingerprint="", **_said(bundle), **given)
    except RegistryError:
        raise
    except (TypeError, ValueError) as error:
        raise ExportError(f"the manifest of {path} makes no sense: {error}") from error
    return bundle


def _said(bundle: Bundle) -> dict[str, Any]:
    return {
        "model": bundle.model,
        "version": bundle.version,
        "bump": None,
        "parent": None,
        "run": None,
        "facts": None,
        "errors": bundle.errors,
        "metrics": bundle.metrics,
        "metadata": bundle.metadata,
        "privacy": bundle.privacy,
    }


def _known(session: Session, *, bundle: Bundle) -> ModelVersion | None:
    """Return the version that has the number already."""
    wanted = parse_reference(bundle.version, model=bundle.model)
    try:
        return find_record(session, wanted)
    except ModelNotFoundError:
        return None


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


def _started(bundle: Bundle) -> tuple[RunProvenance, datetime] | None:
    """Return what run made the version, and when that started; None outside a run."""
    came, started_at = bundle.provenance, bundle.started_at
    if came is None or started_at is None or bundle.server_round is None:
        return None
    return replace(came, model=bundle.model), started_at


def _metadata_of(bundle: Bundle, parent: str | None) -> VersionMetadata:
    """Keep the parent's number as a tag where the parent itself is not here."""
    if parent is not None or bundle.parent_version is None:
        return bundle.metadata
    tags = {**bundle.metadata.tags, "imported-parent": bundle.parent_version}
    return replace(bundle.metadata, tags=tags)
