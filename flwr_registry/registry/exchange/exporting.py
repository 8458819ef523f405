"""Versions as files for other programs."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import partial
from pathlib import Path

from sqlalchemy.orm import Session

from flwr_registry.errors import ExportError
from flwr_registry.records import StoredObject
from flwr_registry.registry.exchange.bundles import write_bundle
from flwr_registry.registry.exchange.described_versions import (
    DescribedVersion,
    describe,
)
from flwr_registry.registry.exchange.model_card import config_of, model_card
from flwr_registry.registry.exchange.whole_files import check_free, whole_file
from flwr_registry.registry.rows.json_values import to_json
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.versions.references import Reference, parse_reference
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import Weights, load_verified, load_weights

__all__ = ["ExportFormat", "export"]


class ExportFormat(StrEnum):
    """What a version can be exported as."""

    SAFETENSORS = "safetensors"
    TORCH = "torch"
    HUGGINGFACE = "huggingface"
    BUNDLE = "bundle"


def export(
    storage: StorageBackend, reference: str, path: Path, to: str, *, overwrite: bool
) -> Steps[Path]:
    """Write a version into a file or folder, verified on the way.

    Raises
    ------
    ExportError
        When the place is taken, or the format cannot hold the version.
    """
    kind = ExportFormat(to)
    wanted = parse_reference(reference)
    found, parent = yield from read(partial(_described, reference=wanted))
    check_free(path, overwrite=overwrite)
    yield from byte_work(partial(_write, storage, found, parent, path, kind))
    return path


def _described(
    session: Session, *, reference: Reference
) -> tuple[DescribedVersion, str | None]:
    found = describe(session, reference)
    parent = found.version.parent_id
    checksum = session.get_one(VersionRow, parent).checksum if parent else None
    return found, checksum


def _write(
    storage: StorageBackend,
    found: DescribedVersion,
    parent_checksum: str | None,
    path: Path,
    kind: ExportFormat,
) -> None:
    stored = _stored(found)
    match kind:
        case ExportFormat.SAFETENSORS:
            _write_bytes(path, load_verified(storage, stored))
        case ExportFormat.TORCH:
            _write_torch(path, load_weights(storage, stored))
        case ExportFormat.HUGGINGFACE:
            _write_folder(path, found, load_verified(storage, stored))
        case ExportFormat.BUNDLE:
            with whole_file(path) as temporary, storage.open(stored.key) as file:
                write_bundle(temporary, found, parent_checksum, file)


def _stored(found: DescribedVersion) -> StoredObject:
    version = found.version
    return StoredObject(version.storage_path, version.file_size_bytes, version.checksum)


def _write_bytes(path: Path, data: bytes | bytearray) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def _write_torch(path: Path, weights: Weights) -> None:
    if weights.opaque:
        raise ExportError(
            "the version is a serialized model without tensors: export it as "
            "safetensors, its only array is the file that the program wrote"
        )
    try:
        state = weights.to_torch()
        import torch
    except ImportError as error:
        raise ExportError(
            "torch is not installed: pip install 'flwr-registry[torch]'"
        ) from error
    with whole_file(path) as temporary:
        torch.save(state, temporary)


def _write_folder(path: Path, found: DescribedVersion, data: bytearray) -> None:
    """Write weights, configuration and card; other files in the folder stay."""
    path.mkdir(exist_ok=True)
    _write_bytes(path / "model.safetensors", data)
    config = json.dumps(to_json(config_of(found)), indent=2)
    _write_bytes(path / "config.json", config.encode())
    _write_bytes(path / "README.md", model_card(found).encode())
