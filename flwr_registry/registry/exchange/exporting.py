"""Versions, and the audit log, as files for other programs."""

from __future__ import annotations

import json
import os
import shutil
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO

from sqlalchemy.orm import Session

from flwr_registry.errors import ExportError
from flwr_registry.extras import how_to_install
from flwr_registry.records import StoredObject
from flwr_registry.registry.audit_reading import export_audit
from flwr_registry.registry.exchange.bundles import write_bundle
from flwr_registry.registry.exchange.described_versions import (
    DescribedVersion,
    describe,
)
from flwr_registry.registry.exchange.model_card import config_of, model_card
from flwr_registry.registry.exchange.whole_files import (
    check_free,
    whole_file,
    whole_folder,
)
from flwr_registry.registry.rows.json_values import to_json
from flwr_registry.registry.rows.version_db import VersionRow
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.versions.references import Reference, parse_reference
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import Weights, copy_verified, load_weights

__all__ = ["ExportFormat", "export", "export_audit_to"]


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
    if to not in list(ExportFormat):
        raise ValueError(f"{to!r} is no format: use {', '.join(ExportFormat)}")
    kind, path = ExportFormat(to), Path(os.path.abspath(path))
    wanted = parse_reference(reference)
    found, parent = yield from read(partial(_described, reference=wanted))
    check_free(path, overwrite=overwrite, folder=kind is ExportFormat.HUGGINGFACE)
    yield from byte_work(partial(_write, storage, found, parent, path, kind))
    return path


def export_audit_to(place: TextIO | str | Path) -> Steps[int]:
    """Write the audit log into an open file, or a new one; return how many entries.

    Raises
    ------
    ExportError
        When a new file cannot be written there, or something is there.
    """
    if not isinstance(place, str | Path):
        return (yield from export_audit(place))
    path = Path(os.path.abspath(place))
    if path.exists():
        raise ExportError(f"{path} is there already: choose another place")
    check_free(path, overwrite=False)
    with TemporaryFile("w+", encoding="utf-8") as lines:
        written = yield from export_audit(lines)
        yield from byte_work(partial(_write_lines, lines, path))
    return written


def _write_lines(lines: TextIO, path: Path) -> None:
    lines.seek(0)
    try:
        with (
            whole_file(path) as temporary,
            temporary.open("x", encoding="utf-8") as file,
        ):
            shutil.copyfileobj(lines, file)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error}") from error


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
    try:
        match kind:
            case ExportFormat.SAFETENSORS:
                _write_file(storage, found.version.stored, path)
            case ExportFormat.TORCH:
                _write_torch(path, load_weights(storage, found.version.stored))
            case ExportFormat.HUGGINGFACE:
                _write_folder(storage, found, path)
            case ExportFormat.BUNDLE:
                with whole_file(path) as temporary:
                    write_bundle(storage, found, parent_checksum, temporary)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error}") from error


def _write_file(storage: StorageBackend, stored: StoredObject, path: Path) -> None:
    with whole_file(path) as temporary, temporary.open("xb") as file:
        copy_verified(storage, stored, file)


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
            f"torch is not installed: {how_to_install('torch')}"
        ) from error
    with whole_file(path) as temporary:
        torch.save(state, temporary)


def _write_folder(storage: StorageBackend, found: DescribedVersion, path: Path) -> None:
    """Write weights, configuration and card; other files in the folder stay."""
    config = json.dumps(to_json(config_of(found)), indent=2)
    with whole_folder(path) as folder:
        with (folder / "model.safetensors").open("xb") as file:
            copy_verified(storage, found.version.stored, file)
        (folder / "config.json").write_text(config + "\n", encoding="utf-8")
        (folder / "README.md").write_text(model_card(found), encoding="utf-8")
