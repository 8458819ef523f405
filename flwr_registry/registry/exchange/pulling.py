"""A version's files in a folder, for whoever serves it with another program."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flwr_registry.errors import ExportError
from flwr_registry.records import ModelVersion
from flwr_registry.registry.exchange.described_versions import (
    DescribedVersion,
    describe,
)
from flwr_registry.registry.exchange.model_card import config_of, model_card
from flwr_registry.registry.exchange.unfit_versions import refuse_unfit
from flwr_registry.registry.exchange.whole_files import check_free, whole_folder
from flwr_registry.registry.rows.json_values import to_json
from flwr_registry.registry.steps import Steps, byte_work, read
from flwr_registry.registry.versions.references import parse_reference
from flwr_registry.storage import StorageBackend
from flwr_registry.weights import Architecture, copy_verified, load_weights

__all__ = ["PulledVersion", "pull"]

_WEIGHTS, _CONFIG, _CARD, _FACTS = (
    "model.safetensors",
    "config.json",
    "README.md",
    "version.json",
)
_BOOSTERS = ("model.json", "model.ubj")
_MOST_FACTS = 2**24


@dataclass(frozen=True, slots=True)
class PulledVersion:
    """A version whose files lie in a folder.

    Attributes
    ----------
    version : ModelVersion
        The version.
    path : Path
        The folder, absolute.
    written, kept : tuple of str
        Names of the files that are new, and of those that were there already with the
        same digest. ``version.json`` is new whenever another file is.
    """

    version: ModelVersion
    path: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def pull(
    storage: StorageBackend, reference: str, path: Path, *, overwrite: bool
) -> Steps[PulledVersion]:
    """Write the files of a version into a folder, those that are not there yet.

    Raises
    ------
    ExportError
        When another file has one of their names, or the place cannot be written.
    InvalidStateError
        For a version that must not be used.
    """
    path = Path(os.path.abspath(path))
    found = yield from read(partial(describe, reference=parse_reference(reference)))
    refuse_unfit(found.version)
    written, kept = yield from byte_work(
        partial(_write, storage, found, path, overwrite)
    )
    return PulledVersion(found.version, path, written, kept)


def _write(
    storage: StorageBackend, found: DescribedVersion, path: Path, overwrite: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    check_free(path, overwrite=True, folder=True)
    try:
        contents = _contents(storage, found)
        digests = {_WEIGHTS: found.version.checksum}
        digests |= {name: _sha256(each) for name, each in contents.items()}
        before = _listed(path / _FACTS)
        facts = {**_facts(found), "files": digests.copy()}
        contents[_FACTS] = f"{json.dumps(to_json(facts), indent=2)}\n".encode()
        digests[_FACTS] = _sha256(contents[_FACTS])
        there = {name: _digest(path / name) for name in digests}
        _refuse_others(path, digests, there, before, overwrite)
        wanted = [name for name in digests if there[name] != digests[name]]
        if wanted:
            # It tells of the others, so it comes after them.
            wanted = [*(name for name in wanted if name != _FACTS), _FACTS]
            gone = _left_over(path, before, digests)
            with whole_folder(path, last=_FACTS, gone=gone) as folder:
                for name in wanted:
                    if name == _WEIGHTS:
                        with (folder / name).open("xb") as file:
                            copy_verified(storage, found.version.stored, file)
                    else:
                        (folder / name).write_bytes(contents[name])
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error}") from error
    kept = tuple(name for name in digests if name not in wanted)
    return tuple(wanted), kept


def _contents(storage: StorageBackend, found: DescribedVersion) -> dict[str, bytes]:
    """Return the small files of a version, and the file of another program."""
    contents = {
        _CONFIG: f"{json.dumps(to_json(config_of(found)), indent=2)}\n".encode(),
        _CARD: model_card(found).encode(),
    }
    if found.version.fingerprint == Architecture((), opaque=True).fingerprint:
        weights = load_weights(storage, found.version.stored)
        booster = next(iter(weights.values())).tobytes()
        # XGBoost's binary JSON has the type of a length in the place of the quote.
        is_text = booster[:2] == b'{"'
        contents[_BOOSTERS[0] if is_text else _BOOSTERS[1]] = booster
    return contents


def _facts(found: DescribedVersion) -> dict[str, Any]:
    version = found.version
    said = version.metadata
    return {
        "model": version.model,
        "version": version.version,
        "parent": version.parent_version,
        "round": version.server_round,
        "framework": said.framework,
        "architecture": said.architecture,
        "model_config": said.model_config,
        "metrics": version.metrics,
        "created_at": version.created_at,
    }


def _listed(facts: Path) -> dict[str, str]:
    """Return the digests that a pull wrote before; none where nothing tells them."""
    try:
        if not facts.is_file() or facts.stat().st_size > _MOST_FACTS:
            return {}
        match json.loads(facts.read_bytes()):
            case {"files": {**files}}:
                return {str(name): str(each) for name, each in files.items()}
    except (ValueError, RecursionError):
        pass
    return {}


def _digest(path: Path) -> str | None:
    """Return the digest of a file; none of what is no file, None of nothing."""
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_others(
    path: Path,
    digests: Mapping[str, str],
    there: Mapping[str, str | None],
    before: Mapping[str, str],
    overwrite: bool,
) -> None:
    """Refuse to replace files, but what a pull of the same weights said of them."""
    others = [name for name in digests if there[name] not in (None, digests[name])]
    for name in others:
        if (path / name).is_dir():
            raise ExportError(f"{path / name} is a folder: choose another place")
    if before.get(_WEIGHTS) == digests[_WEIGHTS] and _WEIGHTS not in others:
        unchanged = {
            _FACTS,
            *(name for name in before if before[name] == there.get(name)),
        }
        others = [name for name in others if name not in unchanged]
    if others and not overwrite:
        raise ExportError(
            f"{path} has other files under the names {', '.join(others)}: choose "
            "another folder, or replace them with overwrite=True (--overwrite)"
        )


def _left_over(
    path: Path, before: Mapping[str, str], digests: Mapping[str, str]
) -> list[str]:
    """List the files that an earlier pull wrote and that are none of this version."""
    return [
        name
        for name in _BOOSTERS
        if name in before.keys() - digests.keys()
        and _digest(path / name) == before[name]
    ]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
