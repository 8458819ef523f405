"""Bundles: a version in one file that another registry takes in."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from flwr_registry.errors import ExportError, IntegrityError
from flwr_registry.keyed_seals import check_seal, make_seal
from flwr_registry.records import (
    Contribution,
    ContributionStatus,
    MetricSource,
    RunProvenance,
    VersionMetadata,
)
from flwr_registry.records.typed_values import (
    MAX_NUMBER,
    counted_from,
    of_type,
    record_like,
)
from flwr_registry.registry.exchange.described_versions import DescribedVersion
from flwr_registry.registry.rows.json_values import from_json, plain_text, to_json
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import copy_verified

__all__ = ["Bundle", "read_bundle", "write_bundle"]

FORMAT = 1
"""Rises when an older release could misread a bundle."""

_MANIFEST, _WEIGHTS = "manifest.json", "weights.safetensors"
_MAX_MANIFEST_BYTES = 64 * 1024 * 1024
_PURPOSE = "bundle"
_ADVICE = (
    "export it again where the key is set, or import it without the key if you trust it"
)
# The same version gives the same bundle, byte for byte.
_WHEN = (1980, 1, 1, 0, 0, 0)
# What reading a damaged zip, and a manifest of other content, may raise.
_UNSOUND = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle holds; its weights have the digest that it tells.

    Attributes
    ----------
    weights : bytes
        The safetensors file.
    checksum : str
        Its SHA-256.
    withdrawn : bool
        The version was withdrawn in the registry that it comes from.
    server_round : int or None
        The round that made it, None outside a run.
    started_at : datetime or None
        When its run started.
    parent_checksum : str or None
        SHA-256 of the parent's file.
    """

    model: str
    version: str
    weights: bytes
    checksum: str
    metadata: VersionMetadata
    metrics: Mapping[str, Any]
    errors: tuple[str, ...]
    withdrawn: bool
    privacy: tuple[float, float] | None
    parent_version: str | None
    parent_checksum: str | None
    server_round: int | None
    provenance: RunProvenance | None
    started_at: datetime | None
    contributions: tuple[Contribution, ...]


def write_bundle(
    storage: StorageBackend,
    found: DescribedVersion,
    parent_checksum: str | None,
    path: Path,
) -> None:
    """Write a version and its weights as one zip, verified on the way.

    Raises
    ------
    IntegrityError, StorageError
        When the stored weights are not those that were registered, or gone.
    """
    told = _manifest_of(found, parent_checksum)
    seal = make_seal(_PURPOSE, told)
    manifest = json.dumps(told if seal is None else {**told, "seal": seal}, indent=1)
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:
        archive.writestr(_info(_MANIFEST), manifest)
        with archive.open(_info(_WEIGHTS), "w", force_zip64=True) as file:
            copy_verified(storage, found.version.stored, cast(BinaryIO, file))


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and check all of it before anything is believed.

    Raises
    ------
    ExportError
        When it is no bundle, or of a newer format.
    IntegrityError
        When its weights are not those that its manifest tells of.
    SealError
        When a key of seals is set and it is not sealed with it.
    """
    if not path.is_file():
        raise ExportError(f"there is no bundle {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _read_manifest(archive)
            seal = manifest.pop("seal", None)
            check_seal(_PURPOSE, manifest, seal, subject=str(path), advice=_ADVICE)
            weights = _read_weights(archive, manifest)
    except _UNSOUND as error:
        raise ExportError(f"{path} is no sound bundle: {error}") from error
    try:
        return _bundle_of(manifest, weights)
    except _UNSOUND as error:
        raise ExportError(
            f"the manifest of {path} makes no sense: {type(error).__name__}: {error}"
        ) from error


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
            "withdrawn": version.withdrawn,
            "privacy": None if version.epsilon is None else privacy,
            "server_round": version.server_round,
            "run": asdict(run.provenance) if run else None,
            "run_started_at": run.started_at.isoformat() if run else None,
            "contributions": [asdict(given) for given in found.contributions],
        }
    )
    return manifest


def _read_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    names = sorted(archive.namelist())
    if names != sorted((_MANIFEST, _WEIGHTS)):
        raise ValueError(f"it holds {', '.join(names[:5])}")
    info = archive.getinfo(_MANIFEST)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its manifest is packed, so its length tells nothing")
    if info.file_size > _MAX_MANIFEST_BYTES:
        raise ValueError("its manifest is too long")
    manifest = json.loads(archive.read(_MANIFEST))
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise ValueError("its manifest is none")
    _refuse_odd_texts(manifest)
    if manifest["format"] > FORMAT:
        raise ValueError(
            f"it has format {manifest['format']}, this release reads up to {FORMAT}: "
            "upgrade flwr-registry"
        )
    return manifest


def _refuse_odd_texts(value: Any) -> None:
    """Refuse what no database stores: it would not be what the bundle says."""
    match value:
        case str() if plain_text(value) != value:
            raise ValueError(f"its manifest has a text that is none: {value[:40]!r}")
        case dict():
            for each in (*value, *value.values()):
                _refuse_odd_texts(each)
        case list():
            for each in value:
                _refuse_odd_texts(each)


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
        model=of_type(str, manifest["model"]),
        version=of_type(str, manifest["version"]),
        weights=weights,
        checksum=of_type(str, manifest["sha256"]),
        metadata=record_like(VersionMetadata(), manifest["metadata"]),
        metrics=_metrics(manifest["metrics"]),
        errors=tuple(
            of_type(str, error) for error in of_type(list, manifest["errors"])
        ),
        withdrawn=of_type(bool, manifest["withdrawn"]),
        privacy=(float(privacy[0]), float(privacy[1])) if privacy else None,
        parent_version=of_type(str | None, manifest["parent"]["version"]),
        parent_checksum=of_type(str | None, manifest["parent"]["sha256"]),
        server_round=_number_or_none(manifest["server_round"], 1),
        provenance=record_like(RunProvenance("", ""), run) if run else None,
        started_at=_moment(manifest["run_started_at"]) if run else None,
        contributions=_contributions(manifest["contributions"]),
    )


def _contributions(said: Any) -> tuple[Contribution, ...]:
    made = tuple(map(_contribution, of_type(list, said)))
    if len({each.node_id for each in made}) != len(made):
        raise ValueError("a node gave twice to one round")
    return made


def _contribution(said: Mapping[str, Any]) -> Contribution:
    return Contribution(
        node_id=of_type(str, said["node_id"]),
        status=ContributionStatus(said["status"]),
        num_examples=of_type(float | int | None, said["num_examples"]),
        weight_share=of_type(float | int | None, said["weight_share"]),
        metrics=from_json(of_type(dict, said["metrics"])),
        error_code=_number_or_none(said["error_code"], -MAX_NUMBER),
        error_reason=of_type(str, said["error_reason"]),
    )


def _metrics(said: Any) -> dict[str, Any]:
    return {
        MetricSource(source).value: from_json(of_type(dict, measured))
        for source, measured in of_type(dict, said).items()
    }


def _number_or_none(value: Any, least: int) -> int | None:
    return None if value is None else counted_from(least, value)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.astimezone(UTC)
