"""Bundles: a version in one file that another registry takes in."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from flwr_registry.errors import ExportError, IntegrityError
from flwr_registry.records import (
    Contribution,
    ContributionStatus,
    RunProvenance,
    VersionMetadata,
)
from flwr_registry.registry.exchange.described_versions import DescribedVersion
from flwr_registry.registry.rows.json_values import from_json, to_json

__all__ = ["Bundle", "read_bundle", "write_bundle"]

FORMAT = 1
"""Rises when an older release could misread a bundle."""

_MANIFEST, _WEIGHTS = "manifest.json", "weights.safetensors"
_MAX_MANIFEST_BYTES = 64 * 1024 * 1024
_SLICE_BYTES = 4 * 1024 * 1024
# The same version gives the same bundle, byte for byte.
_WHEN = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle holds, verified.

    Attributes
    ----------
    weights : bytes
        The safetensors file.
    server_round : int or None
        The round that made it, None outside a run.
    parent_checksum : str or None
        SHA-256 of the parent's file.
    """

    model: str
    version: str
    weights: bytes
    metadata: VersionMetadata
    metrics: Mapping[str, Any]
    errors: tuple[str, ...]
    privacy: tuple[float, float] | None
    parent_version: str | None
    parent_checksum: str | None
    server_round: int | None
    provenance: RunProvenance | None
    contributions: tuple[Contribution, ...]


def write_bundle(
    path: Path, found: DescribedVersion, parent_checksum: str | None, weights: BinaryIO
) -> None:
    """Write a version and its weights as one zip, and verify what is written.

    Raises
    ------
    IntegrityError
        When the stored weights are not those that were registered.
    """
    manifest = _manifest_of(found, parent_checksum)
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:
        archive.writestr(_info(_MANIFEST), json.dumps(manifest, indent=1))
        digest = hashlib.sha256()
        with archive.open(_info(_WEIGHTS), "w", force_zip64=True) as file:
            while piece := weights.read(_SLICE_BYTES):
                digest.update(piece)
                file.write(piece)
    if digest.hexdigest() != found.version.checksum:
        raise IntegrityError(
            f"the stored bytes of {found.version.reference} are not those that were "
            f"registered ({found.version.storage_path})",
            key=found.version.storage_path,
        )


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and check all of it before anything is believed.

    Raises
    ------
    ExportError
        When it is no bundle, or of a newer format.
    IntegrityError
        When its weights are not those that its manifest tells of.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _read_manifest(archive)
            weights = _read_weights(archive, manifest)
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise ExportError(f"there is no bundle {path}") from error
        raise ExportError(f"{path} is no sound bundle: {error}") from error
    try:
        return _bundle_of(manifest, weights)
    except (KeyError, TypeError, ValueError) as error:
        raise ExportError(f"the manifest of {path} makes no sense: {error}") from error


def _info(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, _WHEN)


def _manifest_of(
    found: DescribedVersion, parent_checksum: str | None
) -> dict[str, Any]:
    version, run = found.version, found.run
    privacy = [version.epsilon, version.delta]
    manifest: dict[str, Any] = to_json(
        {
            "format": FORMAT,
            "model": version.model,
            "version": version.version,
            "sha256": version.checksum,
            "size_bytes": version.file_size_bytes,
            "fingerprint": version.fingerprint,
            "registered_at": version.created_at.isoformat(),
            "parent": {"version": version.parent_version, "sha256": parent_checksum},
            "ancestors": list(found.ancestors),
            "metadata": asdict(version.metadata),
            "metrics": version.metrics,
            "errors": list(version.validation_errors),
            "privacy": None if version.epsilon is None else privacy,
            "server_round": version.server_round,
            "run": asdict(run.provenance) if run else None,
            "contributions": [asdict(given) for given in found.contributions],
        }
    )
    return manifest


def _read_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    names = sorted(archive.namelist())
    if names != sorted((_MANIFEST, _WEIGHTS)):
        raise ValueError(f"it holds {', '.join(names[:5])}")
    if archive.getinfo(_MANIFEST).file_size > _MAX_MANIFEST_BYTES:
        raise ValueError("its manifest is too long")
    manifest = json.loads(archive.read(_MANIFEST))
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise ValueError("its manifest is none")
    if manifest["format"] > FORMAT:
        raise ValueError(
            f"it has format {manifest['format']}, this release reads up to {FORMAT}: "
            "upgrade flwr-registry"
        )
    return manifest


def _read_weights(archive: zipfile.ZipFile, manifest: Mapping[str, Any]) -> bytes:
    info = archive.getinfo(_WEIGHTS)
    stored = info.compress_type == zipfile.ZIP_STORED
    # What is stored cannot grow when it is read.
    if not stored or info.file_size != manifest["size_bytes"]:
        raise ValueError("its weights do not have the length that it tells")
    weights = archive.read(_WEIGHTS)
    if hashlib.sha256(weights).hexdigest() != manifest["sha256"]:
        raise IntegrityError(
            f"the weights in the bundle of {manifest['model']}:{manifest['version']} "
            "are not those that it tells of: their SHA-256 differs"
        )
    return weights


def _bundle_of(manifest: Mapping[str, Any], weights: bytes) -> Bundle:
    run, privacy = manifest["run"], manifest["privacy"]
    return Bundle(
        model=str(manifest["model"]),
        version=str(manifest["version"]),
        weights=weights,
        metadata=VersionMetadata(**manifest["metadata"]),
        metrics=from_json(manifest["metrics"]),
        errors=tuple(map(str, manifest["errors"])),
        privacy=(float(privacy[0]), float(privacy[1])) if privacy else None,
        parent_version=manifest["parent"]["version"],
        parent_checksum=manifest["parent"]["sha256"],
        server_round=manifest["server_round"],
        provenance=RunProvenance(**run) if run else None,
        contributions=tuple(map(_contribution, manifest["contributions"])),
    )


def _contribution(said: Mapping[str, Any]) -> Contribution:
    fields = {**said, "metrics": from_json(said["metrics"])}
    return Contribution(**{**fields, "status": ContributionStatus(said["status"])})
